//! Rules: which events go elsewhere, are copied, or dropped.

use std::sync::Arc;

use ci_bridge_schema::{Kind, RoutingAttributes};
use serde::{Deserialize, Serialize};

use crate::glob::Glob;
use crate::subject::TemplateError;
use crate::template::{Field, Template, Values};

/// A rule before the templates: the first that matches decides.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which events.
    pub matches: Match,
    /// What becomes of them.
    pub then: Then,
}

/// Conditions on an event; all that are given must hold, each for one of its patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// `task`, `workflow` or `moderation`.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub kind: OneOrMany,
    /// A job's tag.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub tag: OneOrMany,
    /// `Success`, `Failed`, …
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub state: OneOrMany,
    /// A moderation's event.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub event: OneOrMany,
    /// A moderation's verdict.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub verdict: OneOrMany,
    /// The bucket with its APPID.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub bucket: OneOrMany,
    /// The region.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub region: OneOrMany,
    /// The object's key.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub object: OneOrMany,
    /// The queue.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub queue_id: OneOrMany,
    /// The workflow's id.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub workflow_id: OneOrMany,
    /// The workflow's name.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub workflow_name: OneOrMany,
    /// The endpoint's name.
    #[serde(skip_serializing_if = "OneOrMany::is_empty")]
    pub endpoint: OneOrMany,
}

/// One pattern, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrManyWire", into = "Vec<Glob>")]
pub struct OneOrMany(Vec<Glob>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrManyWire {
    One(Glob),
    Many(Vec<Glob>),
}

/// What becomes of an event that a rule matches.
#[derive(Debug, Clone)]
pub enum Then {
    /// Published here instead.
    To(Template, Option<Arc<str>>),
    /// Published here as well as where its kind goes.
    Copy(Template, Option<Arc<str>>),
    /// Not published; the callback is answered 200.
    Drop,
}

impl Rule {
    /// The template of a rule's subject, which may meet events of any kind.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] says what to write instead.
    pub fn template(subject: &str) -> Result<Template, TemplateError> {
        let fields: Vec<_> =
            Field::ALL.iter().map(|(_, field)| *field).filter(|f| *f != Field::Reason).collect();
        Template::parse(subject, &fields)
    }
}

impl Match {
    pub(crate) fn matches(&self, event: &Described<'_>) -> bool {
        // Most rules have few conditions: the value of a field that has none is not even looked up.
        let holds = |patterns: &OneOrMany, field| patterns.is_empty() || patterns.matches(event.value(field));
        (self.kind.is_empty() || self.kind.matches(Some(event.kind.as_str())))
            && holds(&self.tag, Field::Tag)
            && holds(&self.state, Field::State)
            && holds(&self.event, Field::Event)
            && holds(&self.verdict, Field::Verdict)
            && holds(&self.bucket, Field::Bucket)
            && holds(&self.region, Field::Region)
            && holds(&self.object, Field::Object)
            && holds(&self.queue_id, Field::QueueId)
            && holds(&self.workflow_id, Field::WorkflowId)
            && holds(&self.workflow_name, Field::WorkflowName)
            && holds(&self.endpoint, Field::Endpoint)
    }

    /// Whether it can tell one endpoint's events from another's.
    pub(crate) fn looks_at_endpoint(&self) -> bool {
        !self.endpoint.is_empty()
    }

    /// The values of `kind` that no event has.
    pub fn unknown_kinds(&self) -> impl Iterator<Item = &Glob> {
        let kinds = [Kind::Task, Kind::Workflow, Kind::Moderation];
        self.kind.0.iter().filter(move |glob| !kinds.iter().any(|kind| glob.matches(kind.as_str())))
    }
}

impl OneOrMany {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn matches(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.0.iter().any(|glob| glob.matches(value)))
    }
}

impl From<OneOrManyWire> for OneOrMany {
    fn from(wire: OneOrManyWire) -> Self {
        match wire {
            OneOrManyWire::One(glob) => Self(vec![glob]),
            OneOrManyWire::Many(globs) => Self(globs),
        }
    }
}

impl From<OneOrMany> for Vec<Glob> {
    fn from(patterns: OneOrMany) -> Self {
        patterns.0
    }
}

/// An event as templates and rules see it.
pub(crate) struct Described<'e> {
    pub(crate) kind: Kind,
    pub(crate) routing: &'e RoutingAttributes<'e>,
    pub(crate) endpoint: &'e str,
}

impl Values for Described<'_> {
    fn value(&self, field: Field) -> Option<&str> {
        match field {
            Field::Tag => self.routing.tag.as_deref(),
            Field::State => self.routing.state.as_deref(),
            Field::Event => self.routing.event.as_deref(),
            Field::Verdict => self.routing.verdict.as_deref(),
            Field::Bucket => self.routing.bucket.as_deref(),
            Field::Region => self.routing.region.as_deref(),
            Field::Object => self.routing.object.as_deref(),
            Field::JobId => self.routing.id.as_deref(),
            Field::QueueId => self.routing.queue_id.as_deref(),
            Field::RunId => self.routing.run_id.as_deref(),
            Field::WorkflowId => self.routing.workflow_id.as_deref(),
            Field::WorkflowName => self.routing.workflow_name.as_deref(),
            Field::Endpoint => Some(self.endpoint),
            Field::Reason => None,
        }
    }
}
