//! Listeners and connections: how many, how slow, and how they end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ci_bridge_schema as schema;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::admin::Admin;
use crate::callback::Ingress;

/// What senders may take of the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub max_body: usize,
    /// From the end of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// From the end of a body to the answer.
    pub deadline: Duration,
    /// From a connection's start, or its last answer, to the end of the next request's head.
    pub header_timeout: Duration,
    /// Connections open at once.
    pub max_connections: usize,
    /// Requests being read or answered at once.
    pub max_in_flight: usize,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Bytes of a request's head.
    pub max_header_bytes: usize,
    /// What a body may cost to parse.
    pub parse: schema::Limits,
}

/// hyper's smallest read buffer.
const MIN_HEADER_BYTES: usize = 8192;
/// Connections over the limit that are told so at a time; more are closed without a word.
const MAX_TURNED_AWAY: usize = 64;
/// How long telling a connection that there is no room may take.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_millis(250);
/// After `accept` failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// After shutdown has begun, how long connections may still bring a request before they are closed.
const GOODBYE_TIME: Duration = Duration::from_millis(500);
/// Health checks and scrapes of one admin listener at once.
const MAX_ADMIN_CONNECTIONS: usize = 64;

const NO_ROOM: &str = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections at once (max_connections)"}"#;

/// Takes callbacks until `shutdown`, then finishes what is in flight: every request that was received is answered.
pub async fn serve_callbacks(
    listener: TcpListener,
    ingress: Arc<Ingress>,
    shutdown: impl Future<Output = ()>,
) {
    let connections = Arc::new(Semaphore::new(ingress.limits.max_connections));
    let in_flight = Arc::new(Semaphore::new(ingress.limits.max_in_flight));
    let turning_away = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
    let open = GracefulShutdown::new();
    let mut on_connection = |stream, peer| match Arc::clone(&connections).try_acquire_owned() {
        Ok(permit) => serve_connection(stream, peer, &ingress, &in_flight, permit, &open),
        Err(_) => turn_away(stream, &turning_away),
    };
    accept(&listener, shutdown, &mut on_connection).await;
    // A connection closed at once could have a request on its way, which would then be reset. Each is told with its
    // next answer that it was the last, and only those that stay silent are closed.
    ingress.say_goodbye();
    accept(&listener, tokio::time::sleep(GOODBYE_TIME), &mut on_connection).await;
    drop(listener);
    open.shutdown().await;
}

/// Answers health checks and scrapes until `shutdown`.
pub async fn serve_admin(listener: TcpListener, admin: Arc<Admin>, shutdown: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(MAX_ADMIN_CONNECTIONS));
    accept(&listener, shutdown, &mut |stream, _| {
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            return;
        };
        let admin = Arc::clone(&admin);
        let service = service_fn(move |request| {
            let answer = admin.answer(&request);
            async move { Ok::<_, std::convert::Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(30))
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            let _ = connection.await;
            drop(permit);
        });
    })
    .await;
}

async fn accept(
    listener: &TcpListener,
    shutdown: impl Future<Output = ()>,
    on_connection: &mut impl FnMut(TcpStream, SocketAddr),
) {
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => on_connection(stream, peer),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = &mut shutdown => return,
        }
    }
}

fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    ingress: &Arc<Ingress>,
    in_flight: &Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
    open: &GracefulShutdown,
) {
    // Answers are one small write: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let limits = &ingress.limits;
    let mut http = http1::Builder::new();
    // A sender that closes its half, or hangs up, still has its callback finished and counted in its place.
    http.half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_header_bytes.max(MIN_HEADER_BYTES));
    let service = {
        let (ingress, in_flight) = (Arc::clone(ingress), Arc::clone(in_flight));
        service_fn(move |request| {
            let place = Arc::clone(&in_flight).try_acquire_owned().ok();
            let answer = Arc::clone(&ingress).answer(request, peer.ip(), place);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        })
    };
    let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
    let gauge = Arc::clone(&ingress.metrics.connections);
    gauge.inc();
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%peer, %error, "connection ended");
        }
        gauge.dec();
        drop(permit);
    });
}

/// Says that there is no room, without reading what the sender wants.
fn turn_away(mut stream: TcpStream, turning_away: &Arc<Semaphore>) {
    let Ok(permit) = Arc::clone(turning_away).try_acquire_owned() else {
        return;
    };
    tokio::spawn(async move {
        let telling = async {
            let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
                Content-Type: application/problem+json\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{NO_ROOM}", NO_ROOM.len());
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        };
        let _ = timeout(TURN_AWAY_TIMEOUT, telling).await;
        drop(permit);
    });
}
