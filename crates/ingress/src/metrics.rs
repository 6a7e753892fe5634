//! What the ingress counts: every callback has exactly one outcome.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ci_bridge_publisher::LATENCY_BUCKETS;
use ci_bridge_schema::Event;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// What became of a callback; a label of `ci_bridge_callbacks_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Published,
    Duplicate,
    Spooled,
    Quarantined,
    Rejected,
    Unavailable,
    Probe,
    Dropped,
}

/// In seconds: a callback comes within some, and after an outage of its way within hours; moderation repeats for a day.
const AGE_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    received: Counter,
    /// In the order of [`Outcome::ALL`].
    by_outcome: [Counter; Outcome::ALL.len()],
    rejections: Family<ReasonLabel, Counter>,
    failed_handshakes: Family<ReasonLabel, Counter>,
    closed: Family<ReasonLabel, Counter>,
    answer: Histogram,
    age: Histogram,
    in_flight: Arc<Gauge>,
    pub(crate) connections: Arc<Gauge>,
    /// Counts what bodies hold, and is what they are held against.
    pub(crate) bytes_in_flight: Gauge,
}

/// A callback that has been received and has no outcome yet. Dropped without one, its sender went away before the
/// callback was complete.
#[derive(Debug)]
pub(crate) struct Received<'m> {
    metrics: &'m Metrics,
    since: Instant,
    answered: bool,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let outcomes = Family::<OutcomeLabel, Counter>::default();
        let by_outcome =
            Outcome::ALL.map(|o| outcomes.get_or_create_owned(&OutcomeLabel { outcome: o.as_str() }));
        let metrics = Self {
            received: Counter::default(),
            by_outcome,
            rejections: Family::default(),
            failed_handshakes: Family::default(),
            closed: Family::default(),
            answer: Histogram::new(LATENCY_BUCKETS),
            age: Histogram::new(AGE_BUCKETS),
            in_flight: Arc::default(),
            connections: Arc::default(),
            bytes_in_flight: Gauge::default(),
        };
        registry.register(
            "callbacks_received",
            "Requests that came to the callback listener",
            metrics.received.clone(),
        );
        registry.register("callbacks", "Callbacks by what became of them", outcomes);
        registry.register("rejections", "Rejected requests by reason", metrics.rejections.clone());
        registry.register(
            "failed_handshakes",
            "TLS handshakes that came to nothing, by reason",
            metrics.failed_handshakes.clone(),
        );
        registry.register(
            "connections_closed",
            "Connections closed for want of room, by reason",
            metrics.closed.clone(),
        );
        registry.register(
            "bytes_in_flight",
            "Bytes of bodies being read or answered",
            metrics.bytes_in_flight.clone(),
        );
        registry.register_with_unit(
            "answer",
            "Time to answer a callback",
            Unit::Seconds,
            metrics.answer.clone(),
        );
        registry.register_with_unit(
            "callback_age",
            "From the end of a job or run to the arrival of its callback",
            Unit::Seconds,
            metrics.age.clone(),
        );
        registry.register("in_flight", "Requests being answered", (*metrics.in_flight).clone());
        registry.register("connections", "Open connections of senders", (*metrics.connections).clone());
        metrics
    }

    pub(crate) fn received(&self) -> Received<'_> {
        self.received.inc();
        self.in_flight.inc();
        Received { metrics: self, since: Instant::now(), answered: false }
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejections.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.failed_handshakes.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn connection_closed(&self, reason: &'static str) {
        self.closed.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// How late a callback comes, and in return the first of its events; where it does not say when its job ended, nothing
    /// is known.
    pub(crate) fn arrived(&self, events: &[Event<'_>]) -> Option<Duration> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut first = None;
        for ended in events.iter().filter_map(|event| event.routing().ended_at()) {
            // Whole seconds of another clock: one that is a little ahead of ours is no news of the future.
            let age = now.saturating_sub(Duration::from_secs(u64::try_from(ended).unwrap_or(0)));
            self.age.observe(age.as_secs_f64());
            first.get_or_insert(age);
        }
        first
    }

    fn count(&self, outcome: Outcome) {
        self.by_outcome[outcome as usize].inc();
    }
}

impl Received<'_> {
    /// Counts it; how long it took is the answer.
    pub(crate) fn answered(mut self, outcome: Outcome) -> Duration {
        self.answered = true;
        self.metrics.count(outcome);
        let took = self.since.elapsed();
        self.metrics.answer.observe(took.as_secs_f64());
        took
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        if !self.answered {
            self.metrics.count(Outcome::Rejected);
            self.metrics.rejected("sender_left");
        }
    }
}

impl Outcome {
    pub(crate) const ALL: [Self; 8] = [
        Self::Published,
        Self::Duplicate,
        Self::Spooled,
        Self::Quarantined,
        Self::Rejected,
        Self::Unavailable,
        Self::Probe,
        Self::Dropped,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Duplicate => "duplicate",
            Self::Spooled => "spooled",
            Self::Quarantined => "quarantined",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::Probe => "probe",
            Self::Dropped => "dropped",
        }
    }
}
