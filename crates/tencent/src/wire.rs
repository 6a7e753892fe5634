//! One exchange over HTTP/1.1: connections that are kept, TLS, and what an answer may cost in time and bytes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri, header::HeaderMap};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Bytes of an answer that are read. A page has at most 100 jobs of some kilobytes each; one with hours of speech, word
/// by word, some 9 MB.
pub(crate) const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// Whom to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    is_tls: bool,
    host: String,
    port: u16,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why nothing did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Another attempt may help.
    Unreachable(String),
    /// It is larger than [`MAX_ANSWER`].
    TooLarge,
}

/// Connections to Tencent, each with one request at a time. As many are open as requests have no answer yet, which the
/// pace and the time that an answer may take bound.
#[derive(Default)]
pub(crate) struct Wire {
    /// Those that wait for a next request, the one that was used last behind.
    idle: Mutex<Vec<Idle>>,
    tls: OnceLock<Arc<ClientConfig>>,
}

type Sender = SendRequest<Full<Bytes>>;

struct Idle {
    origin: Origin,
    sender: Sender,
}

/// Idle connections that are kept: more than a few questions are seldom asked at once.
const MAX_IDLE: usize = 8;

impl Origin {
    /// `https://` and a host, on the usual port.
    pub(crate) fn https(host: &str) -> Self {
        Self { is_tls: true, host: host.to_owned(), port: 443 }
    }

    /// An origin, which has no path, as it is configured. Plain HTTP shows signatures to everybody on the way: it is for
    /// loopback only.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "{text:?} is no endpoint: write https:// and a host, without a path; http:// is for 127.0.0.1, [::1] and \
                 localhost only"
            )
        };
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let authority = uri.authority().ok_or_else(refused)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let is_loopback =
            host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback => false,
            _ => return Err(refused()),
        };
        let has_path = !matches!(uri.path_and_query().map(PathAndQuery::as_str), None | Some("/"));
        if has_path || host.is_empty() || authority.as_str().contains('@') {
            return Err(refused());
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { is_tls, host, port })
    }

    /// Plain HTTP, for the metadata service of a CVM, which has nothing else; link-local by nature.
    pub(crate) fn metadata(host: &str) -> Self {
        Self { is_tls: false, host: host.to_owned(), port: 80 }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl Wire {
    /// Sends a request and reads the whole answer, within `within`.
    pub(crate) async fn exchange(
        &self,
        origin: &Origin,
        request: Request<Full<Bytes>>,
        within: Duration,
    ) -> Result<Answered, NoAnswer> {
        let exchanging = self.exchange_unlimited(origin, request);
        timeout(within, exchanging)
            .await
            .unwrap_or_else(|_| Err(NoAnswer::Unreachable(format!("no answer within {within:?}"))))
    }

    async fn exchange_unlimited(
        &self,
        origin: &Origin,
        request: Request<Full<Bytes>>,
    ) -> Result<Answered, NoAnswer> {
        let (sender, response) = self.send(origin, request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| match error
            .downcast::<LengthLimitError>()
        {
            Ok(_) => NoAnswer::TooLarge,
            Err(error) => NoAnswer::Unreachable(format!("the answer is cut off: {error}")),
        })?;
        self.keep(origin, sender);
        Ok(Answered { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    }

    /// Over a connection that is kept, or else over a new one: what is kept may have been closed at the other end, and
    /// then gives back the request that it did not send.
    async fn send(
        &self,
        origin: &Origin,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Sender, Response<Incoming>), NoAnswer> {
        while let Some(mut sender) = self.take_idle(origin) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(unreachable(&error.into_error())),
                },
            }
        }
        let mut sender = self.connect(origin).await.map_err(|e| NoAnswer::Unreachable(e.to_string()))?;
        sender.ready().await.map_err(|e| unreachable(&e))?;
        let response = sender.send_request(request).await.map_err(|e| unreachable(&e))?;
        Ok((sender, response))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one to this origin that was used last: of all it is the likeliest to be open still.
    fn take_idle(&self, origin: &Origin) -> Option<Sender> {
        let mut idle = self.idle();
        idle.retain(|kept| !kept.sender.is_closed());
        let at = idle.iter().rposition(|kept| kept.origin == *origin)?;
        Some(idle.remove(at).sender)
    }

    fn keep(&self, origin: &Origin, sender: Sender) {
        let mut idle = self.idle();
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push(Idle { origin: origin.clone(), sender });
    }

    async fn connect(&self, origin: &Origin) -> io::Result<Sender> {
        let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await?;
        stream.set_nodelay(true)?;
        if !origin.is_tls {
            return start(stream).await;
        }
        let name = ServerName::try_from(origin.host.clone()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(self.tls()?);
        let explain = |e: io::Error| io::Error::new(e.kind(), format!("TLS: {e}"));
        start(connector.connect(name, stream).await.map_err(explain)?).await
    }

    /// Made when it is first needed: reading whom the system trusts takes some milliseconds.
    fn tls(&self) -> io::Result<Arc<ClientConfig>> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore::empty();
        // One that cannot be read is one authority less, and no reason to stop.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(self.tls.get_or_init(|| Arc::new(config))))
    }
}

async fn start(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<Sender> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends when `sender` is dropped, or with an error that the exchange gets as well.
    tokio::spawn(connection);
    Ok(sender)
}

/// hyper says "connection error"; its cause says which.
fn unreachable(error: &hyper::Error) -> NoAnswer {
    NoAnswer::Unreachable(match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        let good = [
            ("http://127.0.0.1:8080", (false, "127.0.0.1", 8080)),
            ("http://localhost", (false, "localhost", 80)),
            ("http://[::1]:81/", (false, "::1", 81)),
            ("https://ci.example.com", (true, "ci.example.com", 443)),
            ("https://203.0.113.7:8443", (true, "203.0.113.7", 8443)),
        ];
        for (text, (is_tls, host, port)) in good {
            assert_eq!(Origin::parse(text), Ok(Origin { is_tls, host: host.into(), port }), "{text}");
        }
        for text in [
            "http://ci.example.com",
            "ci.example.com",
            "",
            "ftp://127.0.0.1",
            "https://a.example/jobs",
            "https://u:p@a.example",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }
}
