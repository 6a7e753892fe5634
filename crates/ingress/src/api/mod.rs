//! `/api/v1` of the admin listener: what waits in the spool, for `ci-bridge spool` and whoever else looks after a bridge;
//! and what has come lately, for the page.
//!
//! One table of resources, one file for each; `access` says who may.

mod access;
mod callbacks;
mod events;
mod guesses;
mod kept;
mod listeners;
mod parameters;
mod problem;
mod quarantine;
mod session;
mod settings;
mod spool;
mod status;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use ci_bridge_publisher::Publisher;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use tokio::sync::{Notify, Semaphore};

use crate::callback::Ingress;
use crate::recent::Recent;
use crate::shown::Shown;
pub use access::Access;
use access::{Permit, Proof};
pub(crate) use listeners::Events;
use listeners::Listeners;
use parameters::Parameters;
use problem::Problem;

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
    pub(crate) peer: IpAddr,
    /// Ends the connection at once.
    pub(crate) hang_up: Arc<Notify>,
}

/// The body of an answer: whole, or one that goes on.
pub(crate) type Body = Either<Full<Bytes>, Events>;

/// What can be asked for.
#[derive(Debug, PartialEq)]
enum Resource {
    /// How it goes.
    Status,
    /// Ten minutes of it.
    Series,
    /// What has come lately.
    Callbacks,
    /// The same as it happens.
    Events,
    /// One message of a stream.
    Stored { stream: String, sequence: u64 },
    /// The last message of a job.
    Job(String),
    /// What is in quarantine,
    Quarantine,
    /// one of it,
    Quarantined(u64),
    /// its body as it came,
    QuarantinedBody(u64),
    /// and posting it again.
    Replay(u64),
    /// The configuration in effect.
    Settings,
    /// Logging in on the page.
    Session,
    /// How full the spool is.
    Spool,
    /// What waits in it.
    Messages,
    /// The messages under one id.
    Message(String),
}

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
        let (permit, proof) = self.access.permit(request.headers(), method, caller.peer)?;
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
            (Resource::Session, method) => {
                parameters.end()?;
                let (_, headers) = (self.view()?, request.headers());
                match (method, proof) {
                    (&Method::POST, Proof::Token(token)) => self.log_in(headers, token),
                    (&Method::DELETE, _) => self.log_out(headers),
                    _ => Err(Problem::unauthenticated(false)),
                }
            }
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

impl Resource {
    /// The resource at a path; an id may have any character, percent-encoded.
    fn at(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.strip_prefix(PREFIX)?.split('/').collect();
        let text = |segment: &str| {
            let text = percent_decode_str(segment).decode_utf8().ok()?;
            (!text.is_empty()).then(|| text.into_owned())
        };
        // As it is written in answers, and in no other way.
        let sequence = |segment: &str| {
            let sequence = segment.parse().ok().filter(|sequence: &u64| *sequence > 0)?;
            (segment == sequence.to_string()).then_some(sequence)
        };
        match segments[..] {
            ["status"] => Some(Self::Status),
            ["series"] => Some(Self::Series),
            ["callbacks"] => Some(Self::Callbacks),
            ["events"] => Some(Self::Events),
            ["streams", stream, "messages", seq] => {
                Some(Self::Stored { stream: text(stream)?, sequence: sequence(seq)? })
            }
            ["jobs", id] => text(id).map(Self::Job),
            ["quarantine"] => Some(Self::Quarantine),
            ["quarantine", seq] => sequence(seq).map(Self::Quarantined),
            ["quarantine", seq, "body"] => sequence(seq).map(Self::QuarantinedBody),
            ["quarantine", seq, "replay"] => sequence(seq).map(Self::Replay),
            ["settings"] => Some(Self::Settings),
            ["session"] => Some(Self::Session),
            ["spool"] => Some(Self::Spool),
            ["spool", "messages"] => Some(Self::Messages),
            ["spool", "messages", id] => text(id).map(Self::Message),
            _ => None,
        }
    }

    fn methods(&self) -> &'static [Method] {
        match self {
            Self::Replay(_) => &[Method::POST],
            Self::Session => &[Method::POST, Method::DELETE],
            Self::Messages | Self::Message(_) => &[Method::GET, Method::DELETE],
            _ => &[Method::GET],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_resource_or_none() {
        let message = |id: &str| Some(Resource::Message(id.to_owned()));
        for (path, expected) in [
            ("/api/v1/status", Some(Resource::Status)),
            ("/api/v1/status/", None),
            ("/api/v1/series", Some(Resource::Series)),
            ("/api/v1/callbacks", Some(Resource::Callbacks)),
            ("/api/v1/events", Some(Resource::Events)),
            ("/api/v1/Events", None),
            (
                "/api/v1/streams/CI%2FX/messages/7",
                Some(Resource::Stored { stream: "CI/X".to_owned(), sequence: 7 }),
            ),
            ("/api/v1/streams/CI/messages/0", None),
            ("/api/v1/streams/CI/messages/-1", None),
            ("/api/v1/streams/CI/messages/+1", None),
            ("/api/v1/streams/CI/messages/01", None),
            ("/api/v1/streams/CI/messages/1e3", None),
            ("/api/v1/streams/CI/messages/99999999999999999999999", None),
            ("/api/v1/streams//messages/1", None),
            ("/api/v1/jobs/j1", Some(Resource::Job("j1".to_owned()))),
            ("/api/v1/jobs/", None),
            ("/api/v1/quarantine", Some(Resource::Quarantine)),
            ("/api/v1/quarantine/3", Some(Resource::Quarantined(3))),
            ("/api/v1/quarantine/3/body", Some(Resource::QuarantinedBody(3))),
            ("/api/v1/quarantine/3/replay", Some(Resource::Replay(3))),
            ("/api/v1/quarantine/x", None),
            ("/api/v1/settings", Some(Resource::Settings)),
            ("/api/v1/session", Some(Resource::Session)),
            ("/api/v1/spool", Some(Resource::Spool)),
            ("/api/v1/spool/messages", Some(Resource::Messages)),
            ("/api/v1/spool/messages/task:j1:Success", message("task:j1:Success")),
            ("/api/v1/spool/messages/task%3Aj1%2F..%3ASuccess@ci.x", message("task:j1/..:Success@ci.x")),
            ("/api/v1/spool/messages/a%2", message("a%2")),
            ("/api/v1/spool/messages/", None),
            ("/api/v1/spool/messages/%ff", None),
            ("/api/v1/spool/messages/a/b", None),
            ("/api/v1/spool/", None),
            ("/api/v1//spool", None),
            ("/api/v1/../v1/spool", None),
            ("/api/v2/spool", None),
            ("/api/v1/", None),
        ] {
            assert_eq!(Resource::at(path), expected, "{path}");
        }
    }
}
