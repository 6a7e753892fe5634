//! Looks at NATS in the background: makes the streams, judges them, says whether the bridge is ready, and logs each
//! change of that once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tracing::{info, warn};

use crate::health::Health;
use crate::key_value;
use crate::log_limit::SUM_UP_INTERVAL;
use crate::metrics::Metrics;
use crate::nats::{Link, ObjectStore, QUESTION_TIMEOUT, covers};
use crate::outage::{News, Outage};
use crate::readiness::{Check, Readiness};
use crate::spool::Spool;
use crate::watch::StreamWatch;

/// While all is well, a look this often; a broken promise shows in `/readyz` within 5 s.
const CALM_INTERVAL: Duration = Duration::from_secs(1);
/// While something is wrong: the broker's return is noticed within 2 s.
const ALERT_INTERVAL: Duration = Duration::from_millis(250);
/// A server that says nothing for so long is left for another one, if there is one.
const FROZEN_AFTER: Duration = Duration::from_secs(3);

pub(crate) struct Monitor {
    pub(crate) link: Arc<Link>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    /// Where NATS should be, without credentials.
    pub(crate) servers: String,
    pub(crate) watched: Watched,
    /// The stream whose depth is counted.
    pub(crate) quarantine: Arc<str>,
    pub(crate) spool: Option<Spool>,
    pub(crate) outage: Outage,
    pub(crate) large: Option<LargeWatch>,
}

/// The object store for large messages, and its stream, which need not be there before the first of them comes.
pub(crate) struct LargeWatch {
    store: Arc<ObjectStore>,
    watch: Option<StreamWatch>,
}

/// What of the server is looked at, beside the connection.
pub(crate) enum Watched {
    Streams(Vec<StreamWatch>),
    /// `provision = "none"`: what publishes are answered tells.
    Nothing,
    /// Core delivery: whether a message to ourselves comes back.
    RoundTrip,
}

impl LargeWatch {
    pub(crate) fn new(store: &Arc<ObjectStore>, may_look: bool) -> Self {
        let watch = may_look.then(|| StreamWatch::new(store.watched()));
        Self { store: Arc::clone(store), watch }
    }
}

impl Monitor {
    pub(crate) async fn run(mut self) {
        let mut left_at: Option<Instant> = None;
        let mut summed_up_at = Instant::now();
        loop {
            let is_frozen = self.health.silent_for().is_some_and(|silence| silence >= FROZEN_AFTER)
                && left_at.is_none_or(|at| at.elapsed() >= FROZEN_AFTER);
            if self.health.take_lame_duck() || is_frozen {
                left_at = Some(Instant::now());
                self.link.leave_server().await;
            }
            if let Some(spool) = &self.spool {
                let _ = timeout(QUESTION_TIMEOUT, spool.probe()).await;
            }
            self.link.refresh();
            let mut readiness = self.look().await;
            readiness.refused = self.spool.as_ref().and_then(|spool| spool.held().summary());
            let interval = if readiness.ready { CALM_INTERVAL } else { ALERT_INTERVAL };
            self.tell(&readiness);
            if summed_up_at.elapsed() >= SUM_UP_INTERVAL {
                summed_up_at = Instant::now();
                self.sum_up();
            }
            // Either is a reason to look again.
            let _ = timeout(interval, self.health.changed.notified()).await;
        }
    }

    async fn look(&mut self) -> Readiness {
        let connected = self.link.is_connected();
        self.metrics.connected.set(i64::from(connected));
        if !connected {
            let servers = &self.servers;
            let why = self.link.servers().last_error().or_else(|| self.health.last_server_error());
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let checks =
                std::iter::once(Check::failed("nats", format!("not connected to NATS at {servers}{why}")));
            return self.conclude(checks.chain(self.spool()).collect());
        }
        self.link.servers().warn_of_announced_addresses(&self.link.client().server_info());
        let streams = self.watched().await;
        let large = self.large().await;
        let checks = std::iter::once(self.connection()).chain(streams).chain(large);
        let checks = checks.chain([self.writes(), self.subjects()]).chain(self.spool());
        self.conclude(checks.collect())
    }

    /// What others have found, and what all of it means for a callback.
    fn conclude(&self, mut checks: Vec<Check>) -> Readiness {
        checks.extend(self.health.outside());
        let holds = |name: &str| checks.iter().find(|check| check.name == name).map(|check| check.ok);
        let nats_takes = holds("nats") == Some(true) && self.a_stream_takes_events();
        checks.push(accepting(nats_takes, holds("spool")));
        Readiness::of(checks)
    }

