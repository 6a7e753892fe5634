//! What is known of the broker: is it there, does it take writes, does it have the streams.
//!
//! Three witnesses, none sufficient alone: the connection's state, acknowledgements (a frozen broker keeps its
//! connections), and the streams themselves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::nats::{Failure, StreamState};

/// Whether callbacks can be taken, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// All checks hold.
    pub ready: bool,
    /// Each check by its name.
    pub checks: Vec<Check>,
}

/// One reason to be ready or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `nats`, `streams`, `writes`, `spool`, `shutdown`.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was seen, in a sentence.
    pub detail: String,
}

/// How long a refused publish keeps the bridge from being ready.
const REFUSAL_MEMORY: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Broker {
    known: Mutex<Known>,
    /// Woken when something changed that the monitor should look at.
    pub(crate) changed: Notify,
    pub(crate) readiness: watch::Sender<Readiness>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last complaint of server or client since the connection was lost.
    complaint: Option<String>,
    /// Since when there is no connection.
    disconnected_since: Option<Instant>,
    /// Since when publishes have gone unanswered while the connection stood.
    unresponsive_since: Option<Instant>,
    last_acknowledgement: Option<Instant>,
    /// Why the last publish was not taken, and when.
    refusal: Option<(Instant, String)>,
    streams: Vec<StreamState>,
    /// The server has said that it is about to go.
    lame_duck: bool,
    /// What may be published to, with the stream that must take it.
    patterns: Arc<[(String, String)]>,
}

impl Broker {
    pub(crate) fn new(patterns: Vec<(String, String)>) -> Self {
        let starting = Readiness::of(vec![Check::failed("nats", "starting")]);
        let known =
            Known { disconnected_since: Some(Instant::now()), patterns: patterns.into(), ..Known::default() };
        Self { known: Mutex::new(known), changed: Notify::new(), readiness: watch::Sender::new(starting) }
    }

    pub(crate) fn acknowledged(&self) {
        let mut known = self.known();
        known.last_acknowledgement = Some(Instant::now());
        known.unresponsive_since = None;
        known.refusal = None;
    }

    /// A publish that began at `started` has failed.
    pub(crate) fn failed(&self, started: Instant, failure: &Failure) {
        let mut known = self.known();
        match failure {
            Failure::Unanswered => {
                // Others were answered meanwhile: it is this message, not the broker.
                let silent = known.last_acknowledgement.is_none_or(|at| at < started);
                if silent && known.unresponsive_since.is_none() {
                    known.unresponsive_since = Some(started);
                    self.changed.notify_one();
                }
            }
            // That a message is too large, or a copy of it on its way, says nothing of the broker.
            Failure::Disconnected | Failure::Away | Failure::TooLarge(_) | Failure::InFlight => {}
            other => {
                let refusal = other.to_string();
                let is_news = known.refusal.as_ref().is_none_or(|(_, before)| *before != refusal);
                known.refusal = Some((Instant::now(), refusal));
                if is_news {
                    self.changed.notify_one();
                }
            }
        }
    }

    /// The broker has answered something else than a publish.
    pub(crate) fn responded(&self) {
        self.known().unresponsive_since = None;
    }

    pub(crate) fn disconnected(&self) {
        self.known().disconnected_since.get_or_insert_with(Instant::now);
        self.changed.notify_one();
    }

    pub(crate) fn connected(&self) {
        let mut known = self.known();
        known.disconnected_since = None;
        known.complaint = None;
        known.unresponsive_since = None;
        drop(known);
        self.changed.notify_one();
    }

    pub(crate) fn complained(&self, complaint: String) {
        self.known().complaint = Some(complaint);
        self.changed.notify_one();
    }

    pub(crate) fn set_patterns(&self, patterns: Vec<(String, String)>) {
        self.known().patterns = patterns.into();
        self.changed.notify_one();
    }

    pub(crate) fn patterns(&self) -> Arc<[(String, String)]> {
        Arc::clone(&self.known().patterns)
    }

    pub(crate) fn lame_duck(&self) {
        self.known().lame_duck = true;
        self.changed.notify_one();
    }

    /// Whether the server has said that it is about to go; asked once.
    pub(crate) fn take_lame_duck(&self) -> bool {
        std::mem::take(&mut self.known().lame_duck)
    }

    /// For how long publishes have gone unanswered, if they do.
    pub(crate) fn unresponsive_for(&self) -> Option<Duration> {
        self.known().unresponsive_since.map(|since| since.elapsed())
    }

    /// For how long NATS has been away, by either witness.
    pub(crate) fn away_for(&self) -> Duration {
        let known = self.known();
        let since = [known.disconnected_since, known.unresponsive_since].into_iter().flatten().min();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The stream that forgets message ids soonest, and after how long.
    pub(crate) fn shortest_duplicate_window(&self) -> Option<(String, Duration)> {
        let known = self.known();
        let shortest = known.streams.iter().min_by_key(|stream| stream.duplicate_window)?;
        Some((shortest.name.clone(), shortest.duplicate_window))
    }

    pub(crate) fn complaint(&self) -> Option<String> {
        self.known().complaint.clone()
    }

    /// Why publishes have lately been refused, if they were. An old refusal is forgotten: whoever looks at
    /// readiness before it sends would otherwise never send what could prove it wrong.
    pub(crate) fn refusal(&self) -> Option<String> {
        let known = self.known();
        known.refusal.as_ref().filter(|(at, _)| at.elapsed() < REFUSAL_MEMORY).map(|(_, why)| why.clone())
    }

    /// Takes the streams as they are now; gives them as they were.
    pub(crate) fn replace_streams(&self, streams: Vec<StreamState>) -> Vec<StreamState> {
        std::mem::replace(&mut self.known().streams, streams)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Every critical section sets whole fields: a panic leaves no half-done change behind.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readiness {
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        Self { ready: checks.iter().all(|check| check.ok), checks }
    }

    /// What is said once shutdown has begun.
    #[must_use]
    pub fn draining() -> Self {
        Self::of(vec![Check::failed("shutdown", "shutting down: finishing what is in flight")])
    }

    /// The details of the checks that do not hold, as one sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let failed = self.checks.iter().filter(|check| !check.ok);
        failed.map(|check| check.detail.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl Check {
    pub(crate) fn passed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: true, detail: detail.into() }
    }

    pub(crate) fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: false, detail: detail.into() }
    }
}
