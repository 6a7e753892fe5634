//! A stream as `$JS.API.STREAM.INFO` describes it: what of its configuration and state concerns a publisher.
//!
//! Read here and not with async-nats' own types: a value that is newer than the client must not make a stream unreadable.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The answer to `STREAM.INFO` and `STREAM.CREATE`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: StreamConfig,
    #[serde(default)]
    pub(crate) state: StreamCounts,
    /// When it was created; a stream that was deleted and made again differs in it.
    #[serde(default)]
    pub(crate) created: String,
}

/// How much a stream holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct StreamCounts {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) consumer_count: u64,
}

/// A stream's configuration, by the names that nats-server gives to its settings. A setting that an older server does
/// not have is as if it were off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct StreamConfig {
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) subjects: Vec<String>,
    pub(crate) retention: String,
    pub(crate) storage: String,
    pub(crate) discard: String,
    pub(crate) discard_new_per_subject: bool,
    pub(crate) num_replicas: usize,
    pub(crate) max_consumers: i64,
    pub(crate) max_msgs: i64,
    pub(crate) max_bytes: i64,
    pub(crate) max_msgs_per_subject: i64,
    pub(crate) max_msg_size: i64,
    #[serde(deserialize_with = "nanoseconds")]
    pub(crate) max_age: Duration,
    #[serde(deserialize_with = "nanoseconds")]
    pub(crate) duplicate_window: Duration,
    #[serde(deserialize_with = "nanoseconds")]
    pub(crate) subject_delete_marker_ttl: Duration,
    pub(crate) no_ack: bool,
    pub(crate) sealed: bool,
    pub(crate) deny_delete: bool,
    pub(crate) allow_rollup_hdrs: bool,
    pub(crate) allow_msg_ttl: bool,
    pub(crate) allow_msg_counter: bool,
    pub(crate) persist_mode: String,
    /// Present means set, whatever it holds.
    pub(crate) mirror: Option<Value>,
    pub(crate) subject_transform: Option<Value>,
    pub(crate) republish: Option<Value>,
}

impl StreamConfig {
    /// A limit, where there is one: nats-server writes -1, and older ones 0, for none.
    pub(crate) fn limit(value: i64) -> Option<u64> {
        u64::try_from(value).ok().filter(|limit| *limit > 0)
    }

    pub(crate) fn discards_new(&self) -> bool {
        self.discard == "new"
    }

    pub(crate) fn in_memory(&self) -> bool {
        self.storage == "memory"
    }
}

impl StreamInfo {
    /// It holds all that it may, and drops nothing for what is new.
    pub(crate) fn is_full(&self) -> bool {
        let reached = |limit, held| StreamConfig::limit(limit).is_some_and(|limit| held >= limit);
        let StreamConfig { max_msgs, max_bytes, .. } = self.config;
        self.config.discards_new()
            && (reached(max_msgs, self.state.messages) || reached(max_bytes, self.state.bytes))
    }
}

fn nanoseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Ok(Duration::from_nanos(u64::try_from(i64::deserialize(deserializer)?).unwrap_or(0)))
}

/// Go writes a list that was never set as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_whatever_the_server_adds_or_leaves_out() {
        let info: StreamInfo = serde_json::from_str(
            r#"{"type":"io.nats.jetstream.api.v1.stream_info_response","config":{"name":"CI","subjects":null,
            "retention":"a_new_kind","max_msgs":-1,"max_age":3600000000000,"storage":"file","num_replicas":1,
            "persist_mode":"async","a_new_setting":{"x":1},"mirror":{"name":"X"}},"created":"2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!(info.config.max_age, Duration::from_secs(3600));
        assert_eq!(info.config.retention, "a_new_kind");
        assert!(info.config.mirror.is_some() && info.config.republish.is_none());
        assert_eq!(info.config.persist_mode, "async");
        assert!(!info.is_full());
    }

    #[test]
    fn full_is_what_refuses_new_messages() {
        let info = |discard: &str, max_msgs, messages| StreamInfo {
            config: StreamConfig {
                discard: discard.into(),
                max_msgs,
                max_bytes: -1,
                ..StreamConfig::default()
            },
            state: StreamCounts { messages, ..StreamCounts::default() },
            created: String::new(),
        };
        assert!(info("new", 5, 5).is_full());
        assert!(!info("new", 5, 4).is_full());
        assert!(!info("old", 5, 5).is_full());
        assert!(!info("new", -1, 5).is_full());
    }
}
