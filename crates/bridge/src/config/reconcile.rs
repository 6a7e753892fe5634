//! `[tencent]` and `[reconcile]`: what they must be, and what the crates take of them.

use std::time::Duration;

use ci_bridge_publisher::Delivery;
use ci_bridge_tencent::{Bucket, Client};

use super::paths::given;
use super::problems::Problems;
use super::ranges::ANSWER_TIME;
use super::{Config, Verify};

/// Which jobs are looked for whose callbacks never came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Between the starts of two searches; `None` when `serve` makes none.
    pub every: Option<Duration>,
    /// How long ago a job may have ended.
    pub since: Duration,
    /// How long a callback may still be on its way.
    pub grace: Duration,
    /// Where jobs are looked for.
    pub buckets: Vec<Bucket>,
    /// Of which tags; none means all that are known.
    pub tags: Vec<String>,
    /// Of which queues; none means all.
    pub queues: Vec<String>,
    /// The key-value bucket by which bridges agree on who searches.
    pub lease_bucket: String,
}

/// CI keeps media jobs about as long, and lists them by when they were created.
pub(crate) const LONGEST_SINCE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// More would be a flood at the vendor's API, whose own limit is not published.
const MOST_REQUESTS: u32 = 100;

/// A question to CI takes some tens of milliseconds.
const LEAST_VERIFY_TIME: Duration = Duration::from_millis(500);

/// How long CI may take to say whether a callback is true: what publishing and answering leave of the deadline.
pub(super) fn verify_time(config: &Config) -> Duration {
    let left = config.ingress.deadline.get().saturating_sub(config.nats.ack_timeout.get() + ANSWER_TIME);
    left.min(config.tencent.timeout.get())
}

impl Problems {
    pub(super) fn tencent(&mut self, tencent: &super::Tencent) -> ci_bridge_tencent::Config {
        if !(1..=MOST_REQUESTS).contains(&tencent.requests_per_second) {
            self.add("tencent.requests_per_second", format!("must be 1 to {MOST_REQUESTS}"));
        }
        if tencent.timeout.get().is_zero() {
            self.add("tencent.timeout", "must be more than 0");
        }
        if let Some(path) = given(&tencent.credentials_file)
            && let Err(error) = std::fs::File::open(&path)
        {
            self.add(
                "tencent.credentials_file",
                format!("cannot read {}: {error}; name a file that the bridge may read", path.display()),
            );
        }
        let endpoint = (!tencent.endpoint.is_empty()).then(|| tencent.endpoint.clone());
        if let Some(Err(why)) = endpoint.as_deref().map(Client::check_endpoint) {
            self.add("tencent.endpoint", why);
        }
        ci_bridge_tencent::Config {
            credentials_file: given(&tencent.credentials_file),
            endpoint,
            requests_per_second: tencent.requests_per_second,
            timeout: tencent.timeout.get(),
        }
    }

    pub(super) fn reconcile(&mut self, config: &Config) -> Search {
        let reconcile = &config.reconcile;
        let (every, since, grace) = (reconcile.every.get(), reconcile.since.get(), reconcile.grace.get());
        if !every.is_zero() && every < Duration::from_secs(1) {
            self.add("reconcile.every", "must be at least 1s, or 0s for off");
        }
        if !every.is_zero() && reconcile.buckets.is_empty() {
            self.add("reconcile.buckets", "name the buckets whose jobs are looked for, with reconcile.every");
        }
        if !every.is_zero() && config.delivery == Delivery::Core {
            self.add(
                "reconcile.every",
                "with delivery = \"core\" nothing is stored that jobs could be compared with",
            );
        }
        if since.is_zero() || since > LONGEST_SINCE {
            self.add("reconcile.since", "must be more than 0s and at most 30d: CI keeps jobs about a month");
        }
        if grace >= since {
            self.add("reconcile.grace", "must be shorter than reconcile.since, or no job is looked for");
        }
        let verifies = config.ingress.endpoints.iter().any(|endpoint| endpoint.verify == Verify::All);
        if verifies && reconcile.buckets.is_empty() {
            self.add(
                "reconcile.buckets",
                "name the buckets that CI is asked for, with verify = \"all\" of an endpoint",
            );
        }
        if verifies && verify_time(config) < LEAST_VERIFY_TIME {
            self.add(
                "ingress.deadline",
                "leaves too little time for CI to answer (verify): make it nats.ack_timeout and 1s at least",
            );
        }
        let name = &reconcile.lease_bucket;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            self.add("reconcile.lease_bucket", "a bucket's name holds letters, digits, '-' and '_' only");
        }
        let mut buckets = Vec::new();
        for bucket in &reconcile.buckets {
            match bucket.parse::<Bucket>() {
                Ok(bucket) => buckets.push(bucket),
                Err(error) => self.add("reconcile.buckets", error.to_string()),
            }
        }
        Search {
            every: (!every.is_zero()).then_some(every),
            since,
            grace,
            buckets,
            tags: reconcile.tags.clone(),
            queues: reconcile.queues.clone(),
            lease_bucket: name.clone(),
        }
    }
}
