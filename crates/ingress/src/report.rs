//! The body of an answer of 200: every message, and what became of it.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use crate::published::Published;

/// What is set aside for each message, in bytes; most take less.
const MESSAGE_BYTES: usize = 256;

#[derive(Serialize)]
struct Report<'a> {
    outcome: &'static str,
    messages: &'a [Published],
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<&'a BTreeSet<usize>>,
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

impl Serialize for Published {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (stream, seq) = self.stored().unzip();
        let (subject, id, duplicate) = (self.subject(), self.id(), self.is_duplicate());
        Entry { subject, id, stream, seq, duplicate }.serialize(serializer)
    }
}

/// `{"outcome":…,"messages":[…]}`; `outcome` is a word of ours.
pub(crate) fn write(outcome: &'static str, messages: &[Published]) -> Vec<u8> {
    json(&Report { outcome, messages, rules: None })
}

/// `{"outcome":"dropped","messages":[],"rules":[…]}`: the rules that drop every event, as configuration errors number
/// them.
pub(crate) fn write_dropped(rules: &BTreeSet<usize>) -> Vec<u8> {
    json(&Report { outcome: "dropped", messages: &[], rules: Some(rules) })
}

fn json(report: &Report<'_>) -> Vec<u8> {
    let mut json = Vec::with_capacity(64 + MESSAGE_BYTES * report.messages.len());
    // Texts and numbers have no way to fail, and neither has memory.
    let _ = serde_json::to_writer(&mut json, report);
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use ci_bridge_publisher::{Headers, Message, MessageId, MessageKind, Receipt, Subject};

    fn published(receipt: Receipt) -> Published {
        let message = Message {
            subject: Subject::parse("ci.task.a\"b.success").unwrap(),
            id: MessageId::of_quarantine(b"1"),
            stream: "CI".into(),
            headers: Headers::default(),
            payload: bytes::Bytes::new(),
            kind: MessageKind::Task,
        };
        Published::new(message, receipt)
    }

    #[test]
    fn each_message_is_reported_with_what_became_of_it() {
        let id = MessageId::of_quarantine(b"1");
        let start = format!(r#"{{"subject":"ci.task.a\"b.success","id":"{}","#, id.as_str());
        let stored = |sequence, duplicate| Receipt::Stored { stream: "CI".into(), sequence, duplicate };
        let rows = [
            (vec![], String::new()),
            (vec![Receipt::Spooled], format!(r#"{start}"duplicate":false}}"#)),
            (vec![Receipt::Sent], format!(r#"{start}"duplicate":false}}"#)),
            (
                vec![stored(1, false), stored(u64::MAX, true)],
                format!(
                    r#"{start}"stream":"CI","seq":1,"duplicate":false}},{start}"stream":"CI","seq":{},"duplicate":true}}"#,
                    u64::MAX
                ),
            ),
        ];
        for (receipts, expected) in rows {
            let messages: Vec<_> = receipts.into_iter().map(published).collect();
            let written = String::from_utf8(write("published", &messages)).unwrap();
            assert_eq!(written, format!(r#"{{"outcome":"published","messages":[{expected}]}}"#));
        }
    }

    #[test]
    fn what_rules_drop_is_reported_with_their_numbers() {
        let report = |rules: &[usize]| String::from_utf8(write_dropped(&rules.iter().copied().collect()));
        assert_eq!(report(&[0]).unwrap(), r#"{"outcome":"dropped","messages":[],"rules":[0]}"#);
        assert_eq!(report(&[12, 3, 12]).unwrap(), r#"{"outcome":"dropped","messages":[],"rules":[3,12]}"#);
    }
}
