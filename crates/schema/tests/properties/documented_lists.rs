//! A documented list is a list, whether it holds one entry or ten, and however it came.

use ci_bridge_schema::{DOCUMENTED_LISTS, Limits, Normalised, normalise, parse};
use serde_json::{Value, json};

#[test]
fn every_documented_list_is_an_array_whatever_it_holds() {
    let entries = [json!("x"), json!({ "a": "1" }), json!({ "Key": "k", "Value": "v" })];
    for row in DOCUMENTED_LISTS {
        for path in [row.replace("**/", ""), row.replace("**", "Any/Deep")] {
            let path = path.replace("*Info", "PornInfo");
            let segments: Vec<_> = path.split('/').collect();
            for (entry, count) in entries.iter().flat_map(|entry| [1, 2, 10].map(|count| (entry, count))) {
                let several = json!(vec![entry; count]);
                let mut bodies =
                    vec![as_json(&segments, &several), as_xml(&segments, &xml(segments.last(), &several))];
                if count == 1 {
                    bodies.push(as_json(&segments, entry));
                    // In moderation, which keeps the types of JSON, that is a list in a list.
                    let nested = (segments[0] != "Moderation").then(|| as_json(&segments, &json!([[entry]])));
                    bodies.extend(nested);
                }
                let messages: Vec<_> = bodies.iter().map(|body| message(body)).collect();
                let list = at(&messages[0], &segments[1..]);
                assert_eq!(
                    list.and_then(Value::as_array).map(Vec::len),
                    Some(count),
                    "{path}: {}",
                    messages[0]
                );
                for (body, other) in bodies.iter().zip(&messages) {
                    assert_eq!(other.to_string(), messages[0].to_string(), "{path}: {body}");
                }
            }
        }
    }
}

#[test]
fn the_documentation_lists_them_all() {
    let messages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/messages.md");
    let messages = std::fs::read_to_string(messages).expect("docs/messages.md");
    let mut table = messages.lines().skip_while(|line| !line.starts_with("<!-- documented lists -->"));
    let listed: Vec<_> = table
        .by_ref()
        .skip(1)
        .take_while(|line| !line.starts_with("<!--"))
        .filter_map(|line| line.trim().strip_prefix("- `")?.strip_suffix('`'))
        .flat_map(paths)
        .collect();
    assert_eq!(listed, DOCUMENTED_LISTS, "docs/messages.md and vocabulary/lists.rs differ");
}

/// A line of the documentation: a path, whose end may be several names in braces.
fn paths(line: &str) -> Vec<String> {
    match line.split_once('{') {
        None => vec![line.to_owned()],
        Some((start, names)) => {
            names.trim_end_matches('}').split(',').map(|name| format!("{start}{name}")).collect()
        }
    }
}

/// What makes a body of each root one of its family.
fn known_by(root: &str) -> (&'static str, Value) {
    match root {
        "WorkflowExecution" => ("WorkflowExecution", json!({ "RunId": "r", "State": "Success" })),
        "Moderation" => ("JobsDetail", json!({ "JobId": "m", "State": "Success", "Result": "0" })),
        _ => ("JobsDetail", json!({ "JobId": "j", "State": "Success", "Tag": "T" })),
    }
}

fn as_json(segments: &[&str], list: &Value) -> String {
    let (element, mut known) = known_by(segments[0]);
    let mut at = &mut known;
    for segment in &segments[1..] {
        at = &mut at[*segment];
    }
    *at = list.clone();
    json!({ element: known }).to_string()
}

fn as_xml(segments: &[&str], list: &str) -> String {
    let (element, known) = known_by(segments[0]);
    let parents = &segments[1..segments.len() - 1];
    let open: String = parents.iter().map(|name| format!("<{name}>")).collect();
    let close: String = parents.iter().rev().map(|name| format!("</{name}>")).collect();
    let known: String = known
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| xml(Some(&name.as_str()), value))
        .collect();
    format!("<Response><{element}>{known}{open}{list}{close}</{element}></Response>")
}

/// An element for each item of a list, as the vendor writes it.
fn xml(name: Option<&&str>, value: &Value) -> String {
    let name = name.expect("a path has segments");
    match value {
        Value::Array(items) => items.iter().map(|item| xml(Some(name), item)).collect(),
        Value::Object(members) => {
            let members: String =
                members.iter().map(|(name, value)| xml(Some(&name.as_str()), value)).collect();
            format!("<{name}>{members}</{name}>")
        }
        scalar => format!("<{name}>{}</{name}>", scalar.as_str().unwrap_or_default()),
    }
}

fn message(body: &str) -> Value {
    let callback = parse(body.as_bytes(), &Limits::default()).expect(body);
    match normalise(callback) {
        Normalised::Events(events) => serde_json::from_slice(events[0].data()).expect("JSON"),
        Normalised::Probe => Value::Null,
    }
}

fn at<'v>(message: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(message, |value, name| match value {
        Value::Array(items) => items.first()?.get(name),
        value => value.get(name),
    })
}
