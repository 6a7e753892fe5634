//! Accounts again and again while the bridge serves, by one bridge of several. None of it makes the bridge unready: a
//! callback is taken whatever CI's API says.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use ci_bridge_ingress::{Ingress, Reconcile, Reconciled, Recovered, Shown, milliseconds_since_1970};
use ci_bridge_publisher::Publisher;
use ci_bridge_publisher::nats::{Held, LEASE, Lease, RENEW_INTERVAL, StreamSpec};
use ci_bridge_tencent::Client;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::account::Account;
use super::making::Wanted;
use super::outcome::{Line, Outcome, Report, Totals};
use crate::config::Search;

/// How long NATS may take at the start before this says that it cannot do its work.
const READY_TIME: Duration = Duration::from_secs(30);

/// What a repetition needs.
pub(crate) struct Repetition {
    pub(crate) every: Duration,
    /// Where the last account is told of.
    pub(crate) shown: Arc<Shown>,
    pub(crate) search: Search,
    pub(crate) client: Arc<Client>,
    pub(crate) publisher: Publisher,
    /// Its endpoints may be replaced meanwhile.
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) streams: Vec<StreamSpec>,
    /// Which bridge this is, for people.
    pub(crate) instance: String,
}

/// A repetition that runs, until it is stopped.
pub(crate) struct Repeating {
    task: JoinHandle<()>,
    lease: Lease,
    is_held: Arc<AtomicBool>,
    publisher: Publisher,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone)]
struct Metrics {
    jobs: Family<ResultLabel, Counter>,
    last_success: Gauge<i64, AtomicI64>,
}

impl Repetition {
    /// Starts it. Its metrics are there from now on.
    pub(crate) fn start(self, registry: &mut Registry) -> Option<Repeating> {
        let metrics = Metrics::register(registry);
        self.show(None);
        let lease = Lease::new(self.streams.first()?, &self.search.lease_bucket, &self.key(), &self.instance);
        let is_held = Arc::new(AtomicBool::new(false));
        let publisher = self.publisher.clone();
        let task = tokio::spawn(self.run(lease.clone(), Arc::clone(&is_held), metrics));
        Some(Repeating { task, lease, is_held, publisher })
    }

    /// Bridges that look for the same are one another's replacement; others have a lease of their own.
    fn key(&self) -> String {
        let Search { buckets, tags, queues, .. } = &self.search;
        let stream = self.streams.first().map_or("", |stream| stream.name.as_str());
        let what = format!("{stream} {buckets:?} {tags:?} {queues:?}");
        Sha256::digest(what).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    async fn run(self, lease: Lease, is_held: Arc<AtomicBool>, metrics: Metrics) {
        // Until messages can be published there is nothing to make an account for; readiness says why they cannot.
        let mut readiness = self.publisher.readiness();
        let _ = timeout(READY_TIME, readiness.wait_for(|readiness| readiness.ready)).await;
        let mut next = Instant::now();
        let mut trouble = None;
        loop {
            match self.publisher.take_lease(&lease).await {
                Ok(Some(held)) => {
                    trouble = None;
                    is_held.store(true, Ordering::Relaxed);
                    tokio::select! {
                        () = self.keep(&lease, held) => warn!("another bridge reconciles from now on: the lease was lost"),
                        () = self.repeat(&mut next, &metrics) => {}
                    }
                    is_held.store(false, Ordering::Relaxed);
                }
                Ok(None) => trouble = None,
                Err(why) => {
                    // Each attempt fails with the same words; once is enough.
                    if trouble.as_ref() != Some(&why) {
                        warn!(why, "not reconciling: no bridge can be chosen to do it");
                    }
                    trouble = Some(why);
                }
            }
            sleep(RENEW_INTERVAL).await;
        }
    }

    /// Returns when the lease is lost.
    async fn keep(&self, lease: &Lease, mut held: Held) {
        let mut renewed = Instant::now();
        loop {
            sleep(RENEW_INTERVAL).await;
            match self.publisher.renew_lease(lease, &mut held).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) => return,
                // Whoever cannot renew it in time must take it for lost.
                Err(_) if renewed.elapsed() + RENEW_INTERVAL > LEASE => return,
                Err(_) => {}
            }
        }
    }

    fn show(&self, last: Option<Reconciled>) {
        self.shown.set_reconcile(Reconcile { every_seconds: self.every.as_secs(), last });
    }

    /// Never returns.
    async fn repeat(&self, next: &mut Instant, metrics: &Metrics) {
        loop {
            sleep_until(*next).await;
            *next = Instant::now() + self.every;
            self.once(metrics).await;
        }
    }

    async fn once(&self, metrics: &Metrics) {
        let endpoints = self.ingress.endpoints();
        let account = Account {
            client: &self.client,
            publisher: &self.publisher,
            endpoints: &endpoints,
            streams: &self.streams,
            search: &self.search,
            spooled: &HashSet::new(),
            is_dry: false,
        };
        let begun = Instant::now();
        let mut log = Log { metrics, problems: HashSet::new(), recovered: Vec::new() };
        let made = account.make(Wanted::Recent, &mut log).await;
        self.show(Some(log.account(&made, begun)));
        match made {
            Ok(totals) if log.problems.is_empty() && totals.failed == 0 => {
                let Totals { present, recovered, young, foreign, .. } = totals;
                info!(present, recovered, young, foreign, "reconciled with CI");
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                metrics.last_success.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
            }
            Ok(Totals { recovered, failed, .. }) => {
                warn!(recovered, failed, "reconciled with CI in part: jobs may be unaccounted for");
            }
            Err(why) => warn!(why, "not reconciled with CI"),
        }
    }
}

