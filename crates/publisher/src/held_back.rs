//! What of the spool is held back, in words for whoever asks: which message, since when, and why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::message::Message;
use crate::spooled::Spooled;

/// So many are named where not all can be: in `/readyz` and in a line of the log.
pub(crate) const NAMED: usize = 3;

/// Whose messages are held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    Stream(Arc<str>),
    Subject(String),
    /// One message, by its place in the spool.
    Message(u64),
}

/// A message that was not taken, and what came of the last attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// `Nats-Msg-Id`.
    pub id: String,
    /// Where it should go.
    pub subject: String,
    /// The stream that should take it.
    pub stream: String,
    /// When it came into the spool.
    #[serde(serialize_with = "rfc3339")]
    pub since: Option<SystemTime>,
    /// Attempts of this process.
    pub tries: u32,
    /// Why it was not taken.
    pub reason: String,
    #[serde(skip)]
    pub(crate) place: u64,
}

/// Everything that the drain holds back.
#[derive(Debug, Default)]
pub struct HeldBack {
    pub(crate) why: BTreeMap<Held, Arc<Refusal>>,
    /// Messages whose subject is refused, or that are themselves.
    pub(crate) refused: u64,
}

/// What `/readyz` says of messages that are refused: none of them keeps the bridge from being ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// How many there are.
    pub messages: u64,
    /// Those that came first, of each subject one.
    pub oldest: Vec<Refusal>,
}

impl HeldBack {
    /// Messages that wait because their subject is refused, or because they are themselves.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Why a message waits, if that is another reason than its turn.
    pub(crate) fn why(&self, place: u64, message: &Message) -> Option<Arc<Refusal>> {
        if self.why.is_empty() {
            return None;
        }
        let of = |held: &Held| self.why.get(held).cloned();
        of(&Held::Message(place))
            .or_else(|| of(&Held::Subject(message.subject.as_str().to_owned())))
            .or_else(|| of(&Held::Stream(Arc::clone(&message.stream))))
    }

    /// Whether it is the message or its subject that is refused, and not a stream that takes nothing at the moment.
    pub(crate) fn refuses(&self, place: u64, message: &Message) -> bool {
        self.why.contains_key(&Held::Message(place))
            || self.why.contains_key(&Held::Subject(message.subject.as_str().to_owned()))
    }

    /// The messages that are refused; `None` when none is.
    #[must_use]
    pub fn summary(&self) -> Option<Refused> {
        let of_messages = self.why.iter().filter(|(held, _)| !matches!(held, Held::Stream(_)));
        let mut oldest: Vec<_> = of_messages.map(|(_, refusal)| refusal).collect();
        oldest.sort_by_key(|refusal| refusal.place);
        let oldest: Vec<_> = oldest.into_iter().take(NAMED).map(|refusal| (**refusal).clone()).collect();
        (!oldest.is_empty()).then_some(Refused { messages: self.refused, oldest })
    }
}

impl Refusal {
    /// After one more attempt; the message that came first stands for its subject or stream.
    pub(crate) fn after(before: Option<&Self>, spooled: &Spooled, reason: String) -> Self {
        let message = &spooled.message;
        let is_older = |before: &&Self| before.place < spooled.place;
        let tries = before.map_or(0, |before| before.tries).saturating_add(1);
        match before.filter(is_older) {
            Some(before) => Self { tries, reason, ..before.clone() },
            None => Self {
                id: message.id.as_str().to_owned(),
                subject: message.subject.as_str().to_owned(),
                stream: message.stream.to_string(),
                since: spooled.since,
                tries,
                reason,
                place: spooled.place,
            },
        }
    }

    /// When it came, as RFC 3339 has it.
    #[must_use]
    pub fn since_text(&self) -> String {
        self.since.map_or_else(|| "an unknown time".to_owned(), timestamp)
    }
}

impl Refused {
    /// One sentence: how many, and which came first.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = match self.messages {
            1 => "1 message is refused".to_owned(),
            many => format!("{many} messages are refused"),
        };
        if let Some(refusal @ Refusal { id, subject, reason, .. }) = self.oldest.first() {
            text.push_str(&format!(", first {id} on {subject}, since {}: {reason}", refusal.since_text()));
        }
        text.push_str("; `ci-bridge spool list` names all, `spool drop ID` gives one up");
        text
    }
}

/// A time as RFC 3339 has it, in UTC, to the second.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

fn rfc3339<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(timestamp).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::MessageId;
    use crate::message::{Headers, MessageKind};
    use crate::subject::Subject;

    fn spooled(place: u64) -> Spooled {
        let message = Message {
            subject: Subject::parse("ci.x").unwrap(),
            id: MessageId::of_quarantine(&[u8::try_from(place).unwrap()]),
            stream: "CI".into(),
            headers: Headers::default(),
            payload: bytes::Bytes::new(),
            kind: MessageKind::Task,
        };
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500 + place);
        Spooled { place, bytes: 100, since: Some(since), message }
    }

    #[test]
    fn the_message_that_came_first_stands_for_the_rest() {
        let first = Refusal::after(None, &spooled(5), "a".to_owned());
        let later = Refusal::after(Some(&first), &spooled(7), "b".to_owned());
        assert_eq!((later.place, later.tries, &*later.reason), (5, 2, "b"));
        let earlier = Refusal::after(Some(&later), &spooled(3), "c".to_owned());
        assert_eq!((earlier.place, earlier.tries), (3, 3));
        assert_eq!(earlier.since_text(), "2023-11-14T22:13:20Z");
    }

    #[test]
    fn of_many_the_oldest_are_named_and_all_counted() {
        assert_eq!(HeldBack::default().summary(), None);
        let refusal = |place| Arc::new(Refusal::after(None, &spooled(place), "no".to_owned()));
        let mut held = HeldBack { refused: 9, ..HeldBack::default() };
        for place in [8, 2, 6, 4] {
            held.why.insert(Held::Message(place), refusal(place));
        }
        held.why.insert(Held::Stream("CI".into()), refusal(1));
        let summary = held.summary().unwrap();
        let places: Vec<_> = summary.oldest.iter().map(|refusal| refusal.place).collect();
        assert_eq!((summary.messages, &places[..]), (9, &[2, 4, 6][..]));
        assert!(summary.sentence().starts_with("9 messages are refused, first quarantine:"));
        assert!(held.refuses(2, &spooled(2).message) && !held.refuses(1, &spooled(1).message));
        assert_eq!(held.why(1, &spooled(1).message).unwrap().place, 1, "its stream takes nothing");
    }
}
