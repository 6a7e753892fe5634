//! Callbacks with hostile values in every place that routing reads, and the messages they are routed to.

use ci_bridge_publisher::{Destinations, Format, Message, Origin, Router, Rule};
use ci_bridge_schema::{Limits, Normalised, normalise, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// The placeholders of a task's subject and where a job holds their values; `endpoint` is the operator's.
pub(crate) const PLACES: [(&str, &[&str]); 10] = [
    ("tag", &["Tag"]),
    ("state", &["State"]),
    ("bucket", &["Input", "BucketId"]),
    ("region", &["Input", "Region"]),
    ("object", &["Input", "Object"]),
    ("job_id", &["JobId"]),
    ("queue_id", &["QueueId"]),
    ("run_id", &["Workflow", "RunId"]),
    ("workflow_id", &["Workflow", "WorkflowId"]),
    ("workflow_name", &["Workflow", "WorkflowName"]),
];

/// A value for each of `PLACES`, in their order.
pub(crate) type Values = Vec<String>;

pub(crate) fn values() -> impl Strategy<Value = Values> {
    let is_job = |values: &Values| ["job_id", "tag", "state"].iter().any(|name| is_left(values, name));
    vec(hostile(), PLACES.len()).prop_filter("a job that says nothing of itself is none", is_job)
}

/// Whether the value of a place is more than what XML cannot write, and blanks.
fn is_left(values: &Values, name: &str) -> bool {
    let place = PLACES.iter().position(|(place, _)| *place == name).expect("a placeholder");
    writable(values)[place].contains(|c: char| !c.is_ascii_whitespace())
}

/// A value that would mean something to NATS, to HTTP or to a terminal, of any length to 64 KiB.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    const PIECES: [&str; 36] = [
        "a",
        "Z",
        "0",
        "_",
        "-",
        "%",
        "%2E",
        ".",
        "..",
        "*",
        ">",
        "$",
        "$JS.API",
        "_INBOX.x",
        " ",
        "\t",
        "\r\n",
        "\n",
        "\0",
        "\u{1}",
        "\u{7F}",
        "\u{85}",
        "降噪",
        "🎧",
        "é",
        "\u{202E}",
        "\u{FEFF}",
        "\\",
        "\"",
        "'",
        "{tag}",
        "${Number}",
        ":",
        "@",
        "/",
        "\r\nPUB x 0\r\n",
    ];
    prop_oneof![
        40 => vec(select(&PIECES[..]), 0..6).prop_map(|pieces| pieces.concat()),
        10 => any::<String>(),
        // Longer than a token may be.
        6 => (select(&PIECES[..]), 20..300usize).prop_map(|(piece, times)| piece.repeat(times)),
        1 => (select(&PIECES[..]), select(&["", "x"][..])).prop_map(|(piece, end)| {
            const KIB_64: usize = 64 * 1024;
            format!("{}{end}", piece.repeat(KIB_64 / piece.len()))
        }),
    ]
}

/// Values that XML can hold as well.
pub(crate) fn writable(values: &[String]) -> Values {
    let is_written = |c: &char| !matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}');
    values.iter().map(|value| value.chars().filter(is_written).collect()).collect()
}

pub(crate) fn as_json(values: &[String]) -> Vec<u8> {
    let mut job = json!({});
    for ((_, path), value) in PLACES.iter().zip(values) {
        let mut at = &mut job;
        for name in *path {
            at = &mut at[*name];
        }
        *at = Value::String(value.clone());
    }
    json!({ "EventName": "TaskFinish", "JobsDetail": job }).to_string().into_bytes()
}

pub(crate) fn as_xml(values: &[String]) -> Vec<u8> {
    let element = |parent: Option<&str>| {
        let members = PLACES.iter().zip(values).filter_map(|((_, path), value)| match (parent, *path) {
            (None, [name]) => Some(format!("<{name}>{}</{name}>", escaped(value))),
            (Some(parent), [first, name]) if *first == parent => {
                Some(format!("<{name}>{}</{name}>", escaped(value)))
            }
            _ => None,
        });
        members.collect::<String>()
    };
    format!(
        "<Response><JobsDetail><Input>{}</Input>{}<Workflow>{}</Workflow></JobsDetail></Response>",
        element(Some("Input")),
        element(None),
        element(Some("Workflow")),
    )
    .into_bytes()
}

fn escaped(value: &str) -> String {
    let escape = |c: char| match c {
        '<' | '>' | '&' | '\r' => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    value.chars().map(escape).collect()
}

/// A callback in the Detail form of moderation.
pub(crate) fn moderation(event: &str, values: &[String]) -> Vec<u8> {
    let [id, state, result, bucket, object, ..] = values else { unreachable!("there are ten") };
    let element =
        json!({ "JobId": id, "State": state, "Result": result, "BucketId": bucket, "Object": object });
    json!({ "EventName": event, "JobsDetail": element }).to_string().into_bytes()
}

pub(crate) fn router(task: &str, format: Format) -> Router {
    let copy = Rule {
        matches: serde_json::from_value(json!({ "kind": "task" })).expect("a rule"),
        then: ci_bridge_publisher::Then::Copy(
            Rule::template("copies.{state}.{object}").expect("a template"),
            None,
        ),
    };
    let destinations =
        Destinations { stream: "CI".into(), quarantine_stream: "CI_QUARANTINE".into(), jobs: None, format };
    let subjects =
        [task, "ci.workflow.{state}", "ci.moderation.{event}.{verdict}", "ci-quarantine.{reason}.{endpoint}"];
    Router::new(subjects, vec![copy], destinations).expect("templates of our own")
}

/// The messages of every event in a body.
pub(crate) fn messages(router: &Router, body: &[u8], origin: Origin<'_>) -> Vec<Message> {
    let callback = parse(body, &Limits::default()).expect("our own body");
    match normalise(callback) {
        Normalised::Events(events) => {
            events.iter().flat_map(|event| router.route(event, origin).into_messages()).collect()
        }
        Normalised::Probe => Vec::new(),
    }
}
