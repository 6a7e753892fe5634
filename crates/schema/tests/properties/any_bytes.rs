//! A stranger's bytes: never a panic, and an error that points into the body.

use ci_bridge_schema::{
    Family, Format, Limits, Normalised, ParseError, Reason, normalise, parse, parse_answer, parse_error,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::config;
use crate::dress::{Json, json, whims, xml};
use crate::invariants::hold;
use crate::invariants::place::{place_of, points_into};
use crate::model::callback;
use crate::mutate::{mutated, mutations};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_are_read_or_refused_with_a_place(body in vec(any::<u8>(), 0..200)) {
        read(&body)?;
    }

    #[test]
    fn any_tokens_are_read_or_refused_with_a_place(tokens in vec(select(&TOKENS[..]), 0..24)) {
        read(tokens.concat().as_bytes())?;
    }

    #[test]
    fn a_damaged_callback_is_read_or_refused_with_a_place(
        root in callback(),
        whims in whims(),
        mutations in mutations(),
    ) {
        for body in [xml(&root, &mut whims.clone()), json(&root, Json::Typed, &mut whims.clone())] {
            read(&mutated(body, &mutations))?;
        }
    }

    #[test]
    fn a_callback_that_is_cut_off_is_refused_with_a_place(
        root in callback(),
        whims in whims(),
        cut in any::<Index>(),
    ) {
        for body in [xml(&root, &mut whims.clone()), json(&root, Json::Typed, &mut whims.clone())] {
            let whole = String::from_utf8(body).expect("our own text");
            let needed = needed(&whole);
            let starts: Vec<_> = needed.char_indices().map(|(at, _)| at).collect();
            let part = &needed[..starts[cut.index(starts.len())]];
            let error = read(part.as_bytes())?;
            prop_assert!(error.is_some(), "read as a whole callback: {:?}", part);
            let error = read(needed.as_bytes())?;
            prop_assert!(error.is_none(), "{:?}: {:?}", error, needed);
        }
    }

    #[test]
    fn a_control_character_is_refused_where_it_stands(root in callback(), whims in whims(), at in any::<Index>()) {
        for body in [xml(&root, &mut whims.clone()), json(&root, Json::Typed, &mut whims.clone())] {
            let text = String::from_utf8(body).expect("our own text");
            let text = text.trim_start_matches('\u{FEFF}');
            let starts: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
            let at = starts[at.index(starts.len())];
            let (before, after) = text.split_at(at);
            // JSON names the beginning of an escape or a word that it broke.
            let is_json = Format::sniff(text.as_bytes()) == Format::Json;
            let token = before.chars().rev().take(12).collect::<String>();
            if is_json && (token.contains('\\') || token.starts_with(|c: char| c.is_ascii_alphabetic())) {
                continue;
            }
            let error = read(format!("{before}\u{1}{after}").as_bytes())?.expect("no encoding allows it");
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            let place = (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count());
            prop_assert_eq!(place_of(&error), Some(place), "{}", error);
        }
    }
}

const TOKENS: [&str; 40] = [
    "<Response>",
    "</Response>",
    "<JobsDetail>",
    "</JobsDetail>",
    "<",
    ">",
    "</",
    "/>",
    "<?xml",
    "?>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE",
    "&",
    ";",
    "&#",
    "&#x",
    "\"EventName\"",
    "\"JobsDetail\"",
    "\"ReviewImage\"",
    "\"data\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\u",
    "\\",
    "d800",
    "1",
    "null",
    "\n",
    " ",
    "数",
    "\u{FEFF}",
    "=",
];

/// A body up to the bracket that closes its root: without the white space or the comment that may follow.
fn needed(body: &str) -> &str {
    let bracket = match Format::sniff(body.as_bytes()) {
        // Up to the bracket, because an end tag may hold a blank.
        Format::Xml => body.rfind("</Response").and_then(|tag| Some(tag + body[tag..].find('>')?)),
        _ => body.rfind('}'),
    };
    &body[..=bracket.expect("a root that is closed")]
}

/// Takes any body as far as it goes; gives the error when it is refused.
fn read(body: &[u8]) -> Result<Option<ParseError>, TestCaseError> {
    crate::shown(body, judge(body))
}

