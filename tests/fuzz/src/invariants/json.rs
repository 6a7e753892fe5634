//! `serde_json` decides what our own JSON reader must accept and what it must have read.
//!
//! The differences, each meant:
//!
//! * a byte order mark before the body is passed over;
//! * a number too large for an `f64` is well-formed, and keeps its spelling;
//! * containers may nest 64 deep by default, not 127;
//! * of a repeated member every value is kept, as of a repeated XML element, not the last alone.

use std::collections::BTreeMap;
use std::fmt;

use ci_bridge_schema::{Family, Format, Limits, ParseError, Reason, parse};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{hold, message_of};

/// The verdict of both readers, and the values of what both accept.
pub(crate) fn agree(body: &[u8]) -> Result<(), String> {
    if matches!(Format::sniff(body), Format::Xml | Format::Form) {
        return Ok(());
    }
    let without_bom = body.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(body);
    let theirs = serde_json::from_slice::<Value>(without_bom);
    if theirs.as_ref().is_err_and(|e| e.to_string().starts_with("number out of range")) {
        return Ok(());
    }
    let ours = parse(body, &Limits::default());
    let is_read = !matches!(&ours, Err(e) if e.reason() == Reason::Syntax);
    if matches!(&ours, Err(e) if is_limit(e)) {
        return Ok(());
    }
    hold!(is_read == theirs.is_ok(), "we say {:?}, serde_json says {:?}", ours.err(), theirs.err());
    if let (Some(message), Some(element)) =
        (message_of(body, Family::ModerationDetail), element_of(without_bom))
        && !is_respelled(&message)
    {
        let expected = canonical(&element).unwrap_or("{}".to_owned());
        let same = message == expected || leveled(&message) == leveled(&expected);
        hold!(same, "we read {message}, serde_json reads {expected}");
    }
    Ok(())
}

/// What a body may cost.
fn is_limit(error: &ParseError) -> bool {
    error.message().contains(" longer than ")
        || error.message().contains(" nest deeper than ")
        || error.message().starts_with("more than ")
}

/// Whether a message of a moderation holds what is not merely read: a time, or a list with a form of its own.
fn is_respelled(message: &str) -> bool {
    ["\"CosHeaders\":", "\"CreationTime\":", "\"StartTime\":", "\"EndTime\":"]
        .iter()
        .any(|name| message.contains(name))
}

/// A message without what is documented of single places, in a form that both have: a list of one is its entry, a scalar is
/// text, the text of a JSON list or object is that, an integer has one spelling. The places themselves are held to
/// the schema by the property tests of `crates/schema`.
fn leveled(json: &str) -> Option<Value> {
    Some(level(serde_json::from_str(json).ok()?))
}

fn level(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(level).collect();
            if items.len() == 1 { items.remove(0) } else { Value::Array(items) }
        }
        Value::Object(mut members) => match members.remove("#text") {
            Some(text) if members.is_empty() => level(text),
            text => {
                members.extend(text.map(|text| ("#text".to_owned(), text)));
                Value::Object(members.into_iter().map(|(name, value)| (name, level(value))).collect())
            }
        },
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(inner @ (Value::Array(_) | Value::Object(_))) => level(inner),
            Ok(number @ Value::Number(_)) => Value::String(number.to_string()),
            _ => match text.trim().parse::<i64>() {
                Ok(integer) => Value::String(integer.to_string()),
                Err(_) => Value::String(text),
            },
        },
        Value::Null => Value::String(String::new()),
        scalar => Value::String(scalar.to_string()),
    }
}

/// `JobsDetail` as `serde_json` delimits it; `None` when the damage left none, several or a list.
fn element_of(body: &[u8]) -> Option<String> {
    let Members(root) = serde_json::from_slice(body).ok()?;
    if root.iter().any(|(name, _)| name == "Response") {
        return None;
    }
    let mut elements = root.iter().filter(|(name, _)| name == "JobsDetail");
    match (elements.next(), elements.next()) {
        (Some((_, element)), None) if element.get().starts_with('{') => Some(element.get().to_owned()),
        _ => None,
    }
}

/// The canonical spelling of what `serde_json` reads: members sorted, empty nodes left out, types kept.
pub(crate) fn canonical(json: &str) -> Option<String> {
    match json.bytes().next()? {
        b'{' => {
            let Members(members) = serde_json::from_str(json).ok()?;
            let mut by_name = BTreeMap::<String, Vec<Box<RawValue>>>::new();
            for (name, value) in members {
                by_name.entry(name).or_default().push(value);
            }
            let members: Vec<_> = by_name
                .iter()
                .filter_map(|(name, values)| {
                    let value = match values.as_slice() {
                        [one] => canonical(one.get()),
                        several => list(several),
                    };
                    Some(format!("{}:{}", serde_json::to_string(name).ok()?, value?))
                })
                .collect();
            (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
        }
        b'[' => list(&serde_json::from_str::<Vec<Box<RawValue>>>(json).ok()?),
        b'"' => {
            let text: String = serde_json::from_str(json).ok()?;
            let blank = text.chars().all(|c| " \t\r\n".contains(c));
            (!blank).then(|| serde_json::to_string(&text).unwrap_or_default())
        }
        b'n' => None,
        _ => Some(json.to_owned()),
    }
}

fn list(items: &[Box<RawValue>]) -> Option<String> {
    let items: Vec<_> = items.iter().filter_map(|item| canonical(item.get())).collect();
    (!items.is_empty()).then(|| format!("[{}]", items.join(",")))
}

/// An object's members in their order, repeated ones included, numbers as they are spelled.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
