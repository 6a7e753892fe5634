//! Listeners and connections: how many, how slow, and how they end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ci_bridge_publisher::{LogLimit, SUM_UP_INTERVAL, Sum};
use ci_bridge_schema as schema;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crate::callback::Ingress;
use crate::connection::{Connection, Shared, turn_away};
use crate::framing::HeadLimits;
use crate::life::Life;
use crate::place::Places;
use crate::tls::Tls;

/// What senders may take of the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub max_body: usize,
    /// From the end of a request's head to the end of its body.
    pub body_timeout: Duration,
    /// From the end of a body to the answer.
    pub deadline: Duration,
    /// From a connection's start to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From a connection's start, or its last answer, to the end of the next request's head.
    pub header_timeout: Duration,
    /// Connections open at once.
    pub max_connections: usize,
    /// Requests being read or answered at once.
    pub max_in_flight: usize,
    /// Bytes of all bodies that are held at once, from their arrival to their answer.
    pub max_bytes_in_flight: usize,
    /// Requests at once of one HTTP/2 connection.
    pub max_streams: u32,
    /// Header fields of a request.
    pub max_headers: usize,
    /// Bytes of a request's head.
    pub max_header_bytes: usize,
    /// What a body may cost to parse.
    pub parse: schema::Limits,
}

impl Limits {
    /// Of a head.
    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits { fields: self.max_headers, bytes: self.max_header_bytes }
    }
}

/// Connections over the limit that are told so at a time; more are closed without a word.
const MAX_TURNED_AWAY: usize = 64;
/// After `accept` failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Lines a minute that say so, of the up to 1,200 times.
const FAILURE_LINES: u64 = 1;
/// After shutdown has begun, how long connections may still bring a request before they are closed.
const GOODBYE_TIME: Duration = Duration::from_millis(500);

/// Takes callbacks until `shutdown`, then finishes what is in flight: every request that was received is answered.
/// With `tls`, nothing else is spoken.
pub async fn serve_callbacks(
    listener: TcpListener,
    ingress: Arc<Ingress>,
    tls: Option<Arc<Tls>>,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Places::new(ingress.limits.max_connections));
    let in_flight = Arc::new(Semaphore::new(ingress.limits.max_in_flight));
    let turning_away = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
    let shared = Arc::new(Shared { ingress: Arc::clone(&ingress), tls, in_flight });
    let (stop, stopping) = watch::channel(false);
    let mut on_connection = |stream, peer| match places.take() {
        Some((place, was_taken)) => {
            if was_taken {
                ingress.metrics.connection_closed("evicted");
            }
            let life = Life { peer, place: Arc::new(place), stopping: stopping.clone() };
            spawn(Connection { shared: Arc::clone(&shared), life }, stream);
        }
        None => {
            ingress.metrics.connection_closed("no_room");
            tell_no_room(stream, &turning_away);
        }
    };
    // Usually there are no files left: whoever only waits gives one back.
    let mut on_failure = || {
        if places.evict() {
            ingress.metrics.connection_closed("evicted");
        }
    };
    tokio::select! {
        () = accept(&listener, shutdown, &mut on_connection, &mut on_failure) => {}
        () = ingress.refusals.sum_up_every_minute() => {}
    }
    // A connection closed at once could have a request on its way, which would then be reset. Each is told with its
    // next answer that it was the last, and only those that stay silent are closed.
    ingress.say_goodbye();
    accept(&listener, tokio::time::sleep(GOODBYE_TIME), &mut on_connection, &mut on_failure).await;
    drop(listener);
    drop(stopping);
    let _ = stop.send(true);
    // Each connection has a receiver until its end.
    stop.closed().await;
    ingress.refusals.sum_up();
}

fn spawn(connection: Connection, stream: TcpStream) {
    let gauge = Arc::clone(&connection.shared.ingress.metrics.connections);
    gauge.inc();
    tokio::spawn(async move {
        connection.serve(stream).await;
        gauge.dec();
    });
}

fn tell_no_room(stream: TcpStream, turning_away: &Arc<Semaphore>) {
    if let Ok(permit) = Arc::clone(turning_away).try_acquire_owned() {
        tokio::spawn(async move {
            turn_away(stream).await;
            drop(permit);
        });
    }
}

pub(crate) async fn accept(
    listener: &TcpListener,
    shutdown: impl Future<Output = ()>,
    on_connection: &mut impl FnMut(TcpStream, SocketAddr),
    on_failure: &mut impl FnMut(),
) {
    let mut shutdown = std::pin::pin!(shutdown);
    let failures = LogLimit::new(FAILURE_LINES);
    let mut summed_up_at = Instant::now();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => on_connection(stream, peer),
                Err(error) => {
                    if summed_up_at.elapsed() >= SUM_UP_INTERVAL {
                        summed_up_at = Instant::now();
                        failures.sum_up().iter().for_each(tell_failures);
                    }
                    if failures.admits("accept", "") {
                        warn!(%error, "cannot accept a connection");
                    }
                    on_failure();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = &mut shutdown => return,
        }
    }
}

fn tell_failures(sum: &Sum) {
    warn!(count = sum.count, "connections could not be accepted");
}
