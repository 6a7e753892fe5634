//! The JSON reader is our own: `serde_json` decides what it must accept and what it must have read, by the rules of
//! `tests/fuzz/src/invariants/json.rs`.

use ci_bridge_schema::Family;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::config;
use crate::invariants::message_of;
use crate::mutate::{mutated, mutations};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn json_is_read_as_serde_json_reads_it(value in value(), blanks in "[ \t\r\n]{0,3}") {
        let body = detail(&format!("{blanks}{value}{blanks}"));
        agree(body.as_bytes())?;
        prop_assert!(message_of(body.as_bytes(), Family::ModerationDetail).is_some());
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
        assert_eq!(message_of(body.as_bytes(), Family::ModerationDetail), message, "{body}");
        assert_eq!(serde_json::from_str::<Value>(&body).is_ok(), serde_reads_it, "{body}");
    }
}

fn agree(body: &[u8]) -> Result<(), TestCaseError> {
    crate::shown(body, crate::invariants::json::agree(body))
}

/// A moderation in the Detail form keeps the types of JSON: what comes out is what was read.
fn detail(value: &str) -> String {
    format!("{{\"EventName\":\"ReviewImage\",\"JobsDetail\":{{\"V\":{value}}}}}")
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
