//! Which of Tencent's callbacks a document is, and where in it the published elements stand.

use std::borrow::Cow;

use crate::document::{Children, Document, Node, Value};
use crate::error::ParseError;
use crate::limits::Limits;

/// A family of callbacks, as Tencent CI documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// One or several finished jobs (`JobsDetail`).
    Task,
    /// One finished workflow instance (`WorkflowExecution`).
    Workflow,
    /// A moderation result in the Detail form (`EventName: Review…`, `JobsDetail`).
    ModerationDetail,
    /// A moderation result in the Simple form (`code`, `message`, `data`).
    ModerationSimple,
    /// The request that the console sends when a moderation URL is saved. It must be answered 200.
    Probe,
}

/// `data.trace_id` of the console's probe; there is one with and one without `event`.
const PROBE_TRACE_ID: &str = "test_trace_id";

impl Family {
    /// The name of the members of the root that are published.
    pub(crate) fn element(self) -> &'static str {
        match self {
            Self::Task | Self::ModerationDetail => "JobsDetail",
            Self::Workflow => "WorkflowExecution",
            Self::ModerationSimple | Self::Probe => "data",
        }
    }
}

/// A well-formed callback of a known family, still in the vendor's shape. See [`crate::normalise`].
#[derive(Debug)]
pub struct Callback<'a> {
    pub(crate) family: Family,
    /// `EventName` at the root, or `data.event`; kept for moderation, whose subject holds it.
    pub(crate) event: Option<Cow<'a, str>>,
    pub(crate) document: Document<'a>,
}

impl Callback<'_> {
    /// Which of Tencent's callbacks it is.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }
}

/// Finds the family, and checks that there is something of it to publish.
pub(crate) fn recognise<'a>(document: Document<'a>, limits: &Limits) -> Result<Callback<'a>, ParseError> {
    let Some((family, event)) = document.root().and_then(family_of) else {
        return Err(ParseError::shape(
            "not a callback of Tencent CI: no EventName, JobsDetail, WorkflowExecution, or code, message and data",
        ));
    };
    let max_elements = if family == Family::Workflow { 1 } else { limits.max_jobs };
    check_elements(&document, family, max_elements)?;
    Ok(Callback { family, event, document })
}

/// The family, in the documented order: by `EventName`, then by what the body holds. With it, for moderation, the event.
fn family_of<'a>(root: Node<'_, 'a>) -> Option<(Family, Option<Cow<'a, str>>)> {
    // Only the root's own EventName counts: CosHeaders of a workflow's task hold one as well.
    let event = root.only("EventName").and_then(Node::text);
    let named = |prefix: &str| event.as_deref().is_some_and(|name| name.starts_with(prefix));
    if named("TaskFinish") {
        Some((Family::Task, None))
    } else if named("WorkflowFinish") {
        Some((Family::Workflow, None))
    } else if named("Review") && root.contains("JobsDetail") {
        Some((Family::ModerationDetail, event))
    } else if root.contains("WorkflowExecution") {
        Some((Family::Workflow, None))
    } else if root.contains("JobsDetail") {
        match elements_of(root, Family::Task).all(is_moderation) {
            true => Some((Family::ModerationDetail, event)),
            false => Some((Family::Task, None)),
        }
    } else {
        simple_moderation(root, event)
    }
}

fn simple_moderation<'a>(
    root: Node<'_, 'a>,
    event: Option<Cow<'a, str>>,
) -> Option<(Family, Option<Cow<'a, str>>)> {
    let data = root.only("data").filter(|data| data.is_object())?;
    if !(data.contains("event") || root.contains("code") && root.contains("message")) {
        return None;
    }
    let text_of = |name| data.only(name).and_then(Node::scalar);
    let is_probe = text_of("trace_id").as_deref() == Some(PROBE_TRACE_ID);
    let family = if is_probe { Family::Probe } else { Family::ModerationSimple };
    Some((family, event.or_else(|| text_of("event"))))
}

/// The elements that are published: one object, or a list of them. An empty element of XML is an object without members.
pub(crate) fn elements<'d, 'a>(document: &'d Document<'a>, family: Family) -> Elements<'d, 'a> {
    document.root().map_or(Elements::Listed(Children::NONE), |root| elements_of(root, family))
}

pub(crate) fn elements_of<'d, 'a>(root: Node<'d, 'a>, family: Family) -> Elements<'d, 'a> {
    match root.only(family.element()) {
        Some(list) if list.is_array() => Elements::Listed(list.children()),
        _ => Elements::Named(family.element(), root.children()),
    }
}

