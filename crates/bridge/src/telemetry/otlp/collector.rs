//! One collector: a connection that is kept, and what its answers mean.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config;
use crate::trust::{self, Trust};

/// Bytes of an answer that are read: it has a number and a sentence.
const MAX_ANSWER: usize = 64 * 1024;

pub(super) struct Collector {
    url: Uri,
    host: String,
    port: u16,
    is_tls: bool,
    ca: Option<PathBuf>,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    kept: Option<SendRequest<Full<Bytes>>>,
}

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// It may be, later: after so long, if the collector says so.
    Later { why: String, after: Option<Duration> },
    /// It never will be.
    Refused { why: String, remedy: &'static str },
}

impl Collector {
    pub(super) fn new(export: &config::Export) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "telemetry.otlp_endpoint has no host");
        let authority = export.url.authority().ok_or_else(invalid)?;
        let is_tls = export.url.scheme_str() == Some("https");
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            ca: export.ca.clone(),
            headers: export.headers.clone(),
            timeout: export.timeout,
            url: export.url.clone(),
            kept: None,
        })
    }

    /// For the log: a path may hold a secret.
    pub(super) fn name(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }

    /// Sends one batch; gives how many of its spans the collector did not want.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<u64, NotTaken> {
        let within = self.timeout;
        let answered = timeout(within, self.exchange(body)).await.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer within {within:?} (otlp_timeout)"),
            ))
        });
        match answered {
            Ok((status, headers, body)) => judge(status, &headers, &body),
            Err(error) => {
                self.kept = None;
                Err(NotTaken::Later { why: error.to_string(), after: None })
            }
        }
    }

    async fn exchange(&mut self, body: Bytes) -> io::Result<(StatusCode, HeaderMap, Bytes)> {
        // While nothing was to be sent, the collector may have closed it: that says nothing of a new one.
        if let Some(mut kept) = self.kept.take()
            && let Ok(response) = kept.send_request(self.request(body.clone())?).await
        {
            return self.read(kept, response).await;
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(self.request(body)?).await.map_err(io::Error::other)?;
        self.read(connection, response).await
    }

    async fn read(
        &mut self,
        connection: SendRequest<Full<Bytes>>,
        response: Response<hyper::body::Incoming>,
    ) -> io::Result<(StatusCode, HeaderMap, Bytes)> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(io::Error::other)?.to_bytes();
        self.kept = Some(connection);
        Ok((head.status, head.headers, body))
    }

    fn authority(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    fn request(&self, body: Bytes) -> io::Result<Request<Full<Bytes>>> {
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path)
            .header(header::HOST, self.authority())
            .header(header::USER_AGENT, concat!("ci-bridge/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(body)).map_err(io::Error::other)
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        if !self.is_tls {
            return over(stream).await;
        }
        let trust = self.ca.as_deref().map_or(Trust::System, Trust::Authority);
        let stream = trust::connect(stream, &self.host, trust, None).await;
        over(stream.map_err(|error| {
            trust::explained(&self.host, &error, "name its authority in otlp_certificate")
        })?)
        .await
    }
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with `sender`, or with an error that the exchange gets as well.
    tokio::spawn(connection);
    Ok(sender)
}

/// What an answer means, by the specification of OTLP over HTTP.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<u64, NotTaken> {
    let why = || format!("the collector answers {status}");
    match status.as_u16() {
        200..=299 => {
            let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
            let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
            Ok(u64::try_from(rejected).unwrap_or(0))
        }
        429 | 502 | 503 | 504 => {
            let after =
                headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Err(NotTaken::Later { why: why(), after: after.map(Duration::from_secs) })
        }
        401 | 403 => Err(NotTaken::Refused {
            why: why(),
            remedy: "put what it asks for into [telemetry] otlp_headers",
        }),
        404 | 405 => Err(NotTaken::Refused {
            why: why(),
            remedy: "otlp_endpoint gets /v1/traces appended; a whole URL goes into otlp_traces_endpoint",
        }),
        400 | 415 => Err(NotTaken::Refused {
            why: why(),
            remedy: "name the collector's port for OTLP over HTTP, usually 4318; 4317 is for gRPC",
        }),
        _ => Err(NotTaken::Refused { why: why(), remedy: "look into the collector's log" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_to_come_again() {
        let judged = |status: u16, after: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.extend(after.map(|after| (header::RETRY_AFTER, HeaderValue::from_static(after))));
            judge(StatusCode::from_u16(status).unwrap(), &headers, b"")
        };
        assert!(matches!(judged(200, None), Ok(0)));
        for status in [429, 502, 503, 504] {
            assert!(matches!(judged(status, None), Err(NotTaken::Later { after: None, .. })), "{status}");
        }
        let seven = Duration::from_secs(7);
        assert!(
            matches!(judged(503, Some("7")), Err(NotTaken::Later { after: Some(after), .. }) if after == seven)
        );
        for status in [400, 401, 404, 413, 500] {
            assert!(matches!(judged(status, None), Err(NotTaken::Refused { .. })), "{status}");
        }
    }

    #[test]
    fn spans_that_the_collector_did_not_want_are_counted() {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
        let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "quota".to_owned() };
        let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
        assert!(matches!(judge(StatusCode::OK, &HeaderMap::new(), &answer), Ok(3)));
    }
}
