//! Where spans wait. Whoever ends a span waits for nothing: one that finds no room is counted, and gone.

use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry::{Context, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

/// What became of spans.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) exported: Counter,
    dropped: Family<ReasonLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Why a span was not exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Too many waited.
    QueueFull,
    /// The collector was away, or did not answer, for too long.
    Unreachable,
    /// The collector does not want it.
    Refused,
}

impl Dropped {
    const ALL: [Self; 3] = [Self::QueueFull, Self::Unreachable, Self::Refused];

    fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }
}

impl Counts {
    pub(super) fn dropped(&self, reason: Dropped, spans: u64) {
        self.dropped.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc_by(spans);
    }

    /// All that were dropped, for whatever reason.
    pub(super) fn dropped_in_all(&self) -> u64 {
        let of = |reason: Dropped| {
            self.dropped.get(&ReasonLabel { reason: reason.as_str() }).map(|counter| counter.get())
        };
        Dropped::ALL.into_iter().filter_map(of).sum()
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for reason in Dropped::ALL {
            self.dropped(reason, 0);
        }
        registry.register("spans_exported", "Spans that the collector took", self.exported.clone());
        registry.register("spans_dropped", "Spans that were not exported, by reason", self.dropped.clone());
    }
}

/// Takes spans as they end.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: mpsc::Sender<SpanData>,
    counts: Counts,
}

impl Queue {
    pub(super) fn new(waiting: mpsc::Sender<SpanData>, counts: Counts) -> Self {
        Self { waiting, counts }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if is_repeated(&span) {
            return;
        }
        if self.waiting.try_send(span).is_err() {
            self.counts.dropped(Dropped::QueueFull, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// An attempt at a message of the spool that will be made again, perhaps every second for days: no trace shall grow for ever.
/// Nothing is lost with it, for it has no children.
fn is_repeated(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
        && span.attributes.iter().any(|attribute| {
            attribute.key.as_str() == "ci_bridge.tried_again" && attribute.value == Value::Bool(true)
        })
}
