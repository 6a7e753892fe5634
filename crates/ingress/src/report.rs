//! The body of an answer of 200: every message, and what became of it.
//!
//! Almost every callback is answered so, and always in the same words: written by hand, it takes a third of what serde_json
//! takes.

use std::collections::BTreeSet;

use ci_bridge_publisher::Receipt;

use crate::answer::Published;

/// What is set aside for each message, in bytes; most take less.
const MESSAGE_BYTES: usize = 256;

/// `{"outcome":…,"messages":[…]}`; `outcome` is a word of ours.
pub(crate) fn write(outcome: &'static str, messages: &[Published]) -> Vec<u8> {
    let mut json = Vec::with_capacity(64 + MESSAGE_BYTES * messages.len());
    json.extend_from_slice(b"{\"outcome\":\"");
    json.extend_from_slice(outcome.as_bytes());
    json.extend_from_slice(b"\",\"messages\":[");
    for (place, message) in messages.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        write_message(&mut json, message);
    }
    json.extend_from_slice(b"]}");
    json
}

/// `{"outcome":"dropped","messages":[],"rules":[…]}`: the rules that drop every event, as configuration errors number
/// them.
pub(crate) fn write_dropped(rules: &BTreeSet<usize>) -> Vec<u8> {
    let mut json = write("dropped", &[]);
    json.pop();
    json.extend_from_slice(b",\"rules\":[");
    for (place, rule) in rules.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        json.extend_from_slice(rule.to_string().as_bytes());
    }
    json.extend_from_slice(b"]}");
    json
}

fn write_message(json: &mut Vec<u8>, message: &Published) {
    json.extend_from_slice(b"{\"subject\":");
    write_text(json, message.subject());
    json.extend_from_slice(b",\"id\":");
    write_text(json, message.id());
    if let Receipt::Stored { stream, sequence, .. } = message.receipt() {
        json.extend_from_slice(b",\"stream\":");
        write_text(json, stream);
        json.extend_from_slice(b",\"seq\":");
        json.extend_from_slice(sequence.to_string().as_bytes());
    }
    let duplicate: &[u8] =
        if message.is_duplicate() { b",\"duplicate\":true}" } else { b",\"duplicate\":false}" };
    json.extend_from_slice(duplicate);
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    // Without a branch for each byte, the compiler looks at many at once.
    let is_escaped = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(false, |found, byte| found | is_escaped(byte)) {
        // Writing a text to memory has no way to fail.
        let _ = serde_json::to_writer(json, text);
        return;
    }
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ci_bridge_publisher::{Headers, Message, MessageId, MessageKind, Subject};
    use serde::Serialize;

    #[derive(Serialize)]
    struct Report<'a> {
        outcome: &'a str,
        messages: Vec<Entry<'a>>,
    }

    #[derive(Serialize)]
    struct Entry<'a> {
        subject: &'a str,
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        stream: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        duplicate: bool,
    }

    fn published(body: &[u8], receipt: Receipt) -> Published {
        let message = Message {
            subject: Subject::parse("ci.task.a\"b.success").unwrap(),
            id: MessageId::of_quarantine(body),
            stream: "CI".into(),
            headers: Headers::default(),
            payload: bytes::Bytes::new(),
            kind: MessageKind::Task,
        };
        Published::new(message, receipt)
    }

    fn assert_as_serde_writes_it(messages: &[Published]) {
        let entries = messages.iter().map(|message| {
            let (stream, seq, duplicate) = match message.receipt() {
                Receipt::Stored { stream, sequence, duplicate } => {
                    (Some(&**stream), Some(*sequence), *duplicate)
                }
                Receipt::Spooled | Receipt::Sent => (None, None, false),
            };
            Entry { subject: message.subject(), id: message.id(), stream, seq, duplicate }
        });
        let report = Report { outcome: "published", messages: entries.collect() };
        let written = String::from_utf8(write("published", messages)).unwrap();
        assert_eq!(written, serde_json::to_string(&report).unwrap());
    }

    #[test]
    fn a_report_is_written_as_serde_json_writes_it() {
        let stored = |sequence, duplicate| Receipt::Stored { stream: "CI \\".into(), sequence, duplicate };
        assert_as_serde_writes_it(&[]);
        assert_as_serde_writes_it(&[
            published(b"1", stored(1, false)),
            published(b"2", stored(u64::MAX, true)),
        ]);
        assert_as_serde_writes_it(&[published(b"3", Receipt::Spooled), published(b"4", stored(7, false))]);
        assert_as_serde_writes_it(&[published(b"5", Receipt::Sent)]);
    }

    #[test]
    fn what_rules_drop_is_reported_with_their_numbers() {
        let report = |rules: &[usize]| String::from_utf8(write_dropped(&rules.iter().copied().collect()));
        assert_eq!(report(&[0]).unwrap(), r#"{"outcome":"dropped","messages":[],"rules":[0]}"#);
        assert_eq!(report(&[12, 3, 12]).unwrap(), r#"{"outcome":"dropped","messages":[],"rules":[3,12]}"#);
    }

    #[test]
    fn a_text_is_written_as_serde_json_writes_it() {
        for text in ["", "ci.task.x", "a\"b", "back\\slash", "\u{1}\n\u{7f}", "流", "é\"流"] {
            let mut json = Vec::new();
            write_text(&mut json, text);
            assert_eq!(json, serde_json::to_vec(text).unwrap(), "{text:?}");
        }
    }
}
