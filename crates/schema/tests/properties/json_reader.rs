//! The JSON reader is our own: `serde_json` decides what it must accept and what it must have read.
//!
//! The differences, each meant:
//!
//! * a byte order mark before the body is passed over;
//! * a number too large for an `f64` is well-formed, and keeps its spelling;
//! * containers may nest 64 deep by default, not 127;
//! * of a repeated member every value is kept, as of a repeated XML element, not the last alone.

use std::collections::BTreeMap;
use std::fmt;

use ci_bridge_schema::{Family, Format, Limits, Normalised, Reason, normalise, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config;
use crate::mutate::{mutated, mutations};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn json_is_read_as_serde_json_reads_it(value in value(), blanks in "[ \t\r\n]{0,3}") {
        let body = detail(&format!("{blanks}{value}{blanks}"));
        agree(body.as_bytes())?;
        prop_assert!(message_of(body.as_bytes()).is_some());
    }

    #[test]
    fn damaged_json_gets_serde_jsons_verdict(value in value(), mutations in mutations()) {
        agree(&mutated(detail(&value).into_bytes(), &mutations))?;
    }

    #[test]
    fn a_damaged_value_gets_serde_jsons_verdict(value in value(), mutations in mutations()) {
        let value = mutated(value.into_bytes(), &mutations);
        agree(&[b"{\"EventName\":\"ReviewImage\",\"JobsDetail\":{\"V\":".as_slice(), &value, b"}}"].concat())?;
    }

    #[test]
    fn any_bytes_in_place_of_a_value_get_serde_jsons_verdict(value in vec(any::<u8>(), 0..16)) {
        agree(&[b"{\"EventName\":\"ReviewImage\",\"JobsDetail\":{\"V\":".as_slice(), &value, b"}}"].concat())?;
    }

    #[test]
    fn what_looks_like_a_number_gets_serde_jsons_verdict(number in "-?[0-9]{1,3}[.eE+0-9-]{0,4}") {
        agree(detail(&number).as_bytes())?;
    }

    #[test]
    fn what_looks_like_a_surrogate_pair_gets_serde_jsons_verdict(text in r"(\\u[dD][7-9a-fA-F][0-9a-f]{2}|\\uFFFF|a){1,4}") {
        agree(detail(&format!("\"{text}\"")).as_bytes())?;
    }

    #[test]
    fn any_bytes_get_serde_jsons_verdict(body in vec(any::<u8>(), 0..24)) {
        agree(&body)?;
    }

    #[test]
    fn any_tokens_get_serde_jsons_verdict(tokens in vec(select(&TOKENS[..]), 0..8)) {
        agree(detail(&tokens.concat()).as_bytes())?;
        agree(tokens.concat().as_bytes())?;
    }
}

const TOKENS: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"b\"",
    "\"",
    "\\",
    "\\\"",
    "\\u00e9",
    "\\ud83c\\udfa7",
    "\\udfa7",
    "\\ud83c",
    "0",
    "1",
    "-",
    ".",
    "5",
    "e",
    "E+",
    "true",
    "false",
    "null",
    "t",
    " ",
    "\n",
    "\u{c}",
    "/",
    "数",
    "\u{1}",
];

