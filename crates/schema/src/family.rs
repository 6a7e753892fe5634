//! Which of Tencent's callbacks a tree is, and where in it the published elements stand.

use std::borrow::Cow;

use crate::error::ParseError;
use crate::parse::{Callback, Limits};
use crate::tree::{Node, Object, is_blank};

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

/// Finds the family in the documented order: `EventName`, then what the body holds.
pub(crate) fn recognise<'a>(mut root: Object<'a>, limits: &Limits) -> Result<Callback<'a>, ParseError> {
    // Only the root's own EventName counts: CosHeaders of a workflow's task hold one as well.
    let event = match root.take("EventName") {
        Some(Node::Text(name)) if !is_blank(&name) => Some(name),
        _ => None,
    };
    let named = |prefix: &str| event.as_deref().is_some_and(|name| name.starts_with(prefix));
    if named("TaskFinish") {
        task(root, limits)
    } else if named("WorkflowFinish") {
        workflow(root)
    } else if named("Review") && root.contains("JobsDetail") {
        let elements = elements(&mut root, "JobsDetail", limits)?;
        Ok(Callback { family: Family::ModerationDetail, event, error: None, elements })
    } else if root.contains("WorkflowExecution") {
        workflow(root)
    } else if root.contains("JobsDetail") {
        task(root, limits)
    } else if has_simple_form(&root) {
        simple_moderation(root, event, limits)
    } else {
        Err(ParseError::shape(
            "not a callback of Tencent CI: no EventName, JobsDetail, WorkflowExecution, or code, message and data",
        ))
    }
}

fn task<'a>(mut root: Object<'a>, limits: &Limits) -> Result<Callback<'a>, ParseError> {
    let elements = elements(&mut root, "JobsDetail", limits)?;
    Ok(Callback { family: Family::Task, event: None, error: None, elements })
}

fn workflow(mut root: Object<'_>) -> Result<Callback<'_>, ParseError> {
    let one = Limits { max_jobs: 1, ..Limits::default() };
    let elements = elements(&mut root, "WorkflowExecution", &one)?;
    Ok(Callback { family: Family::Workflow, event: None, error: None, elements })
}

fn simple_moderation<'a>(
    mut root: Object<'a>,
    event: Option<Cow<'a, str>>,
    limits: &Limits,
) -> Result<Callback<'a>, ParseError> {
    let elements = elements(&mut root, "data", limits)?;
    let [data] = elements.as_slice() else {
        return Err(ParseError::shape("data is a list: a moderation callback holds one result"));
    };
    let is_probe = data.scalar(&["trace_id"]) == Some(PROBE_TRACE_ID);
    let family = if is_probe { Family::Probe } else { Family::ModerationSimple };
    let event = event.or_else(|| data.scalar(&["event"]).map(|name| Cow::Owned(name.to_owned())));
    let failed = root.scalar(&["code"]).is_some_and(|code| code != "0");
    let error = failed.then(|| (root.take("code"), root.take("message")));
    Ok(Callback { family, event, error, elements })
}

/// The published elements: one object, or a list of them.
fn elements<'a>(root: &mut Object<'a>, name: &str, limits: &Limits) -> Result<Vec<Object<'a>>, ParseError> {
    let elements = match root.take(name) {
        Some(Node::Array(items)) => items,
        Some(node) => vec![node],
        None => return Err(ParseError::shape(format!("{name} is missing"))),
    };
    if elements.is_empty() {
        return Err(ParseError::shape(format!("{name} is an empty list")));
    }
    if elements.len() > limits.max_jobs {
        let message = format!("{} elements of {name}, more than {}", elements.len(), limits.max_jobs);
        return Err(ParseError::shape(message));
    }
    elements.into_iter().map(|node| element(node, name)).collect()
}

fn element<'a>(node: Node<'a>, name: &str) -> Result<Object<'a>, ParseError> {
    match node {
        Node::Object(object) => Ok(object),
        // `<JobsDetail/>`
        Node::Text(text) if is_blank(&text) => Ok(Object::default()),
        _ => Err(ParseError::shape(format!("{name} is not an object"))),
    }
}

fn has_simple_form(root: &Object<'_>) -> bool {
    let data = root.get("data").and_then(Node::object);
    let has_event = data.is_some_and(|data| data.contains("event"));
    has_event || (data.is_some() && root.contains("code") && root.contains("message"))
}

/// JSON callbacks have no root element, but the same body as an API response has one. XML always has: another within it
/// is no callback's.
pub(crate) fn without_response_root(mut root: Object<'_>) -> Object<'_> {
    // Beside other members it is no root: whatever stands there would be dropped.
    let is_root = root.len() == 1 && root.get("Response").and_then(Node::object).is_some();
    match is_root.then(|| root.take("Response")).flatten() {
        Some(Node::Object(inner)) => inner,
        _ => root,
    }
}
