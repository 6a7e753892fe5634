//! Nothing that a sender writes can change the subject around it, and each value can be read back.

use ci_bridge_publisher::{Field, Format, MAX_SUBJECT_BYTES, Message, Origin, Quarantined, Template};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::callback::{PLACES, as_json, hostile, messages, moderation, router, values};
use crate::config;

const DESTINATION: Format = Format::CloudeventsBinary;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_value_is_one_token_and_can_be_read_back(
        values in values(),
        endpoint in hostile(),
        places in subsequence((0..PLACES.len()).collect::<Vec<_>>(), 1..=PLACES.len()),
    ) {
        let names: Vec<_> = places.iter().map(|&place| format!("{{{}}}", PLACES[place].0)).collect();
        let template = format!("ci.x.{}", names.join("."));
        let origin = Origin { endpoint: &endpoint, trace: None };
        let messages = messages(&router(&template, DESTINATION), &as_json(&values), origin);
        prop_assert_eq!(messages.len(), 2, "the message and its copy");
        is_safe(&messages[0], 2 + places.len())?;
        is_safe(&messages[1], 3)?;
        let most = (MAX_SUBJECT_BYTES - "ci.x.".len() - (places.len() - 1)) / places.len();
        for (token, place) in messages[0].subject.as_str().split('.').skip(2).zip(&places) {
            let value = &values[*place];
            prop_assert!(token.len() <= most, "{} bytes of {}", token.len(), most);
            if is_blank(value) {
                prop_assert_eq!(token, "_");
            } else if encoded_length(value) <= most {
                prop_assert_eq!(decoded(token), value.as_bytes(), "{}", token);
            } else {
                // Cut: the beginning can be read back, a hash tells it from others that begin alike.
                let (beginning, hash) = token.rsplit_once('-').expect("a cut value has a hash");
                prop_assert!(value.as_bytes().starts_with(&decoded(beginning)), "{}", token);
                prop_assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{}", token);
                prop_assert!(token.len() + 3 > most, "cut shorter than it has to be: {}", token);
            }
        }
    }

    #[test]
    fn different_tags_have_different_subjects(one in hostile(), other in hostile(), tail in "[a-z.%_ ]{1,3}") {
        for other in [other, format!("{one}{tail}")] {
            if one == other || [&one, &other].iter().any(|tag| is_blank(tag) || *tag == "_") {
                continue;
            }
            let subjects = [&one, &other].map(|tag| {
                let body = serde_json::json!({ "JobsDetail": { "Tag": tag } }).to_string();
                let router = router("ci.task.{tag}", DESTINATION);
                messages(&router, body.as_bytes(), Origin::default())[0].subject.clone()
            });
            prop_assert_ne!(&subjects[0], &subjects[1]);
        }
    }

    #[test]
    fn a_moderations_event_and_verdict_are_one_token_each(event in hostile(), values in values()) {
        let body = moderation(&format!("Review{event}"), &values);
        for message in messages(&router("ci.{tag}", DESTINATION), &body, Origin::default()) {
            is_safe(&message, 4)?;
        }
    }

    #[test]
    fn a_reason_for_quarantine_is_one_token(reason in hostile(), endpoint in hostile()) {
        let rejected = Quarantined { body: b"x", kept: "x".into(), reason: &reason, detail: &reason, media_type: &reason };
        let origin = Origin { endpoint: &endpoint, trace: None };
        is_safe(&router("ci.{tag}", DESTINATION).quarantine(&rejected, origin), 3)?;
    }

    #[test]
    fn a_template_that_is_accepted_gives_only_safe_subjects(pieces in vec(select(&PIECES[..]), 1..8), value in hostile()) {
        let text = pieces.concat();
        let Ok(template) = Template::parse(&text, &[Field::Tag, Field::State]) else { return Ok(()) };
        let subject = template.render(&Same(&value));
        let subject = subject.as_str();
        prop_assert!(subject.len() <= MAX_SUBJECT_BYTES);
        prop_assert_eq!(subject.split('.').count(), text.split('.').count());
        prop_assert_eq!(template.pattern().split('.').count(), text.split('.').count());
        prop_assert!(subject.split('.').all(|token| !token.is_empty()), "{}", subject);
        prop_assert!(subject.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'>'), "{}", subject);
        prop_assert!(!subject.starts_with(['$', '_']), "{}", subject);
    }
}

const PIECES: [&str; 20] = [
    "ci",
    "CI-1",
    ".",
    ".",
    ".",
    "{tag}",
    "{tag:lower}",
    "{state:upper}",
    "{state}",
    "{",
    "}",
    "*",
    ">",
    "$",
    "_INBOX",
    " ",
    "数",
    "{bucket}",
    "{tag:.}",
    "\n",
];

struct Same<'v>(&'v str);

impl ci_bridge_publisher::Values for Same<'_> {
    fn value(&self, _: Field) -> Option<&str> {
        Some(self.0)
    }
}

fn is_safe(message: &Message, tokens: usize) -> Result<(), TestCaseError> {
    let subject = message.subject.as_str();
    prop_assert!(subject.len() <= MAX_SUBJECT_BYTES, "{} bytes", subject.len());
    prop_assert_eq!(subject.split('.').count(), tokens, "{}", subject);
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_%-".contains(&b);
    prop_assert!(
        subject.split('.').all(|token| !token.is_empty() && token.bytes().all(is_plain)),
        "{}",
        subject
    );
    prop_assert!(!subject.starts_with('$') && !subject.starts_with("_INBOX"), "{}", subject);
    Ok(())
}

/// Blank as the vendor means it: white space of XML.
fn is_blank(value: &str) -> bool {
    value.chars().all(|c| " \t\r\n".contains(c))
}

fn encoded_length(value: &str) -> usize {
    value.bytes().map(|b| if b.is_ascii_alphanumeric() || b == b'_' || b == b'-' { 1 } else { 3 }).sum()
}

fn decoded(token: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = token.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let (escape, after) = rest.split_at(2);
                rest = after;
                let digits = std::str::from_utf8(escape).expect("a subject is ASCII");
                u8::from_str_radix(digits, 16).expect("an escape has two hexadecimal digits")
            }
            plain => *plain,
        });
    }
    bytes
}
