//! A body, all the way: parse, normalise, route. What is published of it is safe, and the same each time.

use std::sync::LazyLock;

use ci_bridge_publisher::{
    Destinations, Format, MAX_SUBJECT_BYTES, Message, MessageKind, Origin, Quarantined, Router, Rule, Then,
};
use ci_bridge_schema::{Event, Family, Kind, Limits, Normalised, normalise, parse};
use serde_json::Value;
use serde_json::value::RawValue;

use super::invariants::{hold, json, place};

pub(crate) fn check(body: &[u8]) -> Result<(), String> {
    let callback = match parse(body, &Limits::default()) {
        Ok(callback) => callback,
        Err(error) => {
            place::points_into(body, &error)?;
            return quarantined(body, error.reason().as_str(), &error.to_string());
        }
    };
    let family = callback.family();
    let Normalised::Events(events) = normalise(callback) else { return Ok(()) };
    hold!(!events.is_empty(), "a callback without an event");
    let again = parse(body, &Limits::default()).map_err(|e| format!("read once, then refused: {e}"))?;
    let Normalised::Events(again) = normalise(again) else { return Err("an event, then the probe".into()) };
    hold!(events.len() == again.len(), "{} events, then {}", events.len(), again.len());
    for (event, again) in events.iter().zip(&again) {
        let messages = BINARY.route(event, ORIGIN).into_messages();
        hold!(messages == BINARY.route(again, ORIGIN).into_messages(), "the same body gave other messages");
        hold!(messages.len() == 2, "{} messages, not one and its copy", messages.len());
        messages.iter().try_for_each(is_safe)?;
        let data = canonical(&messages[0].payload)?;
        comes_to_itself(event, data, family)?;
        for (binary, structured) in messages.iter().zip(&STRUCTURED.route(event, ORIGIN).into_messages()) {
            is_safe(structured)?;
            hold!(
                (&binary.subject, &binary.id) == (&structured.subject, &structured.id),
                "the form of a message changes where it goes: {binary:?} {structured:?}"
            );
            hold!(
                data_of(&structured.payload).as_deref() == Some(data),
                "the envelope holds other data than {data}"
            );
        }
    }
    Ok(())
}

/// Routers with a copy to a subject of what a sender may choose most freely.
static BINARY: LazyLock<Router> = LazyLock::new(|| router(Format::CloudeventsBinary));
static STRUCTURED: LazyLock<Router> = LazyLock::new(|| router(Format::CloudeventsStructured));

const ORIGIN: Origin<'static> = Origin { endpoint: "default", trace: None };

/// As the configuration's defaults have it, see `config/ci-bridge.toml`.
const TEMPLATES: [&str; 4] = [
    "ci.task.{tag}.{state:lower}",
    "ci.workflow.{state}",
    "ci.moderation.{event}.{verdict}",
    "ci-quarantine.{reason}",
];
const COPY: &str = "copies.{object}.{bucket}.{job_id:upper}";

#[allow(clippy::expect_used, reason = "templates of our own")]
fn router(format: Format) -> Router {
    let copy = Rule::template(COPY).expect("a template");
    let rules = vec![Rule { matches: Default::default(), then: Then::Copy(copy, None) }];
    let destinations =
        Destinations { stream: "CI".into(), quarantine_stream: "CI_QUARANTINE".into(), jobs: None, format };
    Router::new(TEMPLATES, rules, destinations).expect("templates")
}

fn quarantined(body: &[u8], reason: &str, detail: &str) -> Result<(), String> {
    let media_type = ci_bridge_schema::Format::sniff(body).media_type();
    let rejected = Quarantined { body, kept: body.to_vec().into(), reason, detail, media_type };
    let message = BINARY.quarantine(&rejected, ORIGIN);
    hold!(message == BINARY.quarantine(&rejected, ORIGIN), "the same body gave other messages");
    hold!(message.payload == body, "kept otherwise than it came");
    is_safe(&message)
}

