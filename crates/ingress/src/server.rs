//! Listeners and connections: how many, how slow, and how they end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ci_bridge_publisher::{LogLimit, SUM_UP_INTERVAL, Sum};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::warn;

use crate::callback::Ingress;
use crate::connection::{Connection, Shared, turn_away};
use crate::life::Life;
use crate::slot::ConnectionSlots;
use crate::tls::Tls;

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
    let slots = Arc::new(ConnectionSlots::new(ingress.limits.max_connections));
    let in_flight = Arc::new(Semaphore::new(ingress.limits.max_in_flight));
    let turning_away = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
    let shared = Arc::new(Shared { ingress: Arc::clone(&ingress), tls, in_flight });
    let (stop, stopping) = watch::channel(false);
    let mut on_connection = |stream, peer| match slots.take() {
        Some((slot, was_taken)) => {
            if was_taken {
                ingress.metrics.connection_closed("evicted");
            }
            let life = Life { peer, slot: Arc::new(slot), stopping: stopping.clone() };
            spawn(Connection { shared: Arc::clone(&shared), life }, stream);
        }
        None => {
            ingress.metrics.connection_closed("no_room");
            tell_no_room(stream, &turning_away);
        }
    };
    // Usually there are no files left: whoever only waits gives one back.
    let mut on_failure = || {
        if slots.evict() {
            ingress.metrics.connection_closed("evicted");
        }
    };
    tokio::select! {
        () = accept(&listener, shutdown, &mut on_connection, &mut on_failure) => {}
        () = ingress.refusals.sum_up_every_minute() => {}
    }
    // A connection closed at once could have a request on its way, which would then be reset. Each is told with its
    // next answer that it was the last, and only those that stay silent are closed.
    ingress.begin_shutdown();
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
