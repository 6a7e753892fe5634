//! Where an event goes: rules first, then the template of its kind.

mod quarantined;

use std::sync::Arc;

use bytes::Bytes;
use ci_bridge_schema::{Event, Kind, RoutingAttributes};

use crate::cloudevents::{Attributes, Format};
use crate::id::MessageId;
use crate::key_value;
use crate::message::{Headers, Message, MessageKind};
use crate::rule::{Described, Rule, Then};
use crate::subject::{Subject, TemplateError};
use crate::template::{Field, Template};
use crate::trace::TraceContext;
pub use quarantined::{Quarantined, REFUSED};

/// Decides subject, id and headers of every message. Pure.
#[derive(Debug, Clone)]
pub struct Router {
    task: Template,
    workflow: Template,
    moderation: Template,
    quarantine: Template,
    rules: Vec<Rule>,
    destinations: Destinations,
    /// The name of the endpoint, where it is part of the ids.
    id_endpoint: Option<Box<str>>,
}

/// What all routes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destinations {
    /// The stream of events.
    pub stream: Arc<str>,
    /// The stream of quarantine.
    pub quarantine_stream: Arc<str>,
    /// The key-value bucket with each job's last message.
    pub jobs: Option<Jobs>,
    /// Where CloudEvents attributes stand.
    pub format: Format,
}

/// A key-value bucket with each job's last message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jobs {
    /// Its name.
    pub bucket: Arc<str>,
    /// Its stream, `KV_<bucket>`.
    pub stream: Arc<str>,
}

/// Where a callback came from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin<'a> {
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// The trace that it is part of.
    pub trace: Option<&'a TraceContext>,
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routed {
    /// It is published: one message, or two when a rule copies it.
    Published(Vec<Message>),
    /// A rule drops it.
    Dropped(Dropped),
}

/// What decides where an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The template of its kind: no rule matches.
    Template,
    /// The rule in this place among all, the first being 0: it sends it elsewhere, or drops it.
    Rule(u16),
    /// The same, for a rule that copies what the template sends.
    Copy(u16),
}

/// A message that a rule keeps from being published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// What it would have been of.
    pub kind: MessageKind,
    /// The id that it would have had.
    pub id: MessageId,
    /// The rule's place among all, the first being 0.
    pub rule: usize,
}

impl Router {
    /// A router for one endpoint. The templates' placeholders are checked against what each kind has.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] names the key of `[subjects]` and what is wrong with its value.
    pub fn new(
        subjects: [&str; 4],
        rules: Vec<Rule>,
        destinations: Destinations,
    ) -> Result<Self, (&'static str, TemplateError)> {
        let [task, workflow, moderation, quarantine] = subjects;
        let template = |key, text, allowed: &[Field]| Template::parse(text, allowed).map_err(|e| (key, e));
        Ok(Self {
            task: template("task", task, &TASK_FIELDS)?,
            workflow: template("workflow", workflow, &WORKFLOW_FIELDS)?,
            moderation: template("moderation", moderation, &MODERATION_FIELDS)?,
            quarantine: template("quarantine", quarantine, &[Field::Reason, Field::Endpoint])?,
            rules,
            destinations,
            id_endpoint: None,
        })
    }

    /// From now on the endpoint's name is part of every id. JetStream deduplicates per stream, not per subject: an
    /// event that came to two endpoints would else be stored on the subject of the first alone.
    #[must_use]
    pub fn with_endpoint_in_ids(self, name: &str) -> Self {
        Self { id_endpoint: Some(name.into()), ..self }
    }

