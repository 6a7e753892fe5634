//! Which messages a stream has had: their ids, read back with an ordered consumer that delivers headers only.
//!
//! Exact, where the stream keeps what it takes, and beyond the window in which JetStream itself remembers ids. Where the
//! stream's own settings keep anybody from telling, that is an error with the reason.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::{self, Message as Delivered};
use futures_util::StreamExt;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use super::link::Link;
use super::stream_config::StreamConfig;
use super::stream_spec::StreamSpec;
use crate::id::{MessageId, hash_of_id};

/// What a stream has had since a moment.
#[derive(Debug)]
pub struct ReadBack {
    spec: StreamSpec,
    since: OffsetDateTime,
    /// When each id was stored, in seconds since 1970. By their hashes, which are a third as long as ids are.
    stored: HashMap<u128, i64>,
    /// The first sequence that has not been read.
    next: Option<u64>,
}

/// Why nobody can tell what a stream has had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be told what stream {stream} has had: {why}")]
pub struct CannotTell {
    /// The stream.
    pub stream: String,
    /// The reason, and what to do.
    pub why: String,
}

/// How long JetStream may take to deliver the next message.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Deserialize)]
struct Info {
    config: StreamConfig,
    #[serde(default)]
    state: State,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct State {
    messages: u64,
    first_seq: u64,
    first_ts: String,
    last_seq: u64,
}

impl ReadBack {
    /// Of what was stored from `since` on. Nothing is read yet.
    pub(crate) fn new(spec: &StreamSpec, since: SystemTime) -> Self {
        Self { spec: spec.clone(), since: since.into(), stored: HashMap::new(), next: None }
    }

    /// Reads what has come since the last call; at first, everything.
    pub(crate) async fn catch_up(&mut self, link: &Link) -> Result<(), CannotTell> {
        self.try_to_catch_up(link).await.map_err(|why| CannotTell { stream: self.spec.name.clone(), why })
    }

    /// When a message of this id was stored, in seconds since 1970.
    #[must_use]
    pub fn stored_at(&self, id: &MessageId) -> Option<i64> {
        self.stored.get(&hash_of_id(id.as_str())).copied()
    }

