//! A job that has ended, as its callback would have been published.

use std::sync::Arc;

use ci_bridge_ingress::Endpoint;
use ci_bridge_publisher::{HeaderName, Message, MessageId, Origin, Routed};
use ci_bridge_schema::{Described, Event};

/// A job or run that CI says has ended.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// The id of its message; the first, where a rule copies it.
    pub(crate) id: MessageId,
    /// Its own id, by which CI finds it again.
    pub(crate) own_id: String,
    /// When it ended, in seconds since 1970; `None` where CI does not say.
    pub(crate) ended: Option<i64>,
    /// When it ended, or else when it began.
    pub(crate) last_seen: Option<i64>,
    pub(crate) queue: Option<String>,
    /// What each endpoint that would take its callback would have published: the first is the one that does.
    pub(crate) routes: Vec<Vec<Message>>,
}

/// The value of `Ci-Origin` of what no callback brought.
const ORIGIN: &str = "reconcile";

impl Candidate {
    /// As these endpoints would publish it; `None` while it runs.
    pub(crate) fn of(described: &Described<'_>, endpoints: &[Arc<Endpoint>]) -> Option<Self> {
        if !described.has_ended {
            return None;
        }
        let event = &described.event;
        let routing = event.routing();
        let routes = routes(event, endpoints);
        let first = routes.first().and_then(|messages| messages.first());
        Some(Self {
            id: first.map_or_else(|| MessageId::of_event(event), |message| message.id.clone()),
            own_id: routing.id.as_deref()?.to_owned(),
            ended: routing.ended_at(),
            last_seen: routing.began_or_ended_at(),
            queue: routing.queue_id.as_deref().map(str::to_owned),
            routes,
        })
    }

    /// No endpoint would take its callback, or the one that would drops it.
    pub(crate) fn is_foreign(&self) -> bool {
        self.routes.is_empty()
    }

    /// Where it is published; empty for one that is foreign.
    pub(crate) fn subject(&self) -> &str {
        self.routes
            .first()
            .and_then(|messages| messages.first())
            .map_or("", |message| message.subject.as_str())
    }
}

/// By every endpoint that takes its bucket: which of them its callback came to, CI does not say. None at all, if the first
/// of them drops it.
fn routes(event: &Event<'_>, endpoints: &[Arc<Endpoint>]) -> Vec<Vec<Message>> {
    let mut routes = Vec::new();
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.takes(event)) {
        let origin = Origin { endpoint: &endpoint.name, trace: None };
        match endpoint.router.route(event, origin) {
            Routed::Published(mut messages) => {
                for message in &mut messages {
                    message.headers.push(HeaderName::CiOrigin, ORIGIN);
                }
                routes.push(messages);
            }
            Routed::Dropped(_) if routes.is_empty() => return routes,
            Routed::Dropped(_) => {}
        }
    }
    routes
}