/// The elements that are published.
#[derive(Debug, Clone)]
pub(crate) enum Elements<'d, 'a> {
    /// All items of an array.
    Listed(Children<'d, 'a>),
    /// The members of this name.
    Named(&'static str, Children<'d, 'a>),
}

impl<'d, 'a> Iterator for Elements<'d, 'a> {
    type Item = Node<'d, 'a>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Listed(items) => items.next(),
            Self::Named(name, members) => members.find(|member| *member.name() == *name),
        }
    }
}

fn check_elements(document: &Document<'_>, family: Family, max: usize) -> Result<(), ParseError> {
    let (elements, name) = (elements(document, family), family.element());
    let is_there = || document.root().is_some_and(|root| root.contains(name));
    let refusal = match elements.clone().count() {
        0 if is_there() => format!("{name} is an empty list"),
        0 => format!("{name} is missing"),
        count if count > max => format!("{count} elements of {name}, more than {max} (max_jobs)"),
        _ if elements.clone().all(|element| element.is_object() || element.is_blank()) => {
            return Ok(elements.clone().try_for_each(|element| check_event(element, family))?);
        }
        _ => format!("{name} is not an object"),
    };
    Err(ParseError::shape(refusal))
}

/// Why an element is no event.
enum NoEvent {
    NotFinal(&'static str),
    Nothing,
}

impl From<NoEvent> for ParseError {
    fn from(reason: NoEvent) -> Self {
        Self::shape(match reason {
            NoEvent::NotFinal(state) => {
                format!("the state is {state}, which is not final: nothing has ended")
            }
            NoEvent::Nothing => "a JobsDetail without JobId, Tag and State: no job".to_owned(),
        })
    }
}

/// Whether an element is of something that has ended.
pub(crate) fn has_ended(element: Node<'_, '_>) -> bool {
    !element.named("State").any(|state| not_final(state).is_some())
}

/// What has not ended is no event, and neither is what says nothing of itself.
fn check_event(element: Node<'_, '_>, family: Family) -> Result<(), NoEvent> {
    let mut is_known = family != Family::Task;
    for member in element.children() {
        match &**member.name() {
            "JobId" | "Tag" => is_known |= !member.emptiness().is_nothing,
            "State" => {
                is_known |= !member.emptiness().is_nothing;
                if let Some(state) = not_final(member) {
                    return Err(NoEvent::NotFinal(state));
                }
            }
            _ => {}
        }
    }
    if is_known { Ok(()) } else { Err(NoEvent::Nothing) }
}

/// The state of the API that a job leaves again, also where it stands in a list. Moderation has `Auditing` as well, which
/// it does call back.
fn not_final(state: Node<'_, '_>) -> Option<&'static str> {
    match state.value() {
        Value::Text(text) => match &**text {
            "Submitted" => Some("Submitted"),
            "Running" => Some("Running"),
            "Pause" => Some("Pause"),
            _ => None,
        },
        Value::Array => state.children().find_map(not_final),
        Value::Object | Value::Literal(_) => None,
    }
}

/// The answers of the query API have neither `EventName` nor, in moderation, a `Tag`: what stands in a `JobsDetail` tells
/// the two apart.
///
/// This is a result of moderation or virus detection, by members that a job has not; a job has some that they have not.
fn is_moderation(element: Node<'_, '_>) -> bool {
    let mut found = false;
    for member in element.children().filter(|member| !member.emptiness().is_nothing) {
        match &**member.name() {
            "Tag" | "Operation" | "Input" | "QueueId" | "Workflow" => return false,
            "Result" | "Suggestion" | "Label" | "Labels" | "ForbidState" | "DetectDetail" => found = true,
            // At their place in a job there is an Input.
            "Object" | "Url" | "DataId" => found = true,
            // The scenes: PornInfo, AdsInfo, …
            name => found |= name.ends_with("Info") && name != "Md5Info",
        }
    }
    found
}

/// JSON callbacks have no root element, but the same body as an API response has one. XML always has: another within it
/// is no callback's.
pub(crate) fn without_response_root(mut document: Document<'_>) -> Document<'_> {
    // Beside other members it is no root: whatever stands there would be dropped.
    let mut members = document.root().into_iter().flat_map(Node::children);
    let first = members.next().filter(|member| *member.name() == "Response" && member.is_object());
    if first.is_some() && members.next().is_none() {
        document.without_root();
    }
    document
}
