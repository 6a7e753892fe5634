//! `/api/v1` of the admin listener: what waits in the spool, for `ci-bridge spool` and whoever else looks after a bridge;
//! and what has come lately, for the page.
//!
//! One table of resources, one file for each; `access` says who may.

mod access;
mod callbacks;
mod events;
mod guesses;
mod listeners;
mod parameters;
mod problem;
mod proof;
mod quarantine;
mod replay;
mod resource;
mod session;
mod settings;
mod spool;
mod status;
mod stored_message;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use ci_bridge_publisher::Publisher;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::sync::{Notify, Semaphore};

use crate::callback::Ingress;
use crate::recent::Recent;
use crate::shown::Shown;
pub use access::Access;
use access::Permit;
pub(crate) use listeners::Events;
use listeners::Listeners;
use parameters::Parameters;
use problem::Problem;
use resource::Resource;

/// Where everything of it begins.
pub(crate) const PREFIX: &str = "/api/v1/";

/// Requests that may look through the spool at once: each reads all of it, a page at a time.
const MAX_LOOKS: usize = 4;

/// Answers requests for what the bridge holds.
pub(crate) struct Api {
    publisher: Publisher,
    pub(crate) access: Arc<Access>,
    looks: Arc<Semaphore>,
    /// Shutdown has begun.
    draining: Arc<AtomicBool>,
    /// What the page shows; `None` when there is none.
    view: Option<View>,
}

/// What only the page asks for.
struct View {
    recent: Arc<Recent>,
    listeners: Listeners,
    ingress: Arc<Ingress>,
    shown: Arc<Shown>,
}

/// Whoever asks.
pub(crate) struct Caller {
    /// The address of ours that the request came to.
    pub(crate) local: IpAddr,
    pub(crate) peer: SocketAddr,
    /// Ends the connection at once.
    pub(crate) hang_up: Arc<Notify>,
}

/// The body of an answer: whole, or one that goes on.
pub(crate) type Body = Either<Full<Bytes>, Events>;

type Reply = Result<Response<Full<Bytes>>, Problem>;

impl Api {
    pub(crate) fn new(
        publisher: Publisher,
        access: Arc<Access>,
        draining: Arc<AtomicBool>,
        ingress: &Arc<Ingress>,
        shown: Arc<Shown>,
    ) -> Self {
        let view = ingress.recent.as_ref().map(|recent| View {
            recent: Arc::clone(recent),
            listeners: Listeners::default(),
            ingress: Arc::clone(ingress),
            shown,
        });
        Self { publisher, access, looks: Arc::new(Semaphore::new(MAX_LOOKS)), draining, view }
    }

    pub(crate) fn has_page(&self) -> bool {
        self.view.is_some()
    }

    /// Why a request is not for this listener, if it is not.
    pub(crate) fn foreign<B>(&self, request: &Request<B>, caller: &Caller) -> Option<Response<Full<Bytes>>> {
        self.access.check_host(request, caller.local).err().map(Problem::into_response)
    }

    /// Answers a request.
    pub(crate) async fn answer<B>(&self, request: &Request<B>, caller: &Caller) -> Response<Body> {
        let answered = self.try_answer(request, caller).await;
        let mut response = answered.unwrap_or_else(|problem| problem.into_response().map(Either::Left));
        let headers = response.headers_mut();
        // What a sender wrote stands in it: no browser is to make a page of that, and nobody is to keep it.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn try_answer<B>(&self, request: &Request<B>, caller: &Caller) -> Result<Response<Body>, Problem> {
        // First: a page of a stranger's name learns nothing, not even what there is.
        self.access.check_host(request, caller.local)?;
        let resource = Resource::at(request.uri().path()).ok_or_else(Problem::no_such_resource)?;
        let method = match *request.method() {
            // hyper leaves the body out.
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        let methods = resource.methods();
        if !methods.contains(method) {
            return Err(Problem::method_not_allowed(methods));
        }
        let (permit, proof) = self.access.permit(request.headers(), method, caller.peer.ip())?;
        let parameters = Parameters::of(request.uri().query().unwrap_or_default())?;
        let reply = match (resource, method) {
            (Resource::Spool, _) => self.spool_status(parameters),
            (Resource::Messages, &Method::DELETE) => self.give_up_all(parameters).await,
            (Resource::Messages, _) => self.messages(parameters, permit).await,
            (Resource::Message(id), &Method::DELETE) => self.give_up(&id, parameters).await,
            (Resource::Message(id), _) => self.message(&id, parameters, permit).await,
            (Resource::Events, _) => {
                return self.events(self.view()?, request.headers(), caller, parameters, proof);
            }
            (Resource::Session, method) => self.session(request.headers(), method, parameters, proof),
            (resource, _) => self.shown(resource, parameters, permit).await,
        };
        reply.map(|response| response.map(Either::Left))
    }

    /// What only the page asks for.
    async fn shown(&self, resource: Resource, parameters: Parameters, permit: Permit) -> Reply {
        let view = self.view()?;
        match resource {
            Resource::Status => self.status_now(view, parameters, permit),
            Resource::Series => Self::series(view, parameters),
            Resource::Callbacks => Self::callbacks(view, parameters),
            Resource::Stored { stream, sequence } => self.stored(&stream, sequence, parameters, permit).await,
            Resource::Job(id) => self.job(&id, parameters, permit).await,
            Resource::Quarantine => self.quarantine(parameters).await,
            Resource::Quarantined(seq) => self.quarantined(seq, parameters, permit).await,
            Resource::QuarantinedBody(seq) => self.quarantined_body(seq, parameters, permit).await,
            Resource::Replay(seq) => self.replay(view, seq, parameters, permit).await,
            Resource::Settings => self.settings(view, parameters),
            _ => Err(Problem::no_such_resource()),
        }
    }

    fn view(&self) -> Result<&View, Problem> {
        self.view.as_ref().ok_or_else(Problem::no_page)
    }
}

/// As JSON has times and JavaScript wants them.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
