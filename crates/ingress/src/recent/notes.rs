//! What is noted of a callback along its way, for the fact that is left of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ci_bridge_publisher::{Decision, Message, MessageId, Receipt, Subject};
use ci_bridge_schema::{Event, Kind};

use super::fact::{EventWords, Stage, Telling};
use super::words::{Keep, Words};
use crate::answer::Answer;
use crate::metrics::Outcome;
use crate::published::Published;

/// The words of an event, in bytes; a fact holds less.
const EVENT_BYTES: usize = 250;
/// What is noted of a reason, in bytes; a fact holds less.
const DETAIL_BYTES: usize = 120;

/// What is noted; nothing when nobody can look.
#[derive(Debug)]
pub(crate) struct CallbackNotes(Option<Box<Noted>>);

#[derive(Debug)]
struct Noted {
    /// When the stage that runs began.
    since: Instant,
    stages: [Option<Duration>; Stage::ALL.len()],
    age: Option<Duration>,
    events: usize,
    kind: Option<Kind>,
    decision: Option<Decision>,
    /// Of the first event.
    event: EventWords,
    /// What the answer does not say: the first message where it is not published, is in quarantine, or must not show.
    message: Option<Unsaid>,
    messages: usize,
    /// Where there is no message at all.
    id: Option<MessageId>,
    reason: &'static str,
    detail: String,
}

#[derive(Debug)]
struct Unsaid {
    subject: Subject,
    id: MessageId,
    receipt: Option<Receipt>,
}

/// How a callback ended.
pub(crate) struct Ended<'a> {
    /// When its head had arrived, since 1970.
    pub(crate) at: Duration,
    /// From there to the answer.
    pub(crate) total: Duration,
    pub(crate) answer: &'a Answer,
    pub(crate) endpoint: &'a str,
    pub(crate) bytes: u64,
}

impl CallbackNotes {
    /// One that notes nothing, unless it `is_wanted`. Its first stage begins.
    pub(crate) fn new(is_wanted: bool) -> Self {
        let begin = || {
            Box::new(Noted {
                since: Instant::now(),
                stages: [None; Stage::ALL.len()],
                age: None,
                events: 0,
                kind: None,
                decision: None,
                event: Words::default(),
                message: None,
                messages: 0,
                id: None,
                reason: "",
                detail: String::new(),
            })
        };
        Self(is_wanted.then(begin))
    }

    pub(crate) fn has_read(&mut self) {
        self.ends(Stage::Read);
    }

    pub(crate) fn has_parsed(&mut self) {
        self.ends(Stage::Parse);
    }

    pub(crate) fn has_verified(&mut self) {
        self.ends(Stage::Verify);
    }

    pub(crate) fn has_published(&mut self) {
        self.ends(Stage::Publish);
    }

    /// The stage has ended, and the next one begins. One that comes twice, such as publishing to quarantine after
    /// publishing, counts together.
    fn ends(&mut self, stage: Stage) {
        if let Some(noted) = &mut self.0 {
            let now = Instant::now();
            *noted.stages[stage as usize].get_or_insert_default() += now - noted.since;
            noted.since = now;
        }
    }

