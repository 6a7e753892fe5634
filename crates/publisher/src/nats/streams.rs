//! The streams that must hold what is published: looked at, created when missing, never changed.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, StorageType};
use bytes::Bytes;
use serde::Deserialize;

use super::acknowledgement::{ApiError, Failure};
use super::link::Link;

/// A stream as it is configured here: how it is created, and what is expected of one that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Its name.
    pub name: String,
    /// The subjects it takes.
    pub subjects: Vec<String>,
    /// What to do when it is missing.
    pub missing: Missing,
    /// In memory instead of in files.
    pub in_memory: bool,
    /// Copies in a cluster.
    pub replicas: usize,
    /// How long message ids are remembered.
    pub duplicate_window: Duration,
    /// How long messages are kept; zero is for ever.
    pub max_age: Duration,
    /// How many bytes are kept; `None` is without limit.
    pub max_bytes: Option<u64>,
    /// When full: refuse new messages (`true`), or drop the oldest (`false`).
    pub discard_new: bool,
    /// The JetStream domain, if it is not the server's own.
    pub domain: Option<String>,
}

/// What to do about a stream that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Create it.
    Create,
    /// Not be ready until somebody has.
    Wait,
    /// Take it as it would be created, and change nothing: a look ahead.
    Assume,
}

/// A stream as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// Its name.
    pub name: String,
    /// The subjects it takes.
    pub subjects: Vec<String>,
    /// How long message ids are remembered.
    pub duplicate_window: Duration,
    /// Copies in a cluster.
    pub replicas: usize,
    /// In memory instead of in files.
    pub in_memory: bool,
    /// It holds all that it may, and drops nothing for what is new.
    pub full: bool,
    /// How it came to be there.
    pub origin: Origin,
}

/// How a stream came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was there.
    Found,
    /// The bridge has just created it.
    Created,
    /// It is not there yet, see [`Missing::Assume`].
    Assumed,
}

const STREAM_NOT_FOUND: u64 = 10059;
const STREAM_NAME_IN_USE: u64 = 10058;

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Error { error: ApiError },
    Stream(Box<Info>),
}

impl StreamSpec {
    /// Looks the stream up, and creates it when it is missing and may be created.
    pub(crate) async fn ensure(&self, link: &Link) -> Result<StreamState, Failure> {
        match self.call(link, "INFO", Bytes::new()).await? {
            Ok(info) => Ok(StreamState { full: is_full(&info), ..state(info.config, Origin::Found) }),
            Err(error) if error.err_code == STREAM_NOT_FOUND => self.provide(link).await,
            Err(error) => Err(Failure::Busy(format!(
                "stream {}: {} ({})",
                self.name, error.description, error.err_code
            ))),
        }
    }

    async fn provide(&self, link: &Link) -> Result<StreamState, Failure> {
        match self.missing {
            Missing::Create => self.create(link).await,
            Missing::Assume => Ok(state(self.config(), Origin::Assumed)),
            Missing::Wait => Err(Failure::Refused(format!(
                "stream {} does not exist, and is not to be created by the bridge",
                self.name
            ))),
        }
    }

    async fn create(&self, link: &Link) -> Result<StreamState, Failure> {
        let config = serde_json::to_vec(&self.config()).map_err(|e| Failure::Refused(e.to_string()))?;
        match self.call(link, "CREATE", config.into()).await? {
            Ok(info) => Ok(state(info.config, Origin::Created)),
            // Another bridge was faster: the next look finds its stream.
            Err(error) if error.err_code == STREAM_NAME_IN_USE => Err(Failure::NoStream),
            Err(error) => {
                let text =
                    format!("cannot create stream {}: {} ({})", self.name, error.description, error.err_code);
                Err(Failure::Refused(text))
            }
        }
    }

    async fn call(&self, link: &Link, verb: &str, payload: Bytes) -> Result<Result<Info, ApiError>, Failure> {
        let api = match &self.domain {
            Some(domain) => format!("$JS.{domain}.API"),
            None => "$JS.API".to_owned(),
        };
        let answer =
            link.request(format!("{api}.STREAM.{verb}.{}", self.name), payload).await.map_err(|failure| {
                match failure {
                    Failure::NoStream => {
                        Failure::Busy("JetStream does not answer: is it enabled for this account?".to_owned())
                    }
                    other => other,
                }
            })?;
        match serde_json::from_slice(&answer) {
            Ok(Answer::Stream(info)) => Ok(Ok(*info)),
            Ok(Answer::Error { error }) => Ok(Err(error)),
            Err(error) => {
                Err(Failure::Busy(format!("an answer of JetStream that is not understood: {error}")))
            }
        }
    }

    fn config(&self) -> Config {
        Config {
            name: self.name.clone(),
            subjects: self.subjects.clone(),
            storage: if self.in_memory { StorageType::Memory } else { StorageType::File },
            num_replicas: self.replicas,
            duplicate_window: self.duplicate_window,
            max_age: self.max_age,
            max_bytes: self.max_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
            discard: if self.discard_new { DiscardPolicy::New } else { DiscardPolicy::Old },
            allow_direct: true,
            description: Some("Callbacks of Tencent CI, published by ci-bridge".to_owned()),
            ..Config::default()
        }
    }
}

/// Whether every subject of `pattern` is one of `filter`; both as NATS writes them, with `*` and `>`.
#[must_use]
pub fn covers(filter: &str, pattern: &str) -> bool {
    let mut wanted = pattern.split('.');
    for token in filter.split('.') {
        match (token, wanted.next()) {
            (">", Some(_)) => return true,
            (_, None) => return false,
            ("*", Some(_)) => {}
            (literal, Some(other)) if literal == other => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

fn is_full(info: &Info) -> bool {
    let reached = |limit: i64, held: u64| u64::try_from(limit).is_ok_and(|limit| limit > 0 && held >= limit);
    info.config.discard == DiscardPolicy::New
        && (reached(info.config.max_messages, info.state.messages)
            || reached(info.config.max_bytes, info.state.bytes))
}

fn state(config: Config, origin: Origin) -> StreamState {
    StreamState {
        in_memory: config.storage == StorageType::Memory,
        name: config.name,
        subjects: config.subjects,
        duplicate_window: config.duplicate_window,
        replicas: config.num_replicas,
        full: false,
        origin,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_filter_covers_what_it_lets_through() {
        let rows = [
            ("ci.>", "ci.task.*.*", true),
            ("ci.*.*.*", "ci.task.*.*", true),
            ("ci.task.*.success", "ci.task.*.*", false),
            ("ci.workflow.>", "ci.task.*.*", false),
            (">", "ci", true),
            ("ci.>", "ci", false),
            ("ci.task", "ci.task.x", false),
            ("ci.task.*.*", "ci.task.*", false),
        ];
        for (filter, pattern, expected) in rows {
            assert_eq!(covers(filter, pattern), expected, "{filter} {pattern}");
        }
    }
}