    /// Whether there is a stream for events that keeps what it is sent. One subject of several is enough: a bridge that
    /// nobody sends to any more takes less than one that takes only some. Quarantine is none, and neither is the bucket
    /// of jobs: what goes there goes there beside an event.
    fn a_stream_takes_events(&self) -> bool {
        let keeps = |name: &str, pattern: &str| match &self.watched {
            Watched::Streams(watches) => watches.iter().any(|watch| {
                let takes = watch.state().is_none_or(|state| state.takes_some(pattern));
                watch.name() == name && watch.trouble().is_none() && takes
            }),
            Watched::Nothing | Watched::RoundTrip => true,
        };
        let (refusing, refused) = (self.health.refusing_streams(), self.health.refused_subjects());
        let is_refused = |name: &str, pattern: &str| {
            // Of a pattern with wildcards, that one subject is refused says nothing of the others.
            refusing.iter().any(|(stream, _)| stream == name)
                || refused.iter().any(|(subject, _)| subject == pattern)
        };
        self.health.patterns().iter().any(|(pattern, stream)| {
            let is_of_events = *stream != *self.quarantine && !key_value::is_of_keys(pattern);
            is_of_events && keeps(stream, pattern) && !is_refused(stream, pattern)
        })
    }

    /// Looks at the streams, or finds out in another way whether the server answers.
    async fn watched(&mut self) -> Option<Check> {
        match &mut self.watched {
            Watched::Streams(watches) => {
                let (link, health, metrics) = (&self.link, &self.health, &self.metrics);
                let looks = watches.iter_mut().map(|watch| watch.look(link, health, metrics));
                futures_util::future::join_all(looks).await;
                let shortfall = watches.iter().map(StreamWatch::duplicate_window_shortfall).max();
                let shortfall = shortfall.unwrap_or_default().as_secs();
                metrics.duplicate_window_shortfall.set(i64::try_from(shortfall).unwrap_or(i64::MAX));
                let quarantine = watches.iter().find(|watch| watch.name() == &*self.quarantine);
                if let Some(state) = quarantine.and_then(StreamWatch::state) {
                    metrics.set_quarantine(state.messages, state.bytes);
                }
                Some(streams_check(watches, &health.patterns()))
            }
            Watched::Nothing => {
                // Nothing else would find out that the server speaks again. Without the right to publish to the inbox,
                // what it says of that is an answer too.
                if self.health.silent_for().is_some()
                    && let Ok(Ok(())) = timeout(QUESTION_TIMEOUT, self.link.round_trip(None)).await
                {
                    self.health.heard();
                }
                Some(Check::passed("streams", "not looked at (provision = \"none\")"))
            }
            Watched::RoundTrip => {
                let started = Instant::now();
                match timeout(QUESTION_TIMEOUT, self.link.round_trip(None)).await {
                    Ok(Ok(())) => self.health.heard(),
                    _ => self.health.unanswered(started),
                }
                None
            }
        }
    }

    /// The object store is of concern only when it is unfit, or when messages wait for it.
    async fn large(&mut self) -> Option<Check> {
        let LargeWatch { store, watch } = self.large.as_mut()?;
        if self.spool.as_ref().is_some_and(Spool::is_empty) {
            store.forget_trouble();
        }
        let mut unfit = None;
        if let Some(watch) = watch {
            watch.look(&self.link, &self.health, &self.metrics).await;
            // That it is not there is no trouble before it is needed.
            unfit = watch.state().and_then(|_| watch.trouble());
        }
        Some(match store.trouble().or(unfit) {
            Some(trouble) => Check::failed("large", trouble),
            None => Check::passed("large", "no large message waits"),
        })
    }

    fn connection(&self) -> Check {
        match (self.health.silent_for(), self.health.missing_subscription()) {
            (_, Some(what)) => Check::failed(
                "nats",
                format!(
                    "no acknowledgement can arrive: {what}; let the NATS user subscribe to it, or set nats.inbox_prefix"
                ),
            ),
            (Some(silence), None) => {
                let silence = silence.as_secs_f64();
                Check::failed("nats", format!("NATS has not answered for {silence:.1} s"))
            }
            (None, None) => Check::passed("nats", "connected"),
        }
    }

    fn writes(&self) -> Check {
        let silence = self.health.silent_for();
        let patterns = self.health.patterns();
        // What only spooled messages name, from before a reload or a restart, concerns no new callback.
        let concerns_new = |name: &str| patterns.iter().any(|(_, stream)| stream == name);
        let mut refusing = self.health.refusing_streams();
        refusing.retain(|(stream, _)| concerns_new(stream));
        let refusing = refusing.iter().map(|(stream, failure)| format!("stream {stream}: {failure}"));
        let silence =
            silence.map(|silence| format!("no publish acknowledged for {:.1} s", silence.as_secs_f64()));
        let trouble: Vec<_> = silence.into_iter().chain(refusing).collect();
        match trouble.is_empty() {
            true => Check::passed("writes", "acknowledged"),
            false => Check::failed("writes", trouble.join("; ")),
        }
    }