fn judge(body: &[u8]) -> Result<Option<ParseError>, String> {
    judge_answer(body)?;
    let error = match parse(body, &Limits::default()) {
        Ok(callback) => {
            if let Normalised::Events(events) = normalise(callback) {
                for event in &events {
                    let _ = event.routing();
                    let is_json =
                        serde_json::from_slice::<&serde_json::value::RawValue>(event.data()).is_ok();
                    hold!(is_json, "a message that is not JSON");
                }
            }
            return Ok(None);
        }
        Err(error) => error,
    };
    points_into(body, &error)?;
    Ok(Some(error))
}

/// The same bytes as an answer of the query API: its jobs are JSON as well, and those of a callback are the same.
fn judge_answer(body: &[u8]) -> Result<(), String> {
    let limits = Limits::default();
    let _ = parse_error(body, &limits);
    let Ok(answer) = parse_answer(body, &limits) else { return Ok(()) };
    let _ = (answer.next_token(), answer.unknown_ids(), answer.queues(), answer.total());
    let described = [
        answer.jobs(),
        answer.runs("media-1300000001"),
        answer.moderations(Some("ReviewImage"), "media-1300000001"),
    ];
    for job in described.iter().flatten() {
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(job.event.data()).is_ok();
        hold!(is_json, "an answer that is not JSON");
    }
    if let Ok(callback) = parse(body, &limits)
        && callback.family() == Family::Task
        && let Normalised::Events(events) = normalise(callback)
    {
        let events: Vec<_> = events.iter().filter(|event| event.routing().id.is_some()).collect();
        hold!(events.len() == described[0].len(), "{} jobs, not {}", described[0].len(), events.len());
        for (event, job) in events.iter().zip(&described[0]) {
            hold!(
                event.data() == job.event.data() && job.has_ended,
                "an answer is another event than its callback"
            );
        }
    }
    Ok(())
}

/// A property once took this for cut off, because a blank stands in its last tag.
#[test]
fn a_comment_that_is_missing_after_the_root_is_no_loss() {
    let whole = "<Response><JobsDetail><Tag>T</Tag></JobsDetail></Response ><!-- end -->";
    let without = whole.trim_end_matches("<!-- end -->");
    assert_eq!(needed(whole), without);
    assert!(parse(without.as_bytes(), &Limits::default()).is_ok());
    for (end, c) in whole.char_indices().skip(without.len() + 1) {
        let part = &whole[..end];
        assert!(parse(part.as_bytes(), &Limits::default()).is_err(), "cut before {c:?}: {part}");
    }
}

/// Bodies that once were read wrongly: a panic, or a place outside the body.
#[test]
fn bodies_that_were_a_defect_once_are_refused() {
    let rows = [
        // The reader of XML passed over a second byte order mark without counting it.
        "\u{FEFF}\u{FEFF}<Response><JobsDetail/></Response>",
        "\u{FEFF}\u{FEFF}{\"JobsDetail\":{}}",
        "\u{FEFF} \u{FEFF}<Response/>",
    ];
    for body in rows {
        let error = parse(body.as_bytes(), &Limits::default()).expect_err(body);
        assert_eq!(error.reason(), Reason::Syntax, "{body:?}");
    }
}

/// A name may have as many bytes as the limit says, and not one more.
#[test]
fn names_are_bounded() {
    let limits = Limits { max_name_bytes: 16, ..Limits::default() };
    let bodies = |n: &str| {
        [
            format!("<Response><JobsDetail><Tag>T</Tag><{n}>1</{n}></JobsDetail></Response>"),
            format!("<Response><JobsDetail><Tag {n}='1'>T</Tag></JobsDetail></Response>"),
            format!("<Response><JobsDetail><Tag a='{n}'>T</Tag></JobsDetail></Response>"),
            format!("{{\"JobsDetail\":{{\"Tag\":\"T\",\"{n}\":1}}}}"),
        ]
    };
    for body in bodies(&"n".repeat(16)) {
        assert!(parse(body.as_bytes(), &limits).is_ok(), "{body}");
    }
    for body in bodies(&"n".repeat(17)) {
        let error = parse(body.as_bytes(), &limits).expect_err(&body);
        assert!(
            error.reason() == Reason::Syntax && error.message().contains("longer than 16 bytes"),
            "{error}"
        );
    }
}
