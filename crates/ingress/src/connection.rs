//! One connection of a sender: its handshake, its protocol, and its end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use crate::callback::Ingress;
use crate::framing::{Framing, HeadLimits};
use crate::guard::Guard;
use crate::http2::Frames;
use crate::place::Place;
use crate::server::Limits;
use crate::tls::{H2, HandshakeFailure, Tls, TlsStream};
use crate::when_woken::when_woken;

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

/// How long a connection's last words may take, once it is idle or shall end.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

const NO_TLS: &str = r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"this address speaks TLS: use https://"}"#;
const NO_ROOM: &str = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections at once (max_connections)"}"#;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) in_flight: Arc<Semaphore>,
}

/// What the bridge ends a connection with.
enum End {
    /// What is in progress is finished.
    Farewell,
    /// Nothing: another has its place.
    Evicted,
}

/// One connection, from its acceptance to its end.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: SocketAddr,
    pub(crate) place: Arc<Place>,
    /// Turns true when connections shall finish what they have and end.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Connection {
    /// Serves it to its end.
    pub(crate) async fn serve(self, stream: TcpStream) {
        // Answers are one small write: waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        if let Err(error) = self.converse(stream).await {
            debug!(peer = %self.peer, error = error.to_string(), "connection ended");
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
            () = self.stopped() => return None,
            () = self.evicted() => return None,
        };
        self.shared.ingress.metrics.handshake_failed(failure.as_str());
        self.shared.ingress.refusals.handshake_failed(failure.as_str());
        debug!(peer = %self.peer, reason = failure.as_str(), error = failure.to_string(), "TLS handshake failed");
        if let HandshakeFailure::PlainText(stream) = failure {
            tokio::select! {
                () = answer_and_close(stream, "400 Bad Request", NO_TLS) => {}
                () = self.evicted() => {}
            }
        }
        None
    }

    async fn http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<()> {
        let limits = self.limits();
        let mut http = http1::Builder::new();
        // A sender that closes its half, or hangs up, still has its callback finished and counted in its place.
        http.half_close(true)
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.max_header_bytes.max(MIN_HEADER_BYTES));
        // The guard counts headers. Told a limit of its own, hyper clears a place for each with every request.
        if limits.max_headers > HYPER_MAX_HEADERS {
            http.max_headers(limits.max_headers);
        }
        let framing = Framing::new(HeadLimits { fields: limits.max_headers, bytes: limits.max_header_bytes });
        let stream = TokioIo::new(Guard::new(stream, framing));
        let connection = http.serve_connection(stream, self.service());
        // hyper ends what does not ask, after header_read_timeout. What remains is a client that asks and does not read.
        self.drive(connection, self.idle(limits.header_timeout + FAREWELL_TIME)).await
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
        self.drive(connection, self.idle(limits.header_timeout)).await
    }

    /// Answers requests, each with a place in flight or a refusal.
    fn service(
        &self,
    ) -> impl Service<
        Request<Incoming>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send + 'static,
    > + use<> {
        let (shared, place, peer) = (Arc::clone(&self.shared), Arc::clone(&self.place), self.peer.ip());
        service_fn(move |request| {
            let begun = place.begin();
            let permit = Arc::clone(&shared.in_flight).try_acquire_owned().ok();
            Arc::clone(&shared.ingress).answer(request, peer, begun, permit)
        })
    }

    /// Serves until the connection ends, is closed for another, is idle for too long, or shall end with what it has.
    async fn drive<C: GracefulConnection>(
        &self,
        connection: C,
        idle: impl Future<Output = ()>,
    ) -> Result<(), C::Error> {
        let mut connection = pin!(connection);
        let end = async {
            tokio::select! {
                () = self.stopped() => End::Farewell,
                () = idle => End::Farewell,
                () = self.evicted() => End::Evicted,
            }
        };
        let end = tokio::select! {
            biased;
            // First: a client that floods may use up all that tokio grants a task at each poll, and what stands behind
            // would starve.
            end = when_woken(end) => end,
            ended = connection.as_mut() => return ended,
        };
        match end {
            End::Farewell => connection.as_mut().graceful_shutdown(),
            End::Evicted => return Ok(()),
        }
        // Requests in progress are finished; half a head, or a client that does not read, is not waited for.
        let silent = async {
            sleep(FAREWELL_TIME).await;
            self.idle(FAREWELL_TIME).await;
        };
        tokio::select! {
            ended = connection => ended,
            () = silent => Ok(()),
            () = self.evicted() => Ok(()),
        }
    }

    async fn stopped(&self) {
        // An error means that nobody is left to say it, which is the end as well.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    async fn evicted(&self) {
        self.place.evicted().await;
        debug!(peer = %self.peer, "connection closed for another");
    }

    /// Until there has been no request for this long.
    async fn idle(&self, limit: Duration) {
        loop {
            let since = self.place.waiting_since().unwrap_or_else(Instant::now);
            if since.elapsed() >= limit {
                return;
            }
            sleep_until(since + limit).await;
        }
    }

    fn limits(&self) -> &Limits {
        &self.shared.ingress.limits
    }
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