/// So many recovered jobs are shown by name.
const SHOWN: usize = 20;

impl Log<'_> {
    /// The account as it is shown.
    fn account(&mut self, made: &Result<Totals, String>, begun: Instant) -> Reconciled {
        let problems = self.problems.iter().cloned().chain(made.as_ref().err().cloned());
        let trouble = problems.collect::<Vec<_>>().join("; ");
        let totals = made.as_ref().copied().unwrap_or_default();
        let results = [
            ("present", totals.present),
            ("recovered", totals.recovered),
            ("young", totals.young),
            ("foreign", totals.foreign),
            ("failed", totals.failed),
        ];
        Reconciled {
            time: milliseconds_since_1970(SystemTime::now()),
            seconds: begun.elapsed().as_secs_f64(),
            results: results.into_iter().collect(),
            recovered: std::mem::take(&mut self.recovered),
            trouble: (!trouble.is_empty()).then_some(trouble),
        }
    }
}

impl Repeating {
    /// Ends it, so that another bridge follows at once.
    pub(crate) async fn stop(self) {
        self.task.abort();
        // Aborted or ended: nothing of it runs when this returns.
        let _ = self.task.await;
        if self.is_held.load(Ordering::Relaxed) {
            self.publisher.give_back(&self.lease).await;
        }
    }
}

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self { jobs: Family::default(), last_success: Gauge::default() };
        for outcome in Outcome::ALL {
            let _ = metrics.jobs.get_or_create(&ResultLabel { result: outcome.as_str() });
        }
        registry.register(
            "reconciled_jobs",
            "Jobs that CI says have ended, by what each account found; a job is counted by every account that sees it",
            metrics.jobs.clone(),
        );
        registry.register_with_unit(
            "reconcile_last_success_timestamp",
            "When the last account was made whole; 0 before the first",
            Unit::Seconds,
            metrics.last_success.clone(),
        );
        metrics
    }
}

/// An account as the log and the metrics tell it.
struct Log<'m> {
    metrics: &'m Metrics,
    /// Each once.
    problems: HashSet<String>,
    /// The first of them, for people.
    recovered: Vec<Recovered>,
}

impl Report for Log<'_> {
    fn job(&mut self, Line { id, subject, result }: Line) {
        self.metrics.jobs.get_or_create(&ResultLabel { result: result.as_str() }).inc();
        if result == Outcome::Recovered {
            warn!(id, subject, "its callback never came: published from CI's own account of it");
            if self.recovered.len() < SHOWN {
                self.recovered.push(Recovered { id, subject });
            }
        }
    }

    fn problem(&mut self, sentence: &str) {
        if self.problems.insert(sentence.to_owned()) {
            warn!(why = sentence, "not all of CI's account could be had");
        }
    }

    fn progress(&mut self, _done: usize, _of: usize, _what: &str) {}
}
