//! Looks at the broker in the background: makes the streams, says whether the bridge is ready, and logs each
//! change of that once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use crate::broker::{Broker, Check, Readiness};
use crate::metrics::Metrics;
use crate::nats::{Failure, Link, Origin, StreamSpec, StreamState, covers};
use crate::spool::Spool;

/// While all is well, a look this often; a broken promise shows in `/readyz` within 5 s.
const CALM_INTERVAL: Duration = Duration::from_secs(1);
/// While something is wrong: the broker's return is noticed within 2 s.
const ALERT_INTERVAL: Duration = Duration::from_millis(250);
/// How long one question to JetStream may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) struct Monitor {
    pub(crate) link: Arc<Link>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) metrics: Arc<Metrics>,
    /// Where NATS should be, without credentials.
    pub(crate) servers: String,
    /// Empty in core delivery, which needs no stream.
    pub(crate) streams: Vec<StreamSpec>,
    pub(crate) spool: Option<Spool>,
}

impl Monitor {
    pub(crate) async fn run(self) {
        loop {
            if self.broker.take_lame_duck() {
                self.link.leave_server().await;
            }
            if let Some(spool) = &self.spool {
                let _ = timeout(QUESTION_TIMEOUT, spool.probe()).await;
            }
            let readiness = self.look().await;
            let interval = if readiness.ready { CALM_INTERVAL } else { ALERT_INTERVAL };
            self.tell(&readiness);
            // Either is a reason to look again.
            let _ = timeout(interval, self.broker.changed.notified()).await;
        }
    }

    async fn look(&self) -> Readiness {
        let connected = self.link.is_connected();
        self.metrics.connected.set(i64::from(connected));
        if !connected {
            let servers = &self.servers;
            let why = self.broker.complaint().map(|complaint| format!(": {complaint}")).unwrap_or_default();
            let checks =
                std::iter::once(Check::failed("nats", format!("not connected to NATS at {servers}{why}")));
            return Readiness::of(checks.chain(self.spool()).collect());
        }
        let mut checks = vec![Check::passed("nats", "connected")];
        if self.streams.is_empty() {
            // Core delivery has no drain that would find out whether the server answers again.
            if let Ok(Ok(())) = timeout(QUESTION_TIMEOUT, self.link.round_trip()).await {
                self.broker.responded();
            }
        } else {
            checks.push(match self.streams().await {
                Ok(states) => {
                    let before = self.broker.replace_streams(states.clone());
                    self.describe_changes(&states, &before);
                    self.coverage(&states)
                }
                Err(failure) => Check::failed("streams", failure),
            });
        }
        checks.push(self.writes());
        checks.extend(self.spool());
        Readiness::of(checks)
    }

    async fn streams(&self) -> Result<Vec<StreamState>, String> {
        let mut states = Vec::with_capacity(self.streams.len());
        for spec in &self.streams {
            let state =
                timeout(QUESTION_TIMEOUT, spec.ensure(&self.link)).await.unwrap_or(Err(Failure::Unanswered));
            states.push(state.map_err(|failure| match failure {
                Failure::Unanswered => {
                    "JetStream does not answer: frozen, or no permission for $JS.API".to_owned()
                }
                other => other.to_string(),
            })?);
        }
        // With messages in the spool, a publish of the drain is the better witness: JetStream may answer questions
        // and yet take no writes.
        if self.spool.as_ref().is_none_or(|spool| spool.is_empty() || spool.trouble().is_some()) {
            self.broker.responded();
        }
        Ok(states)
    }

    /// Says once, and again after a change, what the streams promise.
    fn describe_changes(&self, states: &[StreamState], before: &[StreamState]) {
        // That it was created is said once; to find it with the next look is no news.
        let same = |a: &StreamState, b: &StreamState| {
            StreamState { origin: b.origin, full: b.full, ..a.clone() } == *b
        };
        for state in states.iter().filter(|state| !before.iter().any(|old| same(old, state))) {
            describe(state);
        }
        let mut longest = Duration::ZERO;
        for (spec, state) in self.streams.iter().zip(states) {
            let shortfall = spec.duplicate_window.saturating_sub(state.duplicate_window);
            longest = longest.max(shortfall);
            if !shortfall.is_zero() && !before.iter().any(|old| same(old, state)) {
                warn!(
                    stream = state.name,
                    has_seconds = state.duplicate_window.as_secs(),
                    wanted_seconds = spec.duplicate_window.as_secs(),
                    "the stream forgets message ids sooner than jetstream.duplicate_window: a callback repeated later, \
                     or spooled for longer, is stored twice"
                );
            }
        }
        self.metrics.duplicate_window_shortfall.set(i64::try_from(longest.as_secs()).unwrap_or(i64::MAX));
    }