/// Subject, id and headers that NATS cannot misread.
fn is_safe(message: &Message) -> Result<(), String> {
    let (subject, id) = (message.subject.as_str(), message.id.as_str());
    let template = match message.kind {
        _ if subject.starts_with("copies.") => COPY,
        MessageKind::Task => TEMPLATES[0],
        MessageKind::Workflow => TEMPLATES[1],
        MessageKind::Moderation => TEMPLATES[2],
        MessageKind::Quarantine => TEMPLATES[3],
    };
    is_subject(subject, template)?;
    hold!(!id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic()), "the id {id:?}");
    hold!(id.len() <= 2048, "an id of {} bytes", id.len());
    for (name, value) in message.headers.iter() {
        let name = name.as_str();
        hold!(!name.to_ascii_lowercase().starts_with("nats-"), "the header {name}");
        hold!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "the header {name}: {value:?}");
    }
    Ok(())
}

/// A subject that NATS reads as its template means it.
pub(crate) fn is_subject(subject: &str, template: &str) -> Result<(), String> {
    hold!(subject.len() <= MAX_SUBJECT_BYTES, "a subject of {} bytes", subject.len());
    hold!(!subject.starts_with(['$', '_']), "{subject} is NATS's own");
    let (tokens, templates) = (subject.split('.').count(), template.split('.').count());
    hold!(tokens == templates, "{tokens} tokens of {templates}: {subject}");
    for (token, template) in subject.split('.').zip(template.split('.')) {
        let is_value = template.contains('{');
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_-%".contains(&b);
        hold!(is_value || token == template, "{token} stands where {template} is fixed");
        let is_all_value = template.starts_with('{') && template.find('}') == Some(template.len() - 1);
        hold!(!is_all_value || token.bytes().all(is_plain), "the token {token:?}");
        let is_read = |b: u8| b.is_ascii_graphic() && b != b'*' && b != b'>';
        hold!(!token.is_empty() && token.bytes().all(is_read), "the token {token:?}");
    }
    Ok(())
}

/// A message's body as canonical JSON: what `serde_json` reads of it, written again, is the same bytes.
fn canonical(payload: &[u8]) -> Result<&str, String> {
    let data = std::str::from_utf8(payload).map_err(|_| "a message that is not UTF-8".to_owned())?;
    match serde_json::from_str::<Value>(data) {
        Ok(Value::Object(_)) => {}
        // JSON sets numbers no limit; they keep the spelling in which they came.
        Err(e) if e.to_string().starts_with("number out of range") => {}
        other => return Err(format!("{other:?} of the message {data}")),
    }
    let again = json::canonical(data).unwrap_or("{}".to_owned());
    hold!(data == again, "not canonical: {data}, but {again}");
    Ok(data)
}

/// A message that is sent as a callback gives itself.
fn comes_to_itself(event: &Event<'_>, data: &str, family: Family) -> Result<(), String> {
    let routing = event.routing();
    let (name, element) = match (event.kind(), routing.event.as_deref()) {
        (Kind::Task, _) => ("TaskFinish", "JobsDetail"),
        (Kind::Workflow, _) => ("WorkflowFinish", "WorkflowExecution"),
        (Kind::Moderation, Some(name)) if name.starts_with("Review") => (name, "JobsDetail"),
        // Without such a name, the Detail form is not to be told from a task's.
        (Kind::Moderation, _) => return Ok(()),
    };
    let name = serde_json::to_string(name).map_err(|e| e.to_string())?;
    let body = format!("{{\"EventName\":{name},\"{element}\":{data}}}");
    // Lists that were repeated elements are a level and a node each.
    let limits = Limits { max_depth: 256, max_nodes: 1_000_000, ..Limits::default() };
    let again = parse(body.as_bytes(), &limits).map_err(|e| format!("{e}: {body}"))?;
    let Normalised::Events(again) = normalise(again) else { return Err(format!("the probe: {body}")) };
    hold!(again.len() == 1, "{} events of {body}", again.len());
    let message = String::from_utf8_lossy(again[0].data()).into_owned();
    hold!(message == data, "{data} comes to {message}");
    // The Simple form says outside the published element that a review failed.
    let same = family == Family::ModerationSimple || again[0].routing() == routing;
    hold!(same, "{:?} comes to {:?}", routing, again[0].routing());
    Ok(())
}

/// The data within an envelope, as it is spelled.
fn data_of(envelope: &[u8]) -> Option<String> {
    let members: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_slice(envelope).ok()?;
    Some(members.get("data")?.get().to_owned())
}
