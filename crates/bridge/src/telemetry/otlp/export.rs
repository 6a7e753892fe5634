//! From the queue to the collector, batch by batch, in a task of its own.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::warn;

use super::collector::{Collector, NotTaken};
use super::queue::{Counts, Dropped};
use super::trouble::Trouble;

/// Spans in one request, as OpenTelemetry has it by default.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others: whoever looks for a trace has just sent the callback.
const INTERVAL: Duration = Duration::from_secs(1);
/// Before a batch is sent again. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a batch is tried, as the specification of OTLP exporters suggests; the queue fills meanwhile.
const TRIED_FOR: Duration = Duration::from_secs(60);

pub(super) struct Export {
    waiting: mpsc::Receiver<SpanData>,
    collector: Collector,
    counts: Counts,
    resource: ResourceAttributesWithSchema,
    trouble: Trouble,
}

/// The task that exports.
pub(crate) struct Exporting {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    _provider: SdkTracerProvider,
}

impl Exporting {
    pub(super) fn spawn(export: Export, provider: SdkTracerProvider) -> Self {
        let (stop, stopping) = watch::channel(false);
        Self { task: tokio::spawn(export.run(stopping)), stop, _provider: provider }
    }

    /// Sends what waits, and ends. What is not taken in time is dropped.
    pub(crate) async fn flush(self, within: Duration) {
        let _ = self.stop.send(true);
        let mut task = self.task;
        if timeout(within, &mut task).await.is_err() {
            task.abort();
            warn!("the last traces were not exported: the collector did not take them in time");
        }
    }
}

impl Export {
    pub(super) fn new(
        waiting: mpsc::Receiver<SpanData>,
        collector: Collector,
        counts: Counts,
        resource: &Resource,
    ) -> Self {
        let trouble = Trouble::none(collector.name());
        Self { waiting, collector, counts, resource: resource.into(), trouble }
    }

    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = collect(&mut self.waiting, &mut batch) => {}
                () = stopped(&mut stopping) => break,
            }
            self.deliver(&mut batch, &mut stopping).await;
        }
        // Each is tried once more.
        loop {
            while batch.len() < BATCH
                && let Ok(span) = self.waiting.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.deliver(&mut batch, &mut stopping).await;
        }
    }

    /// Sends a batch until the collector has it, or it is given up.
    async fn deliver(&mut self, batch: &mut Vec<SpanData>, stopping: &mut watch::Receiver<bool>) {
        let spans = batch.len() as u64;
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(std::mem::take(batch), &self.resource),
        };
        let body = Bytes::from(request.encode_to_vec());
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let (why, wait) = match self.collector.post(body.clone()).await {
                Ok(rejected) => {
                    let rejected = rejected.min(spans);
                    self.counts.dropped(Dropped::Refused, rejected);
                    self.counts.exported.inc_by(spans - rejected);
                    self.trouble.over(&self.counts);
                    return;
                }
                Err(NotTaken::Refused { why, remedy }) => {
                    self.counts.dropped(Dropped::Refused, spans);
                    self.trouble.happened(&why, remedy, &self.counts);
                    return;
                }
                Err(NotTaken::Later { why, after }) => (why, after),
            };
            self.trouble.happened(&why, REMEDY, &self.counts);
            let wait = wait.unwrap_or(pause).min(LONGEST_PAUSE);
            let is_late = began.elapsed() + wait > TRIED_FOR;
            if is_late || *stopping.borrow() {
                self.counts.dropped(Dropped::Unreachable, spans);
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            tokio::select! {
                () = sleep(wait) => {}
                () = stopped(stopping) => {}
            }
        }
    }
}

const REMEDY: &str =
    "look at the collector and at [telemetry] otlp_endpoint, whose port is that of OTLP over HTTP";

/// Returns once there is a batch. What has been collected stays when this is dropped.
async fn collect(waiting: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) {
    if batch.is_empty() && waiting.recv_many(batch, BATCH).await == 0 {
        // Nothing records any more.
        std::future::pending::<()>().await;
    }
    let until = Instant::now() + INTERVAL;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        match timeout_at(until, waiting.recv_many(batch, room)).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to say it, which is the end as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