    /// Whether an event can go elsewhere than `other`, which has the same rules, would send it from its own endpoint.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        let names_endpoint = |template: &Template| template.holds(Field::Endpoint);
        let rule_differs = |rule: &Rule| {
            rule.matches.looks_at_endpoint()
                || matches!(&rule.then, Then::To(template, _) | Then::Copy(template, _) if names_endpoint(template))
        };
        self.templates() != other.templates()
            || self.templates().into_iter().any(names_endpoint)
            || self.rules.iter().any(rule_differs)
    }

    /// The stream that keeps what gives no event.
    pub(crate) fn quarantine_stream(&self) -> &Arc<str> {
        &self.destinations.quarantine_stream
    }

    fn templates(&self) -> [&Template; 4] {
        [&self.task, &self.workflow, &self.moderation, &self.quarantine]
    }

    /// An id as it is at this router's endpoint.
    fn own(&self, id: MessageId) -> MessageId {
        match &self.id_endpoint {
            Some(name) => id.at_endpoint(name),
            None => id,
        }
    }

    /// The messages of one event, or the rule that drops it.
    #[must_use]
    pub fn route(&self, event: &Event<'_>, origin: Origin<'_>) -> Routed {
        self.route_and_decision(event, origin).0
    }

    /// The same, and what decides it.
    #[must_use]
    pub fn route_and_decision(&self, event: &Event<'_>, origin: Origin<'_>) -> (Routed, Decision) {
        let described = Described { kind: event.kind(), routing: event.routing(), endpoint: origin.endpoint };
        let rule = self.rule_for(&described);
        (self.route_by(rule, &described, event, origin), self.decision(rule))
    }

    fn route_by(
        &self,
        rule: Option<usize>,
        described: &Described<'_>,
        event: &Event<'_>,
        origin: Origin<'_>,
    ) -> Routed {
        let (routing, data) = (event.routing(), event.data());
        let (kind, template) = match event.kind() {
            Kind::Task => (MessageKind::Task, &self.task),
            Kind::Workflow => (MessageKind::Workflow, &self.workflow),
            Kind::Moderation => (MessageKind::Moderation, &self.moderation),
        };
        let default_stream = &self.destinations.stream;
        let id = self.own(MessageId::of_event(event));
        let (main, copy) = match rule.map(|at| (at, &self.rules[at].then)) {
            None => ((template, default_stream), None),
            Some((rule, Then::Drop)) => return Routed::Dropped(Dropped { kind, id, rule }),
            Some((_, Then::To(template, stream))) => {
                ((template, stream.as_ref().unwrap_or(default_stream)), None)
            }
            Some((_, Then::Copy(further, stream))) => {
                ((template, default_stream), Some((further, stream.as_ref().unwrap_or(default_stream))))
            }
        };
        let message = |id: MessageId, subject, stream: &Arc<str>| {
            let (headers, payload) = self.encode(&id, kind, routing, origin, data);
            Message { subject, id, stream: stream.clone(), headers, payload, kind }
        };
        let copy = copy.map(|(template, stream)| {
            let subject = template.render(described);
            message(id.copy_to(&subject), subject, stream)
        });
        let (template, stream) = main;
        let mut messages = vec![message(id, template.render(described), stream)];
        messages.extend(copy);
        if let Some(jobs) = &self.destinations.jobs {
            let key = key(&messages[0], routing, jobs);
            messages.extend(key);
        }
        Routed::Published(messages)
    }

    /// What decides where the event goes.
    #[must_use]
    pub fn decide(&self, event: &Event<'_>, origin: Origin<'_>) -> Decision {
        let described = Described { kind: event.kind(), routing: event.routing(), endpoint: origin.endpoint };
        self.decision(self.rule_for(&described))
    }

    fn decision(&self, rule: Option<usize>) -> Decision {
        let Some(place) = rule else { return Decision::Template };
        let rule = u16::try_from(place).unwrap_or(u16::MAX);
        match self.rules[place].then {
            Then::Copy(..) => Decision::Copy(rule),
            Then::To(..) | Then::Drop => Decision::Rule(rule),
        }
    }

    /// The first that matches decides.
    fn rule_for(&self, described: &Described<'_>) -> Option<usize> {
        self.rules.iter().position(|rule| rule.matches.matches(described))
    }

    /// The pattern of subjects of jobs that no rule sends elsewhere.
    #[must_use]
    pub fn task_pattern(&self) -> String {
        self.task.pattern()
    }

    /// The tag that stands in such a subject; `None` where the template does not hold it as it is, or it was missing.
    #[must_use]
    pub fn tag_in(&self, subject: &str) -> Option<String> {
        self.task.value_in(Field::Tag, subject)
    }

    /// Each pattern of subjects that can be published to, with the stream that must hold it.
    #[must_use]
    pub fn patterns(&self) -> Vec<(String, String)> {
        let stream = &self.destinations.stream;
        let events = [&self.task, &self.workflow, &self.moderation];
        let mut patterns: Vec<_> = events.iter().map(|t| (t.pattern(), stream.to_string())).collect();
        for rule in &self.rules {
            if let Then::To(template, own) | Then::Copy(template, own) = &rule.then {
                patterns.push((template.pattern(), own.as_ref().unwrap_or(stream).to_string()));
            }
        }
        let jobs = self.destinations.jobs.as_ref();
        patterns.extend(jobs.map(|jobs| (key_value::subject(&jobs.bucket, "*"), jobs.stream.to_string())));
        patterns.push((self.quarantine.pattern(), self.destinations.quarantine_stream.to_string()));
        patterns
    }

    fn encode(
        &self,
        id: &MessageId,
        kind: MessageKind,
        routing: &RoutingAttributes<'_>,
        origin: Origin<'_>,
        data: &Bytes,
    ) -> (Headers, Bytes) {
        let attributes = Attributes {
            id,
            kind,
            bucket: routing.bucket.as_deref(),
            object: routing.object.as_deref(),
            time: routing.time.as_deref(),
        };
        let structured = match self.destinations.format {
            Format::CloudeventsBinary => None,
            // Canonical data is JSON, so this has no way to fail; if it did, binary mode carries the same.
            Format::CloudeventsStructured => attributes.structured(data).ok(),
        };
        let (mut headers, payload) =
            structured.unwrap_or_else(|| (attributes.binary("application/json"), data.clone()));
        push_trace(&mut headers, origin);
        (headers, payload)
    }
}