    /// The callback tells of these events; how late the first that says so came.
    pub(crate) fn tells_of(&mut self, events: &[Event<'_>], age: Option<Duration>) {
        let (Some(noted), Some(first)) = (&mut self.0, events.first()) else { return };
        let routing = first.routing();
        let (tag, state) = match first.kind() {
            Kind::Moderation => (&routing.event, routing.verdict.as_ref().or(routing.state.as_ref())),
            Kind::Task | Kind::Workflow => (&routing.tag, routing.state.as_ref()),
        };
        let words = [
            (tag.as_deref().unwrap_or_default(), Keep::Beginning),
            (state.map(AsRef::as_ref).unwrap_or_default(), Keep::Beginning),
            (routing.object.as_deref().unwrap_or_default(), Keep::End),
            (routing.bucket.as_deref().unwrap_or_default(), Keep::Beginning),
        ];
        noted.event = Words::pack(words, EVENT_BYTES);
        (noted.kind, noted.events, noted.age) = (Some(first.kind()), events.len(), age);
    }

    /// What decides where an event goes: the first of them counts.
    pub(crate) fn is_decided_by(&mut self, decision: Decision) {
        if let Some(noted) = &mut self.0 {
            noted.decision.get_or_insert(decision);
        }
    }

    /// Nothing of these is published: the id that the first would have had still says of which job it is.
    pub(crate) fn has_none_of(&mut self, events: &[Event<'_>]) {
        if let (Some(noted), Some(first)) = (&mut self.0, events.first()) {
            noted.id = Some(MessageId::of_event(first));
        }
    }

    /// The messages that are about to be published.
    pub(crate) fn has_in_hand(&mut self, messages: &[Message]) {
        if let (Some(noted), Some(first)) = (&mut self.0, messages.first()) {
            noted.message = Some(Unsaid::of(first, None));
        }
    }

    /// What the answer says that is about to be silenced.
    pub(crate) fn keeps(&mut self, answer: &Answer) {
        if let (Some(noted), Answer::Published(messages)) = (&mut self.0, answer) {
            noted.message = messages.first().map(Unsaid::from);
            noted.messages = messages.len();
        }
    }

    /// Why it is in quarantine, and as what.
    pub(crate) fn is_quarantined(
        &mut self,
        reason: &'static str,
        detail: &str,
        message: &Message,
        receipt: Option<&Receipt>,
    ) {
        let Some(noted) = &mut self.0 else { return };
        noted.reason = reason;
        let end = (0..=DETAIL_BYTES.min(detail.len())).rev().find(|end| detail.is_char_boundary(*end));
        detail[..end.unwrap_or(0)].clone_into(&mut noted.detail);
        noted.message = Some(Unsaid::of(message, receipt.cloned()));
        noted.messages = usize::from(receipt.is_some());
    }

    /// Tells it whole, and how old the callback was when it came.
    pub(crate) fn end(self, ended: &Ended<'_>, tell: impl FnOnce(&Telling<'_>, Option<Duration>)) {
        let Some(noted) = self.0 else { return };
        let outcome = ended.answer.outcome();
        let (first, messages) = match ended.answer {
            Answer::Published(messages) => (messages.first().map(parts), messages.len()),
            _ => (noted.message.as_ref().map(Unsaid::parts), noted.messages),
        };
        let id = noted.id.as_ref().map(MessageId::as_str).unwrap_or_default();
        let (subject, id, receipt) = first.unwrap_or(("", id, None));
        let (stored, is_duplicate) = match receipt {
            Some(Receipt::Stored { stream, sequence, duplicate }) => {
                (Some((Arc::clone(stream), *sequence)), *duplicate)
            }
            _ => (None, false),
        };
        let detail = match noted.detail.is_empty() {
            true => ended.answer.detail(),
            false => noted.detail,
        };
        let told = Telling {
            at: ended.at,
            outcome,
            status: ended.answer.status().as_u16(),
            total: ended.total,
            stages: noted.stages,
            bytes: ended.bytes,
            events: noted.events,
            messages,
            kind: noted.kind,
            decision: noted.decision.filter(|_| outcome != Outcome::Quarantined),
            is_duplicate,
            stored,
            reason: match noted.reason {
                "" => ended.answer.rejection().unwrap_or_default(),
                reason => reason,
            },
            id,
            subject,
            event: &noted.event,
            endpoint: ended.endpoint,
            detail: &detail,
        };
        tell(&told, noted.age);
    }
}

/// A message by its subject and id, and what became of it.
type Parts<'a> = (&'a str, &'a str, Option<&'a Receipt>);

impl Unsaid {
    fn of(message: &Message, receipt: Option<Receipt>) -> Self {
        Self { subject: message.subject.clone(), id: message.id.clone(), receipt }
    }

    fn parts(&self) -> Parts<'_> {
        (self.subject.as_str(), self.id.as_str(), self.receipt.as_ref())
    }
}

impl From<&Published> for Unsaid {
    fn from(published: &Published) -> Self {
        let (subject, id) = published.name();
        Self { subject: subject.clone(), id: id.clone(), receipt: Some(published.receipt().clone()) }
    }
}

fn parts(published: &Published) -> Parts<'_> {
    (published.subject(), published.id(), Some(published.receipt()))
}
