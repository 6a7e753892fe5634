//! What the publisher counts. Names are completed by the registry: prefix `ci_bridge_`, suffix `_total`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::message::MessageKind;
use crate::nats::Finding;
use crate::readiness::{Check, Readiness};
use crate::spool::Spool;

/// Seconds; from an acknowledgement on the same host to the usual time limits.
pub const LATENCY_BUCKETS: [f64; 12] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    stream: String,
    setting: &'static str,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChangeLabels {
    stream: String,
    change: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabel {
    check: &'static str,
}

/// What somebody else did to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamChange {
    /// It was deleted; it may have been made again.
    Vanished,
    /// Its configuration is another.
    Changed,
}

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageOutcome {
    Published,
    Duplicate,
    Spooled,
    Unavailable,
    /// A rule keeps it from being published.
    Dropped,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    /// By [`MessageKind`] and [`MessageOutcome`], in the order of their `ALL`.
    messages: [[Counter; MessageOutcome::ALL.len()]; MessageKind::ALL.len()],
    pub(crate) acknowledgement: Histogram,
    pub(crate) connected: Gauge,
    pub(crate) connections: Counter,
    pub(crate) drained: Counter,
    pub(crate) duplicate_window_shortfall: Gauge,
    pub(crate) refused_subjects: Gauge,
    pub(crate) refused_messages: Gauge,
    pub(crate) quarantine_refused: Counter,
    quarantine_messages: Gauge,
    quarantine_bytes: Gauge,
    pub(crate) objects: Counter,
    ready: Family<CheckLabel, Gauge>,
    findings: Family<FindingLabels, Gauge>,
    stream_changes: Family<ChangeLabels, Counter>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Counter>::default();
        let of = |kind: MessageKind| {
            MessageOutcome::ALL.map(|outcome| {
                let labels = Labels { kind: kind.as_str(), outcome: outcome.as_str() };
                family.get_or_create_owned(&labels)
            })
        };
        let metrics = Self {
            messages: MessageKind::ALL.map(of),
            acknowledgement: Histogram::new(LATENCY_BUCKETS),
            connected: Gauge::default(),
            connections: Counter::default(),
            drained: Counter::default(),
            duplicate_window_shortfall: Gauge::default(),
            refused_subjects: Gauge::default(),
            refused_messages: Gauge::default(),
            quarantine_refused: Counter::default(),
            quarantine_messages: Gauge::default(),
            quarantine_bytes: Gauge::default(),
            objects: Counter::default(),
            ready: Family::default(),
            findings: Family::default(),
            stream_changes: Family::default(),
        };
        registry.register(
            "messages",
            "Messages by what became of them; a spooled one counts again when it is published",
            family,
        );
        registry.register_with_unit(
            "acknowledgement",
            "Time from publish to JetStream's acknowledgement",
            Unit::Seconds,
            metrics.acknowledgement.clone(),
        );
        registry.register("nats_connected", "1 while connected to NATS", metrics.connected.clone());
        registry.register_with_unit(
            "duplicate_window_shortfall",
            "By how much a stream forgets message ids sooner than configured",
            Unit::Seconds,
            metrics.duplicate_window_shortfall.clone(),
        );
        registry.register(
            "spool_drained",
            "Messages that left the spool for a stream",
            metrics.drained.clone(),
        );
        registry.register("nats_connections", "Connections made to NATS", metrics.connections.clone());
        registry.register(
            "refused_subjects",
            "Subjects that NATS refuses at the moment; what is for them waits",
            metrics.refused_subjects.clone(),
        );
        registry.register(
            "spool_refused_messages",
            "Messages of the spool that NATS refuses, themselves or for their subject, while it takes others",
            metrics.refused_messages.clone(),
        );
        registry.register(
            "quarantine_refused",
            "Messages that NATS refused for good after their callback was answered, and that quarantine keeps",
            metrics.quarantine_refused.clone(),
        );
        registry.register(
            "quarantine_messages",
            "Entries in the stream of quarantine, when it was last looked at",
            metrics.quarantine_messages.clone(),
        );
        registry.register_with_unit(
            "quarantine",
            "Bytes of the stream of quarantine, when it was last looked at",
            Unit::Bytes,
            metrics.quarantine_bytes.clone(),
        );
        registry.register(
            "large_messages",
            "Messages larger than NATS takes that were stored in the object store",
            metrics.objects.clone(),
        );
        registry.register("ready", "1 while the check of /readyz holds", metrics.ready.clone());
        registry.register(
            "stream_findings",
            "1 for each setting of a stream that voids (unfit) or weakens (weaker) what 200 promises, or is worth a note",
            metrics.findings.clone(),
        );
        registry.register(
            "stream_changes",
            "Times that a stream was found deleted (vanished) or changed by somebody else",
            metrics.stream_changes.clone(),
        );
        metrics
    }

    /// One gauge a check; what could not be looked at for want of a connection does not hold.
    pub(crate) fn set_ready(&self, readiness: &Readiness) {
        for check in Check::NAMES {
            let found = readiness.checks.iter().find(|have| have.name == check);
            let is_there = self.ready.get(&CheckLabel { check }).is_some();
            if found.is_some() || is_there {
                let holds = found.is_some_and(|check| check.ok);
                self.ready.get_or_create(&CheckLabel { check }).set(i64::from(holds));
            }
        }
    }

    /// How much quarantine holds.
    pub(crate) fn set_quarantine(&self, messages: u64, bytes: u64) {
        self.quarantine_messages.set(i64::try_from(messages).unwrap_or(i64::MAX));
        self.quarantine_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// What was found of a stream, in the place of what was found before.
    pub(crate) fn set_findings(&self, stream: &str, findings: &[Finding]) {
        for (setting, verdict) in crate::nats::judged_settings() {
            let labels = FindingLabels { stream: stream.to_owned(), setting, verdict: verdict.as_str() };
            match findings.iter().any(|finding| finding.setting == setting && finding.verdict == verdict) {
                true => {
                    self.findings.get_or_create(&labels).set(1);
                }
                false => {
                    self.findings.remove(&labels);
                }
            }
        }
    }

    pub(crate) fn stream_changed(&self, stream: &str, change: StreamChange) {
        let change = match change {
            StreamChange::Vanished => "vanished",
            StreamChange::Changed => "changed",
        };
        self.stream_changes.get_or_create(&ChangeLabels { stream: stream.to_owned(), change }).inc();
    }

    pub(crate) fn message(&self, kind: MessageKind, outcome: MessageOutcome) {
        self.messages[kind as usize][outcome as usize].inc();
    }
}

