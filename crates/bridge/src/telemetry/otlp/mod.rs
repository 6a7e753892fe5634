//! Traces: spans of `tracing` become OpenTelemetry's, wait in a queue of their own, and go to a collector by OTLP.

mod collector;
mod export;
mod propagation;
mod queue;
mod trouble;

use std::io;
use std::sync::Arc;

use ci_bridge_publisher::{Propagation, SPANS};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{Sampler as Sampling, SdkTracerProvider, SpanData};
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tracing::Metadata;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry as Spans};

use crate::config::{self, Sampler};
use crate::instance;
use collector::Collector;
use export::Export;
use propagation::W3c;
use queue::{Counts, Queue};

pub(crate) use export::Exporting;

/// Spans that wait to be exported, as OpenTelemetry has it by default; some 2 MB.
const QUEUE: usize = 2048;
/// The scope under which spans are recorded.
const SCOPE: &str = "ci-bridge";

/// Spans that are recorded, and not exported yet.
pub(crate) struct Traces {
    waiting: mpsc::Receiver<SpanData>,
    counts: Counts,
    resource: Resource,
    export: config::Export,
    /// Whoever drops it ends all recording.
    provider: SdkTracerProvider,
}

impl Traces {
    /// Records spans from now on, beside the log.
    pub(super) fn begin<L>(export: &config::Export, log: L) -> io::Result<Self>
    where
        L: Layer<WithSpans> + Send + Sync + 'static,
    {
        let (spans, waiting) = mpsc::channel(QUEUE);
        let counts = Counts::default();
        let resource = resource(export);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            .with_sampler(sampling(export))
            .with_span_processor(Queue::new(spans, counts.clone()))
            .build();
        tracing_subscriber::registry()
            .with(layer(&provider))
            .with(log)
            .try_init()
            .map_err(io::Error::other)?;
        Ok(Self { waiting, counts, resource, export: export.clone(), provider })
    }

    /// Who knows the spans by their ids.
    #[expect(clippy::unused_self, reason = "without traces there is nobody, and this says so")]
    pub(crate) fn propagation(&self) -> Arc<dyn Propagation> {
        Arc::new(W3c)
    }

    /// Exports what is recorded, until it is flushed.
    pub(crate) fn start(self, registry: &mut Registry) -> io::Result<Exporting> {
        self.counts.register(registry);
        let collector = Collector::new(&self.export)?;
        let export = Export::new(self.waiting, collector, self.counts, &self.resource);
        Ok(Exporting::spawn(export, self.provider))
    }
}

type SpansOnly = tracing_subscriber::filter::Filtered<Otel, FilterFn<fn(&Metadata<'_>) -> bool>, Spans>;
type Otel = tracing_opentelemetry::OpenTelemetryLayer<Spans, opentelemetry_sdk::trace::SdkTracer>;
pub(super) type WithSpans = tracing_subscriber::layer::Layered<SpansOnly, Spans>;

/// Nothing but our own spans, and nothing of where in the source they are.
fn layer(provider: &SdkTracerProvider) -> SpansOnly {
    let is_span: fn(&Metadata<'_>) -> bool = |metadata| metadata.is_span() && metadata.target() == SPANS;
    let otel = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SCOPE))
        .with_location(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    otel.with_filter(FilterFn::new(is_span).with_max_level_hint(LevelFilter::INFO))
}

/// What the spans are of. The operator's attributes go before ours.
fn resource(export: &config::Export) -> Resource {
    let own = [
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", instance::name()),
    ];
    let own = own.map(|(name, value)| KeyValue::new(name, value));
    let given = export.attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(own)
        .with_attributes(given)
        .with_service_name(export.service_name.clone())
        .build()
}

fn sampling(export: &config::Export) -> Sampling {
    let share = Sampling::TraceIdRatioBased(export.ratio);
    let as_the_parent = |root: Sampling| Sampling::ParentBased(Box::new(root));
    match export.sampler {
        Sampler::AlwaysOn => Sampling::AlwaysOn,
        Sampler::AlwaysOff => Sampling::AlwaysOff,
        Sampler::Traceidratio => share,
        Sampler::ParentbasedAlwaysOn => as_the_parent(Sampling::AlwaysOn),
        Sampler::ParentbasedAlwaysOff => as_the_parent(Sampling::AlwaysOff),
        Sampler::ParentbasedTraceidratio => as_the_parent(share),
    }
}
