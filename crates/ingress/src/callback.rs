//! The way of a callback: bytes, parse, normalise, route, publish, respond.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use ci_bridge_publisher::{
    HeaderName, Message, Origin, Propagation, Publisher, Quarantined, Routed, TraceContext, Unavailable,
};
use ci_bridge_schema::{Event, Format, Normalised, ParseError, normalise, parse};
use tracing::{Instrument, debug};

use crate::answer::Answer;
use crate::budget::ByteReservation;
use crate::cost;
use crate::endpoint::Endpoint;
use crate::limits::Limits;
use crate::long::LongReader;
use crate::metrics::{Metrics, Outcome};
use crate::published::Published;
use crate::recent::{CallbackNotes, Recent};
use crate::refusals::{QuarantineEntry, Refusals};
use crate::rejection::Rejection;
use crate::trace;
use crate::verify::{self, Routes, Verified, Verifier, WithoutAnswer};

/// Takes callbacks and answers them.
pub struct Ingress {
    /// Replaced as a whole: a request sees the old ones or the new ones.
    endpoints: RwLock<Arc<[Arc<Endpoint>]>>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) refusals: Refusals,
    /// What has come lately, for a page that somebody may look at; none when there is no page.
    pub(crate) recent: Option<Arc<Recent>>,
    publisher: Publisher,
    /// Asks CI about callbacks, for endpoints that want it.
    verifier: Option<Arc<dyn Verifier>>,
    long_reader: LongReader,
    /// Shutdown has begun: each answer is the last of its connection.
    closing: AtomicBool,
}

impl Ingress {
    /// An ingress for these endpoints.
    ///
    /// # Errors
    ///
    /// When the system has nothing left for a runtime.
    pub fn new(
        endpoints: Vec<Endpoint>,
        limits: Limits,
        publisher: Publisher,
        verifier: Option<Arc<dyn Verifier>>,
        recent: Option<Arc<Recent>>,
        registry: &mut prometheus_client::registry::Registry,
    ) -> io::Result<Self> {
        let endpoints = endpoints.into_iter().map(Arc::new).collect();
        Ok(Self {
            endpoints: RwLock::new(endpoints),
            limits,
            metrics: Metrics::register(registry),
            refusals: Refusals::default(),
            recent,
            publisher,
            verifier,
            long_reader: LongReader::new()?,
            closing: AtomicBool::new(false),
        })
    }

