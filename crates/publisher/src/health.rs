//! What is known of NATS, piece by piece: the connection, each stream, each subject.
//!
//! One flag for everything would let one stream's trouble stop the others, and one stream's success hide it. So each
//! publish is a witness for its own stream and subject only; for the connection, anything that the server says is.

mod known;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::log_limit::LogLimit;
use crate::message::Message;
use crate::nats::{Failure, Scope, StreamState};
use crate::patterns::{self, Patterns};
use crate::readiness::{Check, Readiness};
use known::Known;
pub(crate) use known::{MAX_REFUSED_SUBJECTS, Refusal};

/// The longest pause before the drain tries again what is refused.
pub(crate) const MAX_PAUSE: Duration = Duration::from_millis(1500);
/// What is left for looking and for a busy machine when that attempt has failed too.
const GRACE: Duration = Duration::from_millis(500);

/// Forbidden subjects that are told of, a line each; a sender's values stand in subjects.
const MAX_TOLD: usize = 64;

/// Lines a minute of what NATS forbids: permissions are compared with a few of the subjects.
const FORBIDDEN_LINES: u64 = 5;

/// The record of what NATS takes.
#[derive(Debug)]
pub(crate) struct Health {
    known: Mutex<Known>,
    patterns: Patterns,
    /// A refusal counts for so long after it was last seen: until the drain has tried once more and waited for the
    /// answer, so it lasts while anything waits. Without an end, whoever looks at readiness before it sends would never
    /// send what could prove it over. It outlasts an acknowledgement in between: what is refused and taken by turns is
    /// not ready by turns.
    memory: Duration,
    /// Woken when something changed that the monitor should look at.
    pub(crate) changed: Notify,
    /// Subjects that may not be published or subscribed to, in the log.
    pub(crate) forbidden_lines: LogLimit,
    pub(crate) readiness: watch::Sender<Readiness>,
}

/// Why a message is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// To have it stored: what was refused just now is not tried.
    Usual,
    /// To find out as well whether a refusal is over.
    Probe,
}

impl Health {
    pub(crate) fn new(patterns: Patterns, ack_timeout: Duration) -> Self {
        let starting = Readiness::starting();
        let known = Known {
            disconnected_since: Some(Instant::now()),
            silent_since: None,
            last_heard: None,
            complaint: None,
            told_forbidden: BTreeSet::new(),
            subscription: None,
            lame_duck: false,
            outside: Vec::new(),
            streams: Vec::new(),
            subjects: BTreeMap::new(),
        };
        let memory = MAX_PAUSE + ack_timeout + GRACE;
        Self {
            known: Mutex::new(known),
            patterns,
            memory,
            changed: Notify::new(),
            forbidden_lines: LogLimit::new(FORBIDDEN_LINES),
            readiness: watch::Sender::new(starting),
        }
    }

    /// The message's stream has it.
    pub(crate) fn acknowledged(&self, message: &Message) {
        let now = Instant::now();
        let mut known = self.known();
        known.heard(now);
        if !known.subjects.is_empty()
            && let Some(refusal) = known.subjects.get_mut(message.subject.as_str())
        {
            refusal.over = true;
        }
        let stream = known.stream(&message.stream);
        stream.last_acknowledgement = Some(now);
        if let Some(refusal) = &mut stream.refusal {
            refusal.over = true;
        }
    }

    /// A publish that began at `started` has failed. Returns what is to blame.
    pub(crate) fn failed(&self, message: &Message, started: Instant, failure: &Failure) -> Scope {
        let mut known = self.known();
        let scope = failure.scope().unwrap_or_else(|| known.blame_for_silence(message, started));
        let is_news = match scope {
            // That a message is too large, or a copy of it on its way, says nothing of NATS.
            Scope::Message => false,
            Scope::Connection => failure == &Failure::Unanswered && known.silent(started),
            Scope::Stream => known.stream(&message.stream).refused(failure),
            Scope::Subject => known.subject_refused(message, failure, self.memory),
        };
        drop(known);
        if is_news {
            self.changed.notify_one();
        }
        scope
    }

