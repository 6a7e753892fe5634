//! One connection of a sender: its handshake and its protocol.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use crate::callback::Ingress;
use crate::framing::{Framing, HeadLimits};
use crate::guard::Guard;
use crate::http2::Frames;
use crate::life::Life;
use crate::limits::Limits;
use crate::tls::{H2, HandshakeFailure, Tls, TlsStream};

/// hyper's smallest read buffer.
const MIN_HEADER_BYTES: usize = 8192;
/// The header fields that hyper takes without being told.
const HYPER_MAX_HEADERS: usize = 100;
/// How long an answer may take that is given instead of a conversation.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_millis(250);

/// Bytes of one HTTP/2 request that may arrive before they are read: a usual callback whole.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all requests of a connection together: what a client can make the bridge hold unread.
const CONNECTION_WINDOW: u32 = 128 * 1024;
/// Bytes of answers that wait for a slow reader, for each request; answers are small.
const SEND_BUFFER: usize = 64 * 1024;
/// Requests reset by the client before they were looked at, after which the connection is given up: rapid reset
/// (CVE-2023-44487) is that and nothing else.
const PENDING_RESETS: usize = 20;
/// How often a silent HTTP/2 client is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

const NO_TLS: &str = r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"this address speaks TLS: use https://"}"#;
const NO_ROOM: &str = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections at once (max_connections)"}"#;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) in_flight: Arc<Semaphore>,
}

/// One connection, from its acceptance to its end.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) life: Life,
}

impl Connection {
    /// Serves it to its end.
    pub(crate) async fn serve(self, stream: TcpStream) {
        // Answers are one small write: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        if let Err(error) = self.converse(stream).await {
            debug!(peer = %self.life.peer, error = error.to_string(), "connection ended");
        }
    }

    async fn converse(&self, stream: TcpStream) -> hyper::Result<()> {
        match &self.shared.tls {
            None => self.http1(stream).await,
            Some(tls) => match self.shake_hands(tls, stream).await {
                Some(stream) if stream.get_ref().1.alpn_protocol() == Some(H2) => self.http2(stream).await,
                Some(stream) => self.http1(stream).await,
                None => Ok(()),
            },
        }
    }

    async fn shake_hands(&self, tls: &Tls, stream: TcpStream) -> Option<Box<TlsStream>> {
        let handshake = tls.accept(stream, self.limits().handshake_timeout);
        let failure = tokio::select! {
            shaken = handshake => match shaken {
                Ok(stream) => return Some(stream),
                Err(failure) => failure,
            },
            () = self.life.stopped() => return None,
            () = self.life.evicted() => return None,
        };
        self.shared.ingress.metrics.handshake_failed(failure.as_str());
        self.shared.ingress.refusals.handshake_failed(failure.as_str());
        debug!(peer = %self.life.peer, reason = failure.as_str(), error = failure.to_string(), "TLS handshake failed");
        if let HandshakeFailure::PlainText(stream) = failure {
            tokio::select! {
                () = answer_and_close(stream, "400 Bad Request", NO_TLS) => {}
                () = self.life.evicted() => {}
            }
        }
        None
    }

    async fn http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<()> {
        let limits = self.limits();
        let connection =
            http1_builder(limits.head()).serve_connection(guarded(stream, limits.head()), self.service());
        self.life.drive(connection, self.life.idle(limits.header_timeout)).await
    }

    /// Only over TLS, where clients can agree on it. Memory is bounded by the number of streams and their windows.
    async fn http2(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<()> {
        let limits = self.limits();
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(limits.max_streams)
            .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            // `Frames` counts them: h2 counts a request over `max_streams`, and each of its frames of DATA again. A
            // client knows no limit before it has read SETTINGS, and would lose the connection for what it sent by then.
            .max_local_error_reset_streams(None)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        let stream = TokioIo::new(Guard::new(stream, Frames::new(limits.max_header_bytes)));
        let connection = http.serve_connection(stream, self.service());
        self.life.drive(connection, self.life.idle(limits.header_timeout)).await
    }

    /// Answers requests, each with a slot in flight or a refusal.
    fn service(
        &self,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send + 'static,
    > + use<> {
        let (shared, slot, peer) =
            (Arc::clone(&self.shared), Arc::clone(&self.life.slot), self.life.peer.ip());
        let is_tls = shared.tls.is_some();
        service_fn(move |request| {
            let begun = slot.begin();
            let permit = Arc::clone(&shared.in_flight).try_acquire_owned().ok();
            Arc::clone(&shared.ingress).answer(request, peer, is_tls, begun, permit)
        })
    }

    fn limits(&self) -> &Limits {
        &self.shared.ingress.limits
    }
}

/// HTTP/1.1 as every listener speaks it. How long a head may take is the connection's own business: hyper would make a new
/// timer for each request.
pub(crate) fn http1_builder(head: HeadLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // A client that closes its half, or hangs up, still has its request finished and counted in its slot.
    http.half_close(true).header_read_timeout(None).max_buf_size(head.bytes.max(MIN_HEADER_BYTES));
    // The guard counts headers. Told a limit of its own, hyper clears a slot for each with every request.
    if head.fields > HYPER_MAX_HEADERS {
        http.max_headers(head.fields);
    }
    http
}

/// A connection that hyper gets only what is beyond doubt of.
pub(crate) fn guarded<IO: AsyncRead + AsyncWrite + Unpin>(
    stream: IO,
    head: HeadLimits,
) -> TokioIo<Guard<IO, Framing>> {
    TokioIo::new(Guard::new(stream, Framing::new(head)))
}

/// Says that there is no room, without reading what the sender wants.
pub(crate) async fn turn_away(stream: TcpStream) {
    answer_and_close(stream, "503 Service Unavailable\r\nRetry-After: 5", NO_ROOM).await;
}

async fn answer_and_close(mut stream: TcpStream, status: &str, problem: &str) {
    let telling = async {
        let length = problem.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n\
             Content-Length: {length}\r\n\r\n{problem}"
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing while the sender still writes would reset the connection, and the answer with it.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    let _ = timeout(TURN_AWAY_TIMEOUT, telling).await;
}