    /// Replaces all endpoints; requests in flight finish with the one that they came to.
    pub fn replace_endpoints(&self, endpoints: Vec<Endpoint>) {
        let endpoints = endpoints.into_iter().map(Arc::new).collect();
        *self.endpoints.write().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    /// The endpoints in effect.
    #[must_use]
    pub fn endpoints(&self) -> Arc<[Arc<Endpoint>]> {
        Arc::clone(&self.endpoints.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What senders may take of the bridge.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// From now on each answer is the last of its connection.
    pub(crate) fn begin_shutdown(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Who exports spans, if anybody does.
    pub(crate) fn traces(&self) -> Option<&dyn Propagation> {
        self.publisher.traces()
    }

    /// What an authenticated callback is answered: 200 only when every message of it is durable.
    pub(crate) async fn receive(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        body: Bytes,
        trace: Option<&TraceContext>,
        notes: &mut CallbackNotes,
    ) -> Answer {
        let origin = Origin { endpoint: &endpoint.name, trace };
        if let Some(without_answer) = endpoint.verify {
            // Boxed: this future is larger than that of others, which need not have room for it.
            let verified = self.receive_verified(endpoint, without_answer, &body, origin, notes);
            return Box::pin(verified).await.silenced();
        }
        let routed = self.read(endpoint, &body, trace, notes, Self::messages).await;
        notes.has_parsed();
        let messages = match routed {
            Ok(messages) => messages,
            Err(NoMessages::Unreadable(error)) => {
                return self.quarantine(endpoint, &body, origin, Rejection::Unreadable(error), notes).await;
            }
            Err(NoMessages::Answer(answer)) => return answer,
        };
        self.publish(endpoint, &body, origin, messages, notes).await
    }

    /// Reads a body: a long one on another thread. What that takes of memory is much for a large one, but not held for
    /// long.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        body: &Bytes,
        trace: Option<&TraceContext>,
        notes: &mut CallbackNotes,
        read: Read<T>,
    ) -> Result<T, NoMessages> {
        let cost = cost::of_reading(body, &self.limits.parse);
        if cost == 0 {
            return read(self, endpoint, body, Origin { endpoint: &endpoint.name, trace }, notes);
        }
        let (ingress, endpoint, body) = (Arc::clone(self), Arc::clone(endpoint), body.clone());
        let untold = CallbackNotes::new(self.recent.is_some());
        let (trace, mut told) = (trace.cloned(), std::mem::replace(notes, untold));
        let is_long = cost::is_long(&body);
        let work = move || {
            let mut share = ingress.share();
            let read = match share.take(cost) {
                true => {
                    let origin = Origin { endpoint: &endpoint.name, trace: trace.as_ref() };
                    read(&ingress, &endpoint, &body, origin, &mut told)
                }
                false => Err(NoMessages::Answer(Answer::TooManyBytes { limit: share.most() })),
            };
            (read, told)
        };
        let (read, told) = match is_long {
            true => self.long_reader.run(work).await.ok_or_else(|| {
                NoMessages::Answer(Answer::Unavailable("the bridge is shutting down".to_owned()))
            })?,
            false => work(),
        };
        *notes = told;
        read
    }

    /// What one body, or the reading of one, takes of the memory for all.
    pub(crate) fn share(&self) -> ByteReservation {
        ByteReservation::new(self.metrics.bytes_in_flight.clone(), self.limits.max_bytes_in_flight)
    }

    async fn publish(
        &self,
        endpoint: &Endpoint,
        body: &Bytes,
        origin: Origin<'_>,
        messages: Vec<Message>,
        notes: &mut CallbackNotes,
    ) -> Answer {
        notes.has_in_hand(&messages);
        let result = self.publisher.publish(&messages).await;
        notes.has_published();
        match result {
            Ok(receipts) => Answer::Published(Published::all(messages, receipts)),
            Err(Unavailable::Later(reason)) => Answer::Unavailable(reason),
            Err(Unavailable::TooLarge(failure)) => {
                let rejection = Rejection::TooLarge(failure.to_string());
                self.quarantine(endpoint, body, origin, rejection, notes).await
            }
        }
    }

    /// The same for an endpoint where a callback is a hint only: what is published is CI's own account of it.
    async fn receive_verified(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        without_answer: WithoutAnswer,
        body: &Bytes,
        origin: Origin<'_>,
        notes: &mut CallbackNotes,
    ) -> Answer {
        let events = self.read(endpoint, body, origin.trace, notes, Self::owned_events).await;
        notes.has_parsed();
        let events = match events {
            Ok(events) => events,
            Err(NoMessages::Unreadable(error)) => {
                return self.quarantine(endpoint, body, origin, Rejection::Unreadable(error), notes).await;
            }
            Err(NoMessages::Answer(answer)) => return answer,
        };
        let Verified { messages, rules, denied, unverified, unknown } = verify::ask(
            self.verifier.as_deref(),
            &events,
            |event, is_verified| self.route_verified(endpoint, event, origin, is_verified),
            without_answer,
        )
        .instrument(trace::verify())
        .await;
        notes.has_verified();
        if let Some(why) = unknown {
            self.refusals.refused_unverified(&endpoint.name, &why);
            return Answer::Unavailable(why);
        }
        if let Some(why) = unverified {
            self.refusals.published_unverified(&endpoint.name, &why);
        }
        let published = match (messages.is_empty(), rules.is_empty()) {
            (false, _) => self.publish(endpoint, body, origin, messages, notes).await,
            (true, false) => Answer::Dropped(rules),
            // Nothing of it was confirmed: what is left to say is said below.
            (true, true) => Answer::Silent(Outcome::Quarantined),
        };
        notes.keeps(&published);
        match denied {
            Some(why) if published.status().is_success() => {
                self.quarantine(endpoint, body, origin, Rejection::Unverified(why), notes).await
            }
            _ => published,
        }
    }

    /// The messages of an event as CI describes it, which need not be of the bucket that the callback named.
    fn route_verified(
        &self,
        endpoint: &Endpoint,
        event: &Event<'_>,
        origin: Origin<'_>,
        is_verified: bool,
    ) -> Option<Routes> {
        if !endpoint.takes(event) {
            return None;
        }
        let (mut messages, rules) =
            self.route(endpoint, std::slice::from_ref(event), origin, &mut CallbackNotes::new(false));
        for message in messages.iter_mut().filter(|_| !is_verified) {
            message.headers.push(HeaderName::CiVerified, "false");
        }
        Some((messages, rules))
    }

    /// The messages of all events, and the rules that drop some of them.
    fn route(
        &self,
        endpoint: &Endpoint,
        events: &[Event<'_>],
        origin: Origin<'_>,
        notes: &mut CallbackNotes,
    ) -> (Vec<Message>, BTreeSet<usize>) {
        let (mut messages, mut rules) = (Vec::new(), BTreeSet::new());
        for event in events {
            let (routed, decision) = endpoint.router.route_and_decision(event, origin);
            notes.is_decided_by(decision);
            match routed {
                // Most callbacks have one event: its messages need no other list.
                Routed::Published(first) if messages.is_empty() => messages = first,
                Routed::Published(further) => messages.extend(further),
                Routed::Dropped(dropped) => {
                    debug!(endpoint = endpoint.name, rule = dropped.rule, id = %dropped.id, "dropped by a rule");
                    self.publisher.dropped(&dropped);
                    rules.insert(dropped.rule);
                }
            }
        }
        (messages, rules)
    }

    /// Parse, normalise, route: no part of it waits for anything.
    fn messages(
        &self,
        endpoint: &Endpoint,
        body: &[u8],
        origin: Origin<'_>,
        notes: &mut CallbackNotes,
    ) -> Result<Vec<Message>, NoMessages> {
        let events = self.events(endpoint, body, notes)?;
        match self.route(endpoint, &events, origin, notes) {
            (messages, rules) if messages.is_empty() => {
                notes.has_none_of(&events);
                Err(NoMessages::Answer(Answer::Dropped(rules)))
            }
            (messages, _) => Ok(messages),
        }
    }

    /// Parse and normalise, and turn away what the endpoint does not take.
    fn events<'b>(
        &self,
        endpoint: &Endpoint,
        body: &'b [u8],
        notes: &mut CallbackNotes,
    ) -> Result<Vec<Event<'b>>, NoMessages> {
        let parsing = trace::parse().entered();
        let callback = parse(body, &self.limits.parse).map_err(|error| {
            parsing.record("error.type", error.reason().as_str());
            NoMessages::Unreadable(error)
        })?;
        let events = match normalise(callback) {
            Normalised::Probe => return Err(NoMessages::Answer(Answer::Probe)),
            Normalised::Events(events) => events,
        };
        drop(parsing);
        let age = self.metrics.arrived(&events);
        notes.tells_of(&events, age);
        match endpoint.forbidden_bucket(&events) {
            Some(bucket) => {
                notes.has_none_of(&events);
                Err(NoMessages::Answer(Answer::BucketNotAllowed(bucket)))
            }
            None => Ok(events),
        }
    }

    /// The same, of a body that need not stay.
    fn owned_events(
        &self,
        endpoint: &Endpoint,
        body: &[u8],
        origin: Origin<'_>,
        notes: &mut CallbackNotes,
    ) -> Result<Vec<Event<'static>>, NoMessages> {
        let events = self.events(endpoint, body, notes)?;
        // CI's account of them is not there yet: what the page names is where the callback's own word leads.
        if let Some(first) = events.first() {
            notes.is_decided_by(endpoint.router.decide(first, origin));
        }
        Ok(events.into_iter().map(Event::into_owned).collect())
    }

    /// Keeps a body that gives no event; only then may the sender be told that it is the body's fault.
    async fn quarantine(
        &self,
        endpoint: &Endpoint,
        body: &Bytes,
        origin: Origin<'_>,
        rejection: Rejection,
        notes: &mut CallbackNotes,
    ) -> Answer {
        let (kept, detail) = rejection.kept_of(body, self.publisher.max_payload());
        let rejected = Quarantined {
            body,
            kept,
            reason: rejection.reason(),
            detail: &detail,
            media_type: Format::sniff(body).media_type(),
        };
        let message = endpoint.router.quarantine(&rejected, origin);
        let result = self.publisher.publish(std::slice::from_ref(&message)).await;
        notes.has_published();
        let receipt = result.as_ref().ok().and_then(|receipts| receipts.first());
        notes.is_quarantined(rejection.reason(), &detail, &message, receipt);
        match result {
            Ok(_) => {
                self.refusals.quarantined(&QuarantineEntry {
                    reason: rejection.reason(),
                    detail: &detail,
                    endpoint: &endpoint.name,
                    id: message.id.as_str(),
                });
                rejection.answer(message.id)
            }
            Err(unavailable) => Answer::Unavailable(unavailable.to_string()),
        }
    }
}

/// What becomes of a body when it is read.
type Read<T> = fn(&Ingress, &Endpoint, &[u8], Origin<'_>, &mut CallbackNotes) -> Result<T, NoMessages>;

/// Why there is nothing to publish.
enum NoMessages {
    /// The body goes to quarantine.
    Unreadable(ParseError),
    /// The callback is answered as it is.
    Answer(Answer),
}
