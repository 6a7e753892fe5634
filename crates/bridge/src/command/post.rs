//! A small HTTP client, for `send`, `demo` and `quarantine replay`: one request, one connection.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::trust::{self, Trust};

/// The bridge answers within its deadline, 3 s unless configured otherwise.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Where to post, and as whom.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// Where to; the token of an endpoint may be its last segment.
    pub(super) url: String,
    /// The endpoint's token, sent as a bearer.
    token: Option<String>,
    /// For https: the authority of the bridge's certificate (PEM), in place of the system's.
    ca: Option<PathBuf>,
    /// For https: a client certificate to show (PEM).
    cert: Option<PathBuf>,
    /// The key of the client certificate (PEM).
    key: Option<PathBuf>,
    /// For https: the one certificate that is trusted.
    only: Option<PathBuf>,
}

/// An answer of the bridge.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Target {
    pub(super) fn at(url: String) -> Self {
        Self { url, ..Self::default() }
    }

    pub(super) fn new(
        url: String,
        token: Option<String>,
        ca: Option<PathBuf>,
        client: Option<(PathBuf, PathBuf)>,
    ) -> Self {
        let (cert, key) = client.unzip();
        Self { url, token, ca, cert, key, only: None }
    }

    /// This token, where there is one, in the place of the configured one.
    pub(super) fn with_token(self, token: Option<String>) -> Self {
        Self { token: token.or(self.token), ..self }
    }

    /// A bridge that shows this certificate is the right one, whatever names it has and whoever signed it.
    pub(super) fn trusting(self, certificate: PathBuf) -> Self {
        Self { only: Some(certificate), ..self }
    }

    /// Posts a body as the vendor does, with the content type that it sends over XML and JSON alike.
    pub(super) async fn post(&self, body: Bytes) -> io::Result<Answered> {
        timeout(ANSWER_TIMEOUT, self.exchange(body))
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 30 s")))
    }

    async fn exchange(&self, body: Bytes) -> io::Result<Answered> {
        // A URL may hold a token: it is not repeated.
        let uri: Uri = self.url.parse().map_err(|e| invalid(format!("--url is no URL: {e}")))?;
        let default_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(invalid("--url: only http:// and https:// can be sent to".to_owned())),
        };
        let authority = uri.authority().ok_or_else(|| invalid("--url has no host".to_owned()))?;
        let host = authority.host().trim_matches(['[', ']']);
        let address = (host, authority.port_u16().unwrap_or(default_port));
        let stream = TcpStream::connect(address).await.map_err(|e| {
            io::Error::new(
                e.kind(),
                format!("cannot connect to {authority}: {e}; is `ci-bridge serve` running? --url names another address, -c FILE its configuration"),
            )
        })?;
        if default_port == 80 {
            return self.over(stream, &uri, authority.as_str(), body).await;
        }
        let client = self.cert.as_deref().zip(self.key.as_deref());
        let trust = match (&self.only, &self.ca) {
            (Some(only), _) => Trust::Only(only),
            (None, Some(ca)) => Trust::Authority(ca),
            (None, None) => Trust::System,
        };
        let stream = trust::connect(stream, host, trust, client).await;
        let stream = stream.map_err(|e| trust::explained(host, &e, "name its authority with --ca FILE"))?;
        self.over(stream, &uri, authority.as_str(), body).await
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        uri: &Uri,
        host: &str,
        body: Bytes,
    ) -> io::Result<Answered> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let mut request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, host)
            .header(header::USER_AGENT, "Go-http-client/1.1")
            .header(header::CONTENT_TYPE, "application/xml");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        // It ends when `sender` is dropped, or with an error that the exchange gets as well.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(with_cause)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(with_cause)?.to_bytes();
        Ok(Answered { status, body })
    }
}

/// hyper says "connection error"; its cause says which, such as a client certificate that is asked for.
fn with_cause(error: hyper::Error) -> io::Error {
    match std::error::Error::source(&error) {
        Some(cause) => io::Error::other(format!("{error}: {cause}")),
        None => io::Error::other(error),
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
