//! The state of NATS as it was last seen: of the connection, of each stream and of each subject.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::message::Message;
use crate::nats::{Failure, Scope, StreamState};
use crate::readiness::Check;

/// Subjects that are remembered as refused.
pub(crate) const MAX_REFUSED_SUBJECTS: usize = 64;

/// What is known.
#[derive(Debug)]
pub(super) struct State {
    /// Since when there is no connection.
    pub(super) disconnected_since: Option<Instant>,
    /// Since when the server has said nothing at all, although it was asked.
    pub(super) silent_since: Option<Instant>,
    /// When the server last said anything.
    pub(super) last_heard: Option<Instant>,
    /// The last error of the server or the client while there was no connection.
    pub(super) last_server_error: Option<String>,
    /// Forbidden subjects that the log has been told of since there is a connection.
    pub(super) told_forbidden: BTreeSet<String>,
    /// A subscription that the bridge needs and may not have.
    pub(super) subscription: Option<String>,
    /// The server has said that it is about to go.
    pub(super) lame_duck: bool,
    /// What others than the publisher have found, such as an expired certificate.
    pub(super) outside: Vec<Check>,
    pub(super) streams: Vec<Stream>,
    pub(super) subjects: BTreeMap<String, Refusal>,
}

/// A stream, as far as it is known.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: Arc<str>,
    /// As it was last looked at.
    pub(super) state: Option<StreamState>,
    /// It is to be looked at, and no look has ended yet: whether it keeps anything is not known.
    pub(super) awaits_look: bool,
    pub(super) last_acknowledgement: Option<Instant>,
    pub(super) refusal: Option<Refusal>,
}

/// What was refused, and how it was said.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    pub(super) last: Instant,
    /// An acknowledgement has come since: it is remembered, but holds nothing back.
    pub(super) over: bool,
}

impl Refusal {
    pub(super) fn new(failure: Failure) -> Self {
        Self { failure, last: Instant::now(), over: false }
    }

    pub(super) fn is_remembered(&self, memory: Duration) -> bool {
        self.last.elapsed() < memory
    }

    pub(super) fn holds_back(&self, memory: Duration) -> Option<Failure> {
        (!self.over && self.is_remembered(memory)).then(|| self.failure.clone())
    }
}

impl State {
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = Some(now);
        self.silent_since = None;
    }

    /// Something asked at `started` has no answer; returns whether that begins a silence.
    pub(super) fn silent(&mut self, started: Instant) -> bool {
        let begins = self.silent_since.is_none() && self.last_heard.is_none_or(|heard| heard < started);
        if begins {
            self.silent_since = Some(started);
        }
        begins
    }

    /// What is to blame for a publish without an answer: the connection when the server says nothing at all, the stream
    /// when it acknowledges nothing, else the subject.
    pub(super) fn blame_for_silence(&mut self, message: &Message, started: Instant) -> Scope {
        let since = |at: Option<Instant>| at.is_some_and(|at| at >= started);
        if !since(self.last_heard) {
            Scope::Connection
        } else if !since(self.stream(&message.stream).last_acknowledgement) {
            Scope::Stream
        } else {
            Scope::Subject
        }
    }

    /// Returns whether it is news that the subject is refused.
    pub(super) fn subject_refused(&mut self, message: &Message, failure: &Failure, memory: Duration) -> bool {
        let subject = message.subject.as_str();
        let before = self.subjects.get(subject).map(|refusal| refusal.failure.clone());
        if before.is_none() && self.subjects.len() >= MAX_REFUSED_SUBJECTS {
            self.subjects.retain(|_, refusal| refusal.is_remembered(memory));
            if self.subjects.len() >= MAX_REFUSED_SUBJECTS {
                // Those that are remembered say enough; the stream is not to blame for its subjects.
                return false;
            }
        }
        self.subjects.insert(subject.to_owned(), Refusal::new(failure.clone()));
        before.as_ref() != Some(failure)
    }

    pub(super) fn stream(&mut self, name: &Arc<str>) -> &mut Stream {
        // A handful: the streams of the configuration, and those that spooled messages still name.
        let place = self.streams.iter().position(|stream| Arc::ptr_eq(&stream.name, name));
        let place = place.or_else(|| self.streams.iter().position(|stream| stream.name == *name));
        let place = place.unwrap_or_else(|| {
            self.streams.push(Stream {
                name: Arc::clone(name),
                state: None,
                awaits_look: false,
                last_acknowledgement: None,
                refusal: None,
            });
            self.streams.len() - 1
        });
        &mut self.streams[place]
    }
}

impl Stream {
    /// Returns whether it is news.
    pub(super) fn refused(&mut self, failure: &Failure) -> bool {
        let is_news = self.refusal.as_ref().is_none_or(|before| before.failure != *failure || before.over);
        self.refusal = Some(Refusal::new(failure.clone()));
        is_news
    }
}