    async fn try_to_catch_up(&mut self, link: &Link) -> Result<(), String> {
        let info: Info =
            self.spec.ask(link, &format!("STREAM.INFO.{}", self.spec.name), String::new()).await?;
        if self.next.is_none() {
            can_tell(&info, self.since, OffsetDateTime::now_utc())?;
        }
        let last = info.state.last_seq;
        if info.state.messages == 0 || self.next.is_some_and(|next| next > last) {
            return Ok(());
        }
        let deliver_policy = match self.next {
            None => DeliverPolicy::ByStartTime { start_time: self.since },
            Some(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
        };
        let read = timeout(PATIENCE, self.consumer(link, deliver_policy)).await;
        let (pending, mut messages) = read.map_err(|_| no_consumer(&self.spec.name, "no answer"))??;
        let mut left = pending > 0;
        while left {
            let next = timeout(PATIENCE, messages.next()).await;
            let message = match next {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Ok(None) | Err(_) => {
                    return Err(format!("JetStream delivered nothing for {PATIENCE:?}: try again"));
                }
            };
            left = self.take(&message)? < last;
        }
        self.next = self.next.max(Some(last + 1));
        Ok(())
    }

    async fn consumer(
        &self,
        link: &Link,
        deliver_policy: DeliverPolicy,
    ) -> Result<(u64, jetstream::consumer::pull::Ordered), String> {
        let context = jetstream::with_prefix(link.client().clone(), &self.spec.api_prefix);
        let refused = |error: &dyn std::fmt::Display| no_consumer(&self.spec.name, &error.to_string());
        let stream = context.get_stream(&self.spec.name).await.map_err(|e| refused(&e))?;
        let config = OrderedConfig { headers_only: true, deliver_policy, ..OrderedConfig::default() };
        let mut consumer = stream.create_consumer(config).await.map_err(|e| refused(&e))?;
        let pending = consumer.info().await.map_err(|e| refused(&e))?.num_pending;
        let messages = consumer.messages().await.map_err(|e| refused(&e))?;
        Ok((pending, messages))
    }

    /// Notes a message's id, and gives its sequence; that of the end, when it is the last for now.
    fn take(&mut self, message: &Delivered) -> Result<u64, String> {
        let info = message.info().map_err(|error| error.to_string())?;
        if let Some(id) = message.headers.as_ref().and_then(|headers| headers.get(MessageId::HEADER)) {
            let stored = info.published.unix_timestamp();
            // The first time counts: later ones are repetitions.
            self.stored.entry(hash_of_id(id.as_str())).or_insert(stored);
        }
        self.next = Some(info.stream_sequence + 1);
        // Those behind it may have been deleted: then it is the last, whatever its sequence.
        Ok(if info.pending == 0 { u64::MAX } else { info.stream_sequence })
    }
}

fn no_consumer(stream: &str, why: &str) -> String {
    format!(
        "no consumer can be had ({why}); the NATS user needs to publish to $JS.API.STREAM.INFO.{stream}, \
         $JS.API.CONSUMER.CREATE.{stream}.>, $JS.API.CONSUMER.INFO.{stream}.> and $JS.API.CONSUMER.MSG.NEXT.{stream}.>"
    )
}

/// Whether the stream keeps everything that it has taken since then.
fn can_tell(info: &Info, since: OffsetDateTime, now: OffsetDateTime) -> Result<(), String> {
    let Info { config, state } = info;
    if matches!(config.retention.as_str(), "workqueue" | "interest") {
        return Err(format!(
            "with retention = {:?} it drops what was read; let it be {:?}, or have a second stream with the first as its source",
            config.retention, "limits"
        ));
    }
    let back = (now - since).try_into().unwrap_or(Duration::ZERO);
    if !config.max_age.is_zero() && config.max_age < back {
        return Err(format!(
            "it keeps messages for {} s (max_age), and {} s must be looked back, for jobs may run for hours; lower --since \
             (reconcile.since), or raise max_age",
            config.max_age.as_secs(),
            back.as_secs()
        ));
    }
    if StreamConfig::limit(config.max_msgs_per_subject).is_some() && !config.discard_new_per_subject {
        return Err(
            "it drops the oldest of each subject (max_msgs_per_subject): take that limit away".to_owned()
        );
    }
    let is_limited =
        [config.max_msgs, config.max_bytes].into_iter().any(|limit| StreamConfig::limit(limit).is_some());
    let first = OffsetDateTime::parse(&state.first_ts, &Rfc3339).ok();
    let has_dropped = state.first_seq > 1 && first.is_none_or(|first| first > since);
    if is_limited && !config.discards_new() && has_dropped {
        return Err(
            "it is full and drops the oldest (discard = \"old\"), and has dropped some of these hours; raise max_bytes or \
             max_msgs, or lower --since (reconcile.since)"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_forgets_is_not_asked() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let since = now - time::Duration::hours(12);
        let hours = |n: u64| n * 3_600_000_000_000;
        let kept = r#""first_seq":1,"first_ts":"2027-01-15T07:59:00Z""#;
        let cut = r#""first_seq":9,"first_ts":"2027-01-15T07:59:00Z""#;
        let cut_before = r#""first_seq":9,"first_ts":"2027-01-14T07:59:00Z""#;
        let rows = [
            (r#""retention":"limits""#.to_owned(), cut, ""),
            (r#""retention":"workqueue""#.to_owned(), kept, "drops what was read"),
            (r#""retention":"interest""#.to_owned(), kept, "drops what was read"),
            (format!(r#""max_age":{}"#, hours(24)), kept, ""),
            (format!(r#""max_age":{}"#, hours(6)), kept, "lower --since"),
            (r#""max_msgs_per_subject":1,"discard":"old""#.to_owned(), kept, "oldest of each subject"),
            (r#""max_bytes":1000,"discard":"new""#.to_owned(), cut, ""),
            (r#""max_bytes":1000,"discard":"old""#.to_owned(), kept, ""),
            (r#""max_bytes":1000,"discard":"old""#.to_owned(), cut_before, ""),
            (r#""max_bytes":1000,"discard":"old""#.to_owned(), cut, "has dropped some"),
        ];
        for (config, state, expected) in rows {
            let info: Info =
                serde_json::from_str(&format!(r#"{{"config":{{{config}}},"state":{{{state}}}}}"#)).unwrap();
            let told = can_tell(&info, since, now);
            match expected {
                "" => assert_eq!(told, Ok(()), "{config} {state}"),
                _ => assert!(told.as_ref().is_err_and(|why| why.contains(expected)), "{config}: {told:?}"),
            }
        }
    }
}
