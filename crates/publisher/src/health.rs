//! What is known of NATS, piece by piece: the connection, each stream, each subject.
//!
//! One flag for everything would let one stream's trouble stop the others, and one stream's success hide it. So each
//! publish is a witness for its own stream and subject only; for the connection, anything that the server says is.

mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::log_limit::LogLimit;
use crate::message::Message;
use crate::nats::{Failure, Scope, StreamState};
use crate::patterns::{self, Patterns};
use crate::readiness::{Check, Readiness};
use state::State;
pub(crate) use state::{MAX_REFUSED_SUBJECTS, Refusal};

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
    state: Mutex<State>,
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
        let state = State {
            disconnected_since: Some(Instant::now()),
            silent_since: None,
            last_heard: None,
            last_server_error: None,
            told_forbidden: BTreeSet::new(),
            subscription: None,
            lame_duck: false,
            outside: Vec::new(),
            streams: Vec::new(),
            subjects: BTreeMap::new(),
        };
        let memory = MAX_PAUSE + ack_timeout + GRACE;
        Self {
            state: Mutex::new(state),
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
        let mut state = self.state();
        state.heard(now);
        if !state.subjects.is_empty()
            && let Some(refusal) = state.subjects.get_mut(message.subject.as_str())
        {
            refusal.over = true;
        }
        let stream = state.stream(&message.stream);
        stream.last_acknowledgement = Some(now);
        if let Some(refusal) = &mut stream.refusal {
            refusal.over = true;
        }
    }

    /// A publish that began at `started` has failed. Returns what is to blame.
    pub(crate) fn failed(&self, message: &Message, started: Instant, failure: &Failure) -> Scope {
        let mut state = self.state();
        let scope = failure.scope().unwrap_or_else(|| state.blame_for_silence(message, started));
        let is_news = match scope {
            // That a message is too large, or a copy of it on its way, says nothing of NATS.
            Scope::Message => false,
            Scope::Connection => failure == &Failure::Unanswered && state.silent(started),
            Scope::Stream => state.stream(&message.stream).refused(failure),
            Scope::Subject => state.subject_refused(message, failure, self.memory),
        };
        drop(state);
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
        let mut state = self.state();
        if attempt == Attempt::Usual
            && !state.subjects.is_empty()
            && let Some(failure) = state
                .subjects
                .get(message.subject.as_str())
                .and_then(|refusal| refusal.holds_back(self.memory))
        {
            return Err(failure);
        }
        let stream = state.stream(&message.stream);
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
        self.state().streams.iter().find(|known| *known.name == *stream)?.state.clone()
    }

    /// The largest message that a stream takes, where it has a limit of its own, in bytes with headers.
    pub(crate) fn stream_limit(&self, stream: &Arc<str>) -> Option<usize> {
        self.state().stream(stream).state.as_ref().and_then(StreamState::max_message_bytes)
    }

    /// The server has said something.
    pub(crate) fn heard(&self) {
        self.state().heard(Instant::now());
    }

    /// The server was asked something at `started`, and has not answered.
    pub(crate) fn unanswered(&self, started: Instant) {
        if self.state().silent(started) {
            self.changed.notify_one();
        }
    }

    pub(crate) fn disconnected(&self) {
        self.state().disconnected_since.get_or_insert_with(Instant::now);
        self.changed.notify_one();
    }

    pub(crate) fn connected(&self) {
        let mut state = self.state();
        state.disconnected_since = None;
        state.last_server_error = None;
        state.told_forbidden.clear();
        state.subscription = None;
        state.heard(Instant::now());
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn server_error(&self, error: String) {
        self.state().last_server_error = Some(error);
        self.changed.notify_one();
    }

    /// A subject may not be published to, whether or not anybody waits for it. Returns whether that is news.
    pub(crate) fn forbidden(&self, subject: &str, what: &str) -> bool {
        let mut state = self.state();
        state.heard(Instant::now());
        // What is asked of JetStream's API is the streams' affair.
        if !subject.starts_with(['$', '_']) && state.subjects.len() < MAX_REFUSED_SUBJECTS {
            state.subjects.insert(subject.to_owned(), Refusal::new(Failure::Forbidden(what.to_owned())));
        }
        let is_news =
            state.told_forbidden.len() < MAX_TOLD && state.told_forbidden.insert(subject.to_owned());
        drop(state);
        if is_news {
            self.changed.notify_one();
        }
        is_news
    }

    /// A subscription that acknowledgements need may not be had.
    pub(crate) fn subscription_forbidden(&self, what: String) {
        self.state().subscription = Some(what);
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
        self.state().lame_duck = true;
        self.changed.notify_one();
    }

    /// Whether the server has said that it is about to go; asked once.
    pub(crate) fn take_lame_duck(&self) -> bool {
        std::mem::take(&mut self.state().lame_duck)
    }

    /// For how long the server has said nothing although it was asked, if so.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        self.state().silent_since.map(|since| since.elapsed())
    }

    /// For how long NATS has been away, by either witness.
    pub(crate) fn away_for(&self) -> Duration {
        let state = self.state();
        let since = [state.disconnected_since, state.silent_since].into_iter().flatten().min();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The stream that forgets message ids soonest, and after how long.
    pub(crate) fn shortest_duplicate_window(&self) -> Option<(String, Duration)> {
        let state = self.state();
        let windows = state.streams.iter().filter_map(|stream| {
            Some((stream.name.to_string(), stream.state.as_ref()?.config.duplicate_window))
        });
        windows.min_by_key(|(_, window)| *window)
    }

    pub(crate) fn last_server_error(&self) -> Option<String> {
        self.state().last_server_error.clone()
    }

    pub(crate) fn missing_subscription(&self) -> Option<String> {
        self.state().subscription.clone()
    }

    /// The streams that lately refused publishes, with the reason.
    pub(crate) fn refusing_streams(&self) -> Vec<(String, Failure)> {
        let state = self.state();
        let refused = state.streams.iter().filter_map(|stream| {
            let refusal = stream.refusal.as_ref().filter(|refusal| refusal.is_remembered(self.memory))?;
            Some((stream.name.to_string(), refusal.failure.clone()))
        });
        refused.collect()
    }

    /// The subjects that are refused, with the reason.
    pub(crate) fn refused_subjects(&self) -> Vec<(String, Failure)> {
        let mut state = self.state();
        state.subjects.retain(|_, refusal| refusal.is_remembered(self.memory));
        state.subjects.iter().map(|(subject, refusal)| (subject.clone(), refusal.failure.clone())).collect()
    }

    /// Takes what somebody else has found, in the place of what was found before; `None` when it is of no concern any more.
    pub(crate) fn set_outside(&self, name: &str, found: Option<Check>) {
        let mut state = self.state();
        let is_news = state.outside.iter().find(|check| check.name == name) != found.as_ref();
        state.outside.retain(|check| check.name != name);
        state.outside.extend(found);
        drop(state);
        if is_news {
            self.changed.notify_one();
        }
    }

    pub(crate) fn outside(&self) -> Vec<Check> {
        self.state().outside.clone()
    }

    /// Streams that will be looked at; nothing is published to them before.
    pub(crate) fn await_look<'n>(&self, names: impl Iterator<Item = &'n str>) {
        let mut state = self.state();
        names.for_each(|name| state.stream(&name.into()).awaits_look = true);
    }

    /// Whether a stream has not been looked at since the start. The first look ends within seconds, also without an
    /// answer.
    pub(crate) fn awaits_look(&self) -> bool {
        self.state().streams.iter().any(|stream| stream.awaits_look)
    }

    /// Takes a stream as it is now, or that it is not there.
    pub(crate) fn set_stream(&self, name: &Arc<str>, found: Option<StreamState>) {
        let mut state = self.state();
        let stream = state.stream(name);
        (stream.state, stream.awaits_look) = (found, false);
    }

    /// A look at a stream has ended, and says nothing of it.
    pub(crate) fn looked_at(&self, name: &Arc<str>) {
        self.state().stream(name).awaits_look = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section sets whole fields: a panic leaves no half-done change behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
