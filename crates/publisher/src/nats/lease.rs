//! A lease in a key-value bucket: of several bridges, one does what only one should.
//!
//! The bucket forgets each value after [`LEASE`]: whoever holds a lease writes it again before that, on top of its own last
//! value, and whoever wants it can write it only where there is none.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::acknowledgement::Failure;
use super::link::Link;
use super::stream_config::StreamInfo;
use super::stream_spec::StreamSpec;
use crate::key_value;

/// A place in a bucket that one bridge can hold at a time.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Where JetStream's API is, and how the bucket's stream is replicated.
    spec: StreamSpec,
    stream: Arc<str>,
    subject: String,
    bucket: String,
    holder: String,
}

/// The revision under which it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held(u64);

/// How long a lease holds after it was last written: who dies without giving it back is followed after this.
pub const LEASE: Duration = Duration::from_secs(15);
/// Three attempts before it is lost.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// How long one write may take.
const WRITE_TIME: Duration = Duration::from_secs(2);
/// A bucket of somebody else's may keep values longer; one that keeps them for ever would never give the lease free.
const LONGEST: Duration = Duration::from_secs(300);

impl Lease {
    /// The lease `key` of a bucket, which is made like the stream `like`. `holder` is written into it, for people.
    #[must_use]
    pub fn new(like: &StreamSpec, bucket: &str, key: &str, holder: &str) -> Self {
        Self {
            spec: like.clone(),
            stream: key_value::stream(bucket).into(),
            subject: key_value::subject(bucket, key),
            bucket: bucket.to_owned(),
            holder: holder.to_owned(),
        }
    }

    /// Takes the lease; `None` when another bridge holds it.
    pub(crate) async fn take(&self, link: &Link) -> Result<Option<Held>, String> {
        self.provide(link).await?;
        match self.write(link, 0).await {
            Ok(held) => Ok(Some(held)),
            Err(failure) if is_held(&failure) => Ok(None),
            Err(failure) => Err(format!("the lease in bucket {}: {failure}", self.bucket)),
        }
    }

    /// Keeps it for another [`LEASE`]; `false` when it has been lost.
    pub(crate) async fn renew(&self, link: &Link, held: &mut Held) -> Result<bool, String> {
        match self.write(link, held.0).await {
            Ok(renewed) => {
                *held = renewed;
                Ok(true)
            }
            Err(failure) if is_held(&failure) => Ok(false),
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// Gives it back, so that the next need not wait. What cannot be given back ends by itself.
    pub(crate) async fn give_back(&self, link: &Link) {
        let request = serde_json::json!({ "filter": self.subject }).to_string();
        let purge = format!("STREAM.PURGE.{}", self.stream);
        if let Err(why) = self.spec.ask::<IgnoredAny>(link, &purge, request).await {
            tracing::debug!(bucket = self.bucket, why, "the lease ends by itself");
        }
    }

    async fn write(&self, link: &Link, revision: u64) -> Result<Held, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string().as_str());
        let sent = link.send_to(&self.subject, &self.stream, headers, self.holder.clone().into()).await?;
        let stored = sent.acknowledged(Instant::now() + WRITE_TIME).await?;
        Ok(Held(stored.sequence))
    }

    async fn provide(&self, link: &Link) -> Result<(), String> {
        let info =
            self.spec.ask::<StreamInfo>(link, &format!("STREAM.INFO.{}", self.stream), String::new()).await;
        match info {
            Ok(info) if info.config.max_age.is_zero() || info.config.max_age > LONGEST => Err(format!(
                "bucket {} keeps a lease for ever, or too long, when its holder dies: let its TTL be {LEASE:?}, or name \
                 another in reconcile.lease_bucket",
                self.bucket
            )),
            Ok(_) => Ok(()),
            Err(_) => self.create(link).await,
        }
    }

    async fn create(&self, link: &Link) -> Result<(), String> {
        let nanoseconds = u64::try_from(LEASE.as_nanos()).unwrap_or(u64::MAX);
        let config = serde_json::json!({
            "name": &*self.stream,
            "subjects": [key_value::subject(&self.bucket, ">")],
            "retention": "limits",
            "storage": "memory",
            "num_replicas": self.spec.replicas,
            "discard": "new",
            "max_msgs_per_subject": 1,
            "max_msgs": -1,
            "max_bytes": 1_048_576,
            "max_consumers": -1,
            "max_msg_size": -1,
            "max_age": nanoseconds,
            "duplicate_window": nanoseconds,
            "deny_delete": true,
            "allow_rollup_hdrs": true,
            "allow_direct": true,
            "description": "Which ci-bridge reconciles",
        });
        let create = format!("STREAM.CREATE.{}", self.stream);
        let created = self.spec.ask::<IgnoredAny>(link, &create, config.to_string()).await;
        created.map(drop).map_err(|why| {
            format!(
                "bucket {} is missing and cannot be made: {why}; make it with a TTL of {LEASE:?}",
                self.bucket
            )
        })
    }
}

/// Another value is there than was expected: "wrong last sequence".
fn is_held(failure: &Failure) -> bool {
    const WRONG_LAST_SEQUENCE_CONSTANT: &str = "(10164)";
    match failure {
        Failure::Standing(_) => true,
        Failure::Busy(why) => why.ends_with(WRONG_LAST_SEQUENCE_CONSTANT),
        _ => false,
    }
}