impl Routed {
    /// What is published: nothing of what a rule drops.
    #[must_use]
    pub fn into_messages(self) -> Vec<Message> {
        match self {
            Self::Published(messages) => messages,
            Self::Dropped(_) => Vec::new(),
        }
    }
}

/// The placeholders that a task's subject can hold.
const TASK_FIELDS: [Field; 11] = [
    Field::Tag,
    Field::State,
    Field::Bucket,
    Field::Region,
    Field::Object,
    Field::JobId,
    Field::QueueId,
    Field::RunId,
    Field::WorkflowId,
    Field::WorkflowName,
    Field::Endpoint,
];

const WORKFLOW_FIELDS: [Field; 8] = [
    Field::State,
    Field::Bucket,
    Field::Region,
    Field::Object,
    Field::RunId,
    Field::WorkflowId,
    Field::WorkflowName,
    Field::Endpoint,
];

const MODERATION_FIELDS: [Field; 8] = [
    Field::Event,
    Field::Verdict,
    Field::State,
    Field::Bucket,
    Field::Region,
    Field::Object,
    Field::JobId,
    Field::Endpoint,
];

/// The message of a job or run that has ended, under its own id in the bucket. A copy of what goes to the stream: body and
/// headers are the same, `ce-id` too.
fn key(message: &Message, routing: &RoutingAttributes<'_>, jobs: &Jobs) -> Option<Message> {
    let subject = Subject::of_key(&jobs.bucket, routing.id.as_deref()?)?;
    let id = message.id.copy_to(&subject);
    Some(Message { subject, id, stream: Arc::clone(&jobs.stream), ..message.clone() })
}

fn push_trace(headers: &mut Headers, origin: Origin<'_>) {
    if let Some(trace) = origin.trace {
        headers.push_trace(trace);
    }
}

#[cfg(test)]
mod tests;
