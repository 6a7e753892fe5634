//! A message as the spool keeps it.
//!
//! One byte of version, one of kind, the time in milliseconds, then texts with their length before them. What is
//! read back is checked like what comes from outside: a record that does not hold a message is left out.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::id::MessageId;
use crate::message::{HeaderName, Headers, Message, MessageKind};
use crate::subject::Subject;

const VERSION: u8 = 1;

pub(super) fn encode(message: &Message, now: SystemTime) -> Vec<u8> {
    let mut record = Vec::with_capacity(message.payload.len() + 512);
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let kind = MessageKind::ALL.iter().position(|kind| *kind == message.kind);
    record.extend_from_slice(&[VERSION, small(kind)]);
    record.extend_from_slice(&u64::try_from(since.as_millis()).unwrap_or(u64::MAX).to_be_bytes());
    for text in [message.subject.as_str(), message.id.as_str(), &message.stream] {
        push(&mut record, text.as_bytes());
    }
    record.push(small(Some(message.headers.iter().len())));
    for (name, value) in message.headers.iter() {
        record.push(small(HeaderName::ALL.iter().position(|have| *have == name)));
        push(&mut record, value.as_bytes());
    }
    push(&mut record, &message.payload);
    record
}

/// `None` when the record holds no message.
pub(super) fn decode(record: Bytes) -> Option<Message> {
    let mut rest = record;
    if take(&mut rest, 1)?[..] != [VERSION] {
        return None;
    }
    let kind = *MessageKind::ALL.get(usize::from(take(&mut rest, 1)?[0]))?;
    take(&mut rest, 8)?;
    let subject = Subject::from_spool(take_text(&mut rest)?)?;
    let id = MessageId::from_spool(take_text(&mut rest)?)?;
    let stream = take_text(&mut rest)?.into();
    let count = take(&mut rest, 1)?[0];
    let mut headers = Headers::default();
    for _ in 0..count {
        let name = *HeaderName::ALL.get(usize::from(take(&mut rest, 1)?[0]))?;
        // No message has a name twice, and what makes its headers counts on that.
        if headers.iter().any(|(have, _)| have == name) {
            return None;
        }
        headers.push(name, take_text(&mut rest)?);
    }
    let payload = take_prefixed(&mut rest)?;
    rest.is_empty().then_some(Message { subject, id, stream, headers, payload, kind })
}

/// When the record was made, without reading the rest.
pub(super) fn since(record: &[u8]) -> Option<SystemTime> {
    let millis = u64::from_be_bytes(record.get(2..10)?.try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

fn push(record: &mut Vec<u8>, bytes: &[u8]) {
    // A body is at most max_body, and that is far below 4 GiB.
    record.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    record.extend_from_slice(bytes);
}

fn take(rest: &mut Bytes, length: usize) -> Option<Bytes> {
    (rest.len() >= length).then(|| rest.split_to(length))
}

fn take_prefixed(rest: &mut Bytes) -> Option<Bytes> {
    let length = u32::from_be_bytes(take(rest, 4)?[..].try_into().ok()?);
    take(rest, usize::try_from(length).ok()?)
}

fn take_text(rest: &mut Bytes) -> Option<String> {
    String::from_utf8(take_prefixed(rest)?.into()).ok()
}

fn small(number: Option<usize>) -> u8 {
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let mut headers = Headers::default();
        HeaderName::ALL.iter().for_each(|name| headers.push(*name, format!("value of {}", name.as_str())));
        Message {
            subject: Subject::parse("ci.task.x.success").unwrap(),
            id: MessageId::of_quarantine(b"body"),
            stream: "CI".into(),
            headers,
            payload: Bytes::from_static(b"{\"a\":1}"),
            kind: MessageKind::Moderation,
        }
    }

    #[test]
    fn a_message_comes_back_as_it_went() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let record = encode(&message(), now);
        assert_eq!(since(&record), Some(now));
        assert_eq!(decode(record.into()), Some(message()));
    }

    #[test]
    fn a_name_that_comes_twice_is_no_message() {
        let mut twice = message();
        twice.headers.push(HeaderName::CeSource, "/ci/other");
        assert_eq!(decode(encode(&twice, SystemTime::UNIX_EPOCH).into()), None);
    }

    #[test]
    fn no_damaged_record_is_taken_for_a_message_of_another_length() {
        let record = encode(&message(), SystemTime::UNIX_EPOCH);
        for length in 0..record.len() {
            assert_eq!(decode(Bytes::copy_from_slice(&record[..length])), None, "cut at {length}");
        }
        let longer = [&record[..], b"x"].concat();
        assert_eq!(decode(longer.into()), None);
    }
}