    /// Whether each subject that may be published to is one that its stream takes.
    fn coverage(&self, states: &[StreamState]) -> Check {
        if let Some(full) = states.iter().find(|state| state.full) {
            let advice = "delete what was processed, or raise its limits";
            return Check::failed("streams", format!("stream {} is full: {advice}", full.name));
        }
        let patterns = self.broker.patterns();
        let uncovered = patterns.iter().find(|(pattern, stream)| {
            let state = states.iter().find(|state| state.name == *stream);
            state.is_none_or(|state| !state.subjects.iter().any(|filter| covers(filter, pattern)))
        });
        match uncovered {
            None => {
                let assumed = states.iter().filter(|state| state.origin == Origin::Assumed);
                let assumed =
                    assumed.map(|s| format!("; stream {} does not exist yet: serve will create it", s.name));
                let covered = "every configured subject is covered".to_owned();
                Check::passed("streams", std::iter::once(covered).chain(assumed).collect::<String>())
            }
            Some((pattern, stream)) => Check::failed(
                "streams",
                format!(
                    "stream {stream} does not take {pattern}: add the subject to the stream, or change [subjects]"
                ),
            ),
        }
    }

    fn writes(&self) -> Check {
        match (self.broker.unresponsive_for(), self.broker.refusal()) {
            (Some(silence), _) => {
                let why = self.broker.complaint().map(|complaint| format!("; NATS says: {complaint}"));
                let silence = silence.as_secs_f64();
                Check::failed(
                    "writes",
                    format!("no publish acknowledged for {silence:.1} s{}", why.unwrap_or_default()),
                )
            }
            (None, Some(refusal)) => Check::failed("writes", refusal),
            (None, None) => Check::passed("writes", "acknowledged"),
        }
    }

    fn spool(&self) -> Option<Check> {
        let spool = self.spool.as_ref()?;
        Some(match spool.trouble() {
            Some(trouble) => Check::failed("spool", trouble),
            None => Check::passed("spool", format!("{} messages, {} bytes", spool.len(), spool.bytes())),
        })
    }

    fn tell(&self, readiness: &Readiness) {
        let before = self.broker.readiness.send_replace(readiness.clone());
        match (before.ready, readiness.ready) {
            (false, true) => info!("ready"),
            (true, false) => warn!(reason = readiness.reason(), "not ready"),
            (false, false) if kind_of(&before) != kind_of(readiness) => {
                warn!(reason = readiness.reason(), "not ready");
            }
            _ => {}
        }
    }
}

/// The reason without its numbers, which change with every look.
fn kind_of(readiness: &Readiness) -> String {
    readiness.reason().chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Says what a stream keeps, and what it may lose.
fn describe(state: &StreamState) {
    let storage = if state.in_memory { "memory" } else { "file" };
    info!(
        stream = state.name,
        subjects = state.subjects.join(" "),
        storage,
        replicas = state.replicas,
        duplicate_window_seconds = state.duplicate_window.as_secs(),
        "{}",
        if state.origin == Origin::Created { "stream created" } else { "stream found" },
    );
    if state.in_memory {
        warn!(
            stream = state.name,
            "durability: in memory only; a restart of NATS loses acknowledged messages"
        );
    } else if state.replicas == 1 {
        info!(
            stream = state.name,
            "durability: one copy; a crash of NATS loses nothing, but a power failure can lose what was acknowledged \
             within its sync_interval, 2 minutes by default (Jepsen, NATS 2.12.1); three replicas, or sync_interval: \
             always, close that gap"
        );
    }
}