#[test]
fn documented_differences_from_serde_json_stand() {
    let deep = |depth: usize| detail(&format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
    let rows = [
        (format!("\u{FEFF}{}", detail("1")), Some("{\"V\":1}".to_owned()), false),
        (detail("1e999"), Some("{\"V\":1e999}".to_owned()), false),
        (detail("1,\"V\":2"), Some("{\"V\":[1,2]}".to_owned()), true),
        (deep(62), Some(format!("{{\"V\":{}1{}}}", "[".repeat(62), "]".repeat(62))), true),
        (deep(63), None, true),
        (deep(200), None, false),
    ];
    for (body, message, serde_reads_it) in rows {
        assert_eq!(message_of(body.as_bytes()), message, "{body}");
        assert_eq!(serde_json::from_str::<Value>(&body).is_ok(), serde_reads_it, "{body}");
    }
}

/// The verdict of both readers, and the values of what both accept.
fn agree(body: &[u8]) -> Result<(), TestCaseError> {
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
    let shown = String::from_utf8_lossy(body);
    prop_assert_eq!(is_read, theirs.is_ok(), "{}: we {:?}, serde_json {:?}", shown, ours.err(), theirs.err());
    if let (Some(message), Some(element)) = (message_of(body), element_of(without_bom)) {
        prop_assert_eq!(message, values_of(&element).unwrap_or("{}".to_owned()), "{}", shown);
    }
    Ok(())
}

/// A moderation in the Detail form keeps the types of JSON: what comes out is what was read.
fn detail(value: &str) -> String {
    format!("{{\"EventName\":\"ReviewImage\",\"JobsDetail\":{{\"V\":{value}}}}}")
}

fn message_of(body: &[u8]) -> Option<String> {
    let callback = parse(body, &Limits::default()).ok()?;
    if callback.family() != Family::ModerationDetail {
        return None;
    }
    match normalise(callback) {
        Normalised::Events(events) if events.len() == 1 => String::from_utf8(events[0].data()).ok(),
        _ => None,
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
fn values_of(json: &str) -> Option<String> {
    match json.as_bytes()[0] {
        b'{' => {
            let Members(members) = serde_json::from_str(json).expect("serde_json delimited it");
            let mut by_name = BTreeMap::<String, Vec<Box<RawValue>>>::new();
            for (name, value) in members {
                by_name.entry(name).or_default().push(value);
            }
            let members: Vec<_> = by_name
                .iter()
                .filter_map(|(name, values)| {
                    let value = match values.as_slice() {
                        [one] => values_of(one.get()),
                        several => list(several),
                    };
                    Some(format!("{}:{}", serde_json::to_string(name).ok()?, value?))
                })
                .collect();
            (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
        }
        b'[' => list(&serde_json::from_str::<Vec<Box<RawValue>>>(json).expect("serde_json delimited it")),
        b'"' => {
            let text: String = serde_json::from_str(json).expect("serde_json delimited it");
            let blank = text.chars().all(|c| " \t\r\n".contains(c));
            (!blank).then(|| serde_json::to_string(&text).expect("a string is JSON"))
        }
        b'n' => None,
        _ => Some(json.to_owned()),
    }
}

fn list(items: &[Box<RawValue>]) -> Option<String> {
    let items: Vec<_> = items.iter().filter_map(|item| values_of(item.get())).collect();
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

/// The text of any JSON value: every escape, every spelling of a number, lists within lists.
pub(crate) fn value() -> impl Strategy<Value = String> {
    const PIECES: [&str; 24] = [
        "a",
        "数据",
        "🎧",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b\\f\\n\\r\\t",
        "\\u0000",
        "\\u001F",
        "\\uFFFE",
        "\\u6570",
        "\\uD83C\\uDFA7",
        "\\udbff\\udfff",
        "\u{7F}",
        "\u{2028}",
        "<&>",
        " ",
        "{",
        "]",
        "null",
        "1",
        "\\n",
        "${Number}",
        "'",
    ];
    let string = || vec(select(&PIECES[..]), 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    let scalar = prop_oneof![
        3 => string(),
        2 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?",
        1 => select(&["true", "false", "null", "\"\"", "[]", "{}", "[[ ], { }]", "\"2022-06-30 18:47:18+0800\""][..]).prop_map(str::to_owned),
    ];
    scalar.prop_recursive(4, 16, 4, move |inner| {
        let name = prop_oneof![
            2 => string(),
            1 => select(&["\"Key\"", "\"Value\"", "\"ObjectName\"", "\"Audio\"", "\"Md5Info\"", "\"JobLevel\""][..]).prop_map(str::to_owned),
        ];
        let member = (name, select(&[":", " : "][..]), inner.clone()).prop_map(|(name, colon, value)| format!("{name}{colon}{value}"));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(" , "))),
        ]
    })
}