    fn subjects(&self) -> Check {
        /// So many are named; the number says how many more there are.
        const NAMED: usize = 3;
        let mut refused = self.health.refused_subjects();
        self.metrics.refused_subjects.set(i64::try_from(refused.len()).unwrap_or(i64::MAX));
        let patterns = self.health.patterns();
        refused.retain(|(subject, _)| patterns.iter().any(|(pattern, _)| covers(pattern, subject)));
        if refused.is_empty() {
            return Check::passed("subjects", "none is refused");
        }
        let named =
            refused.iter().take(NAMED).map(|(subject, failure)| format!("subject {subject}: {failure}"));
        let mut detail = named.collect::<Vec<_>>().join("; ");
        if refused.len() > NAMED {
            detail.push_str(&format!("; and {} more", refused.len() - NAMED));
        }
        Check::failed("subjects", detail)
    }

    fn spool(&self) -> Option<Check> {
        let spool = self.spool.as_ref()?;
        Some(match spool.trouble() {
            Some(trouble) => Check::failed("spool", trouble),
            None => {
                let refused = spool.held().summary().map(|refused| format!("; {}", refused.sentence()));
                let detail = format!("{} messages, {} bytes", spool.len(), spool.bytes());
                Check::passed("spool", detail + &refused.unwrap_or_default())
            }
        })
    }

    fn sum_up(&self) {
        for sum in self.health.forbidden_lines.sum_up() {
            warn!(
                count = sum.count,
                operation = sum.reason,
                "NATS forbade that often in the last minute: compare the user's permissions"
            );
        }
    }

    fn tell(&mut self, readiness: &Readiness) {
        self.health.readiness.send_replace(readiness.clone());
        self.metrics.set_ready(readiness);
        let spool = self.spool.as_ref();
        let (messages, bytes) = (spool.map(Spool::len), spool.map(Spool::bytes));
        match self.outage.look(readiness, Instant::now()) {
            Some(News::NotReady) => warn!(reason = readiness.reason(), "not ready"),
            Some(News::StillNotReady(lasts)) => warn!(
                reason = readiness.reason(),
                seconds = lasts.as_secs(),
                spool_messages = messages,
                spool_bytes = bytes,
                spool_percent = spool.map(Spool::percent),
                "still not ready"
            ),
            Some(News::Ready(Some(lasted))) => info!(
                not_ready_seconds = lasted.as_secs_f64(),
                spool_messages = messages,
                spool_bytes = bytes,
                "ready again"
            ),
            Some(News::Ready(None)) => info!("ready"),
            None => {}
        }
    }
}

/// Whether a callback can be answered 200: the spool takes it, or NATS does. With a spool an outage is no reason to send
/// callbacks elsewhere: they are what it is there for.
fn accepting(nats_takes: bool, spool_takes: Option<bool>) -> Check {
    match (nats_takes, spool_takes) {
        (true, _) => Check::passed(Check::ACCEPTING, "callbacks are published"),
        (false, Some(true)) => Check::passed(Check::ACCEPTING, "callbacks go to the spool"),
        (false, Some(false)) => Check::failed(
            Check::ACCEPTING,
            "callbacks are answered 503: neither NATS nor the spool takes them",
        ),
        (false, None) => Check::failed(
            Check::ACCEPTING,
            "callbacks are answered 503: NATS does not take them, and there is no spool",
        ),
    }
}

/// What all streams together come to: each there and fit, and each subject that may be published to taken by its stream.
fn streams_check(watches: &[StreamWatch], patterns: &[(String, String)]) -> Check {
    let trouble: Vec<_> = watches.iter().filter_map(StreamWatch::trouble).collect();
    let uncovered = patterns.iter().find(|(pattern, stream)| {
        let watch = watches.iter().find(|watch| watch.name() == stream);
        watch.is_none_or(|watch| watch.state().is_some_and(|state| !state.takes(pattern)))
    });
    let uncovered = uncovered.map(|(pattern, stream)| {
        format!(
            "stream {stream} does not take {pattern}: add the subject to the stream, or change [subjects]"
        )
    });
    let trouble: Vec<_> = trouble.into_iter().chain(uncovered).collect();
    if !trouble.is_empty() {
        return Check::failed("streams", trouble.join("; "));
    }
    let notes = watches.iter().filter_map(StreamWatch::note);
    let covered = "every configured subject is covered".to_owned();
    Check::passed("streams", std::iter::once(covered).chain(notes).collect::<Vec<_>>().join("; "))
}
