//! The admin listener's connections: who has a slot when they are many, and what of a request its handlers get.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::debug;

use crate::admin::Admin;
use crate::answer::Answer;
use crate::api::{Body, Caller};
use crate::connection::{guarded, http1_builder};
use crate::framing::{self, HeadLimits};
use crate::life::Life;
use crate::limits::Limits;
use crate::server::accept;
use crate::slot::{ConnectionSlot, ConnectionSlots};

/// Health checks, scrapes and requests of the API at once, of one admin listener.
const MAX_CONNECTIONS: usize = 64;
/// Beside them, while each of those has a request in progress or has only just come: for health checks and nothing
/// else, so that whoever is busy with the API cannot make Kubernetes restart the bridge.
const MAX_PROBES: usize = 16;
/// From a connection's start, or its last answer, to the end of the next request's head: longer than most scrapers wait
/// between two scrapes. Whoever asks and does not read its answer has as long.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Answers health checks, scrapes and the API until `shutdown`. Heads are held to the same grammar as those of callbacks,
/// and to the same limits.
pub async fn serve_admin(
    listener: TcpListener,
    admin: Arc<Admin>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let (usual, probes) =
        (Arc::new(ConnectionSlots::new(MAX_CONNECTIONS)), Arc::new(ConnectionSlots::new(MAX_PROBES)));
    let head = limits.head();
    let telling = Arc::clone(&admin);
    let (stop, stopping) = watch::channel(false);
    let mut on_connection = |stream: TcpStream, peer: SocketAddr| {
        let Ok(local) = stream.local_addr() else { return };
        let slot = usual.take().map(|(slot, _)| (slot, false));
        // Without one it is closed without a word: whoever floods the listener learns nothing, and costs no more.
        let Some((slot, only_probes)) = slot.or_else(|| Some((probes.take()?.0, true))) else { return };
        let life = Life { peer, slot: Arc::new(slot), stopping: stopping.clone() };
        let caller = Caller { local: local.ip(), peer, hang_up: Arc::default() };
        let desk = Desk { admin: Arc::clone(&admin), caller, only_probes };
        tokio::spawn(converse(stream, life, desk, head));
    };
    let mut on_failure = || {
        usual.evict();
    };
    tokio::select! {
        () = accept(&listener, shutdown, &mut on_connection, &mut on_failure) => {}
        () = telling.api.keep_telling() => {}
    }
    drop(stopping);
    let _ = stop.send(true);
    stop.closed().await;
}

async fn converse(stream: TcpStream, life: Life, desk: Desk, head: HeadLimits) {
    // Answers are one small write: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let (desk, slot) = (Arc::new(desk), Arc::clone(&life.slot));
    let hang_up = Arc::clone(&desk.caller.hang_up);
    let service = service_fn(move |request| Arc::clone(&desk).take(request, Arc::clone(&slot)));
    let connection = http1_builder(head).serve_connection(guarded(stream, head), service);
    let driven = tokio::select! {
        driven = life.drive(connection, life.idle(IDLE_TIME)) => driven,
        // What was written and not read would be in the way of an end in good order.
        () = hang_up.notified() => Ok(()),
    };
    if let Err(error) = driven {
        debug!(peer = %life.peer, error = error.to_string(), "connection ended");
    }
}

/// Where the requests of one connection arrive.
struct Desk {
    admin: Arc<Admin>,
    caller: Caller,
    only_probes: bool,
}

impl Desk {
    async fn take(
        self: Arc<Self>,
        request: Request<Incoming>,
        slot: Arc<ConnectionSlot>,
    ) -> Result<Response<Body>, Infallible> {
        let Some(in_progress) = slot.begin() else {
            // The connection is being closed for another.
            return std::future::pending().await;
        };
        // Where a chunked body ends two readers may disagree, so nothing after it is taken for a request.
        let is_last = request.headers().contains_key(header::TRANSFER_ENCODING) || self.only_probes;
        let mut response = self.answer(&request).await;
        // A body that goes on is a request in progress: nobody who only waits.
        match response.body_mut() {
            Either::Right(events) => events.hold(in_progress),
            Either::Left(_) => drop(in_progress),
        }
        if is_last {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        if let Some(fault) = framing::marked(request) {
            return Answer::Malformed(fault).into_response().map(Either::Left);
        }
        if self.only_probes && !Admin::is_probe(request.uri().path()) {
            return Answer::Overloaded("connections to the admin listener").into_response().map(Either::Left);
        }
        self.admin.answer(request, &self.caller).await
    }
}