impl MessageOutcome {
    const ALL: [Self; 5] =
        [Self::Published, Self::Duplicate, Self::Spooled, Self::Unavailable, Self::Dropped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Duplicate => "duplicate",
            Self::Spooled => "spooled",
            Self::Unavailable => "unavailable",
            Self::Dropped => "dropped",
        }
    }
}

/// The spool's own figures, read when they are asked for.
pub(crate) fn register_spool(registry: &mut Registry, spool: &Spool) {
    let level = spool.level();
    registry.register(
        "spool_fsyncs",
        "Times the spool was fsynced; each covers a batch",
        level.fsyncs.clone(),
    );
    registry.register("spool_damaged", "Times the spool was found damaged", level.damaged.clone());
    registry.register_collector(Box::new(SpoolLevel(spool.clone())));
}

#[derive(Debug)]
struct SpoolLevel(Spool);

impl Collector for SpoolLevel {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name, help, unit: Option<&Unit>, value: u64| {
            let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let encoder = encoder.encode_descriptor(name, help, unit, value.metric_type())?;
            value.encode(encoder)
        };
        gauge("spool_messages", "Messages in the spool", None, self.0.len())?;
        gauge("spool", "Bytes of the messages in the spool", Some(&Unit::Bytes), self.0.bytes())?;
        let help = "Bytes that the spool may hold (spool.max_bytes)";
        gauge("spool_max", help, Some(&Unit::Bytes), self.0.max_bytes())?;
        let age = self.0.oldest_age().as_secs();
        gauge("spool_oldest_age", "How long the oldest message has waited", Some(&Unit::Seconds), age)
    }
}