    /// Whether it makes sense to publish the message at all.
    ///
    /// # Errors
    ///
    /// Its stream keeps nothing, or takes no message so large; or, in a usual attempt, it was refused just now.
    pub(crate) fn admit(&self, message: &Message, attempt: Attempt) -> Result<(), Failure> {
        let mut known = self.known();
        if attempt == Attempt::Usual
            && !known.subjects.is_empty()
            && let Some(failure) = known
                .subjects
                .get(message.subject.as_str())
                .and_then(|refusal| refusal.holds_back(self.memory))
        {
            return Err(failure);
        }
        let stream = known.stream(&message.stream);
        if stream.awaits_look {
            return Err(Failure::Busy(format!("stream {} has not been looked at yet", stream.name)));
        }
        if let Some(state) = &stream.state {
            if let Some(unfit) = state.unfit() {
                return Err(Failure::Busy(unfit.sentence(&stream.name)));
            }
            if let Some(limit) = state.max_message_bytes().filter(|limit| message.encoded_bytes() > *limit) {
                return Err(Failure::TooLarge(format!("stream {} takes {limit} bytes", stream.name)));
            }
        }
        match stream
            .refusal
            .as_ref()
            .filter(|_| attempt == Attempt::Usual)
            .and_then(|refusal| refusal.holds_back(self.memory))
        {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// A stream as it was last seen.
    pub(crate) fn stream_state(&self, stream: &str) -> Option<StreamState> {
        self.known().streams.iter().find(|known| *known.name == *stream)?.state.clone()
    }

    /// The largest message that a stream takes, where it has a limit of its own, in bytes with headers.
    pub(crate) fn stream_limit(&self, stream: &Arc<str>) -> Option<usize> {
        self.known().stream(stream).state.as_ref().and_then(StreamState::max_message_bytes)
    }

    /// The server has said something.
    pub(crate) fn heard(&self) {
        self.known().heard(Instant::now());
    }

    /// The server was asked something at `started`, and has not answered.
    pub(crate) fn unanswered(&self, started: Instant) {
        if self.known().silent(started) {
            self.changed.notify_one();
        }
    }

    pub(crate) fn disconnected(&self) {
        self.known().disconnected_since.get_or_insert_with(Instant::now);
        self.changed.notify_one();
    }

    pub(crate) fn connected(&self) {
        let mut known = self.known();
        known.disconnected_since = None;
        known.complaint = None;
        known.told_forbidden.clear();
        known.subscription = None;
        known.heard(Instant::now());
        drop(known);
        self.changed.notify_one();
    }

    pub(crate) fn complained(&self, complaint: String) {
        self.known().complaint = Some(complaint);
        self.changed.notify_one();
    }

    /// A subject may not be published to, whether or not anybody waits for it. Returns whether that is news.
    pub(crate) fn forbidden(&self, subject: &str, what: &str) -> bool {
        let mut known = self.known();
        known.heard(Instant::now());
        // What is asked of JetStream's API is the streams' affair.
        if !subject.starts_with(['$', '_']) && known.subjects.len() < MAX_REFUSED_SUBJECTS {
            known.subjects.insert(subject.to_owned(), Refusal::new(Failure::Forbidden(what.to_owned())));
        }
        let is_news =
            known.told_forbidden.len() < MAX_TOLD && known.told_forbidden.insert(subject.to_owned());
        drop(known);
        if is_news {
            self.changed.notify_one();
        }
        is_news
    }

    /// A subscription that acknowledgements need may not be had.
    pub(crate) fn subscription_forbidden(&self, what: String) {
        self.known().subscription = Some(what);
        self.changed.notify_one();
    }

    /// Takes new routes: subjects that nothing leads to any more are not waited for.
    pub(crate) fn set_patterns(&self, patterns: Vec<(String, String)>) {
        self.patterns.set(patterns);
        self.changed.notify_one();
    }

    pub(crate) fn patterns(&self) -> patterns::Snapshot {
        self.patterns.get()
    }

    pub(crate) fn lame_duck(&self) {
        self.known().lame_duck = true;
        self.changed.notify_one();
    }

    /// Whether the server has said that it is about to go; asked once.
    pub(crate) fn take_lame_duck(&self) -> bool {
        std::mem::take(&mut self.known().lame_duck)
    }

    /// For how long the server has said nothing although it was asked, if so.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        self.known().silent_since.map(|since| since.elapsed())
    }

    /// For how long NATS has been away, by either witness.
    pub(crate) fn away_for(&self) -> Duration {
        let known = self.known();
        let since = [known.disconnected_since, known.silent_since].into_iter().flatten().min();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The stream that forgets message ids soonest, and after how long.
    pub(crate) fn shortest_duplicate_window(&self) -> Option<(String, Duration)> {
        let known = self.known();
        let windows = known.streams.iter().filter_map(|stream| {
            Some((stream.name.to_string(), stream.state.as_ref()?.config.duplicate_window))
        });
        windows.min_by_key(|(_, window)| *window)
    }

    pub(crate) fn complaint(&self) -> Option<String> {
        self.known().complaint.clone()
    }

    pub(crate) fn missing_subscription(&self) -> Option<String> {
        self.known().subscription.clone()
    }

    /// The streams that lately refused publishes, with the reason.
    pub(crate) fn refusing_streams(&self) -> Vec<(String, Failure)> {
        let known = self.known();
        let refused = known.streams.iter().filter_map(|stream| {
            let refusal = stream.refusal.as_ref().filter(|refusal| refusal.is_remembered(self.memory))?;
            Some((stream.name.to_string(), refusal.failure.clone()))
        });
        refused.collect()
    }

    /// The subjects that are refused, with the reason.
    pub(crate) fn refused_subjects(&self) -> Vec<(String, Failure)> {
        let mut known = self.known();
        known.subjects.retain(|_, refusal| refusal.is_remembered(self.memory));
        known.subjects.iter().map(|(subject, refusal)| (subject.clone(), refusal.failure.clone())).collect()
    }

    /// Takes what somebody else has found, in the place of what was found before; `None` when it is of no concern any more.
    pub(crate) fn set_outside(&self, name: &str, found: Option<Check>) {
        let mut known = self.known();
        let is_news = known.outside.iter().find(|check| check.name == name) != found.as_ref();
        known.outside.retain(|check| check.name != name);
        known.outside.extend(found);
        drop(known);
        if is_news {
            self.changed.notify_one();
        }
    }

    pub(crate) fn outside(&self) -> Vec<Check> {
        self.known().outside.clone()
    }

    /// Streams that will be looked at; nothing is published to them before.
    pub(crate) fn await_look<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let mut known = self.known();
        names.for_each(|name| known.stream(&name.into()).awaits_look = true);
    }

    /// Takes a stream as it is now, or that it is not there.
    pub(crate) fn set_stream(&self, name: &Arc<str>, state: Option<StreamState>) {
        let mut known = self.known();
        let stream = known.stream(name);
        (stream.state, stream.awaits_look) = (state, false);
    }

    /// A look at a stream has ended, and says nothing of it.
    pub(crate) fn looked_at(&self, name: &Arc<str>) {
        self.known().stream(name).awaits_look = false;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every critical section sets whole fields: a panic leaves no half-done change behind.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
