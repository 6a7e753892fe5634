//! The streams that must hold what is published: looked at, created when missing, never changed.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::timeout;

use super::acknowledgement::{ApiError, Failure};
use super::fitness::{self, Finding, Verdict};
use super::link::Link;
use super::stream_config::{StreamConfig, StreamCounts, StreamInfo};
use super::stream_spec::{Holds, Missing, StreamSpec};
use crate::filter::{covers, overlap};

/// How long one question to JetStream may take.
pub(crate) const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);

/// A stream as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamState {
    pub(crate) config: StreamConfig,
    /// When it was created, as the server writes it.
    pub(crate) created: String,
    /// It holds all that it may, and drops nothing for what is new.
    pub(crate) full: bool,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// How it came to be there.
    pub(crate) origin: StreamOrigin,
    /// What of its settings concerns the promise.
    pub(crate) findings: Vec<Finding>,
}

/// How a stream came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamOrigin {
    /// It was there.
    Found,
    /// The bridge has just created it.
    Created,
    /// It is not there yet, see [`Missing::Assume`].
    Assumed,
}

/// Why a stream cannot be looked at or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamTrouble {
    /// JetStream did not answer as it should: ask again soon.
    #[error("{0}")]
    Unknown(String),
    /// It is not there, and cannot or must not be made.
    #[error("{0}")]
    Missing(String),
}

const STREAM_NOT_FOUND: u64 = 10059;
const STREAM_NAME_IN_USE: u64 = 10058;

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer<T> {
    Error { error: ApiError },
    Data(T),
}

impl StreamSpec {
    /// Looks the stream up, and creates it when it is missing and may be created.
    pub(crate) async fn ensure(&self, link: &Link) -> Result<StreamState, StreamTrouble> {
        match self.info(link).await? {
            Ok(info) => Ok(self.state(info, StreamOrigin::Found)),
            Err(error) if error.err_code == STREAM_NOT_FOUND => self.provide(link).await,
            Err(error) => Err(StreamTrouble::Unknown(format!(
                "stream {}: {} ({})",
                self.name, error.description, error.err_code
            ))),
        }
    }

    async fn provide(&self, link: &Link) -> Result<StreamState, StreamTrouble> {
        match self.missing {
            Missing::Create => self.create(link).await,
            Missing::Assume => {
                self.can_be_created(link).await?;
                Ok(self.state(self.as_created(), StreamOrigin::Assumed))
            }
            Missing::Wait => Err(StreamTrouble::Missing(format!(
                "stream {} does not exist, and is not to be created by the bridge",
                self.name
            ))),
        }
    }

    async fn create(&self, link: &Link) -> Result<StreamState, StreamTrouble> {
        let config = serde_json::to_vec(&self.config()).map_err(|e| StreamTrouble::Missing(e.to_string()))?;
        match self.call(link, "CREATE", config.into()).await? {
            Ok(info) => Ok(self.state(info, StreamOrigin::Created)),
            // Another bridge was faster: the next look finds its stream.
            Err(error) if error.err_code == STREAM_NAME_IN_USE => {
                Err(StreamTrouble::Unknown(format!("stream {} is being created", self.name)))
            }
            Err(error) => Err(StreamTrouble::Missing(format!(
                "cannot create stream {}: {} ({})",
                self.name, error.description, error.err_code
            ))),
        }
    }

    /// The stream as the server has it, or the error that it answers.
    pub(super) async fn info(&self, link: &Link) -> Result<Result<StreamInfo, ApiError>, StreamTrouble> {
        self.call(link, "INFO", Bytes::new()).await
    }

    /// The subjects of the stream that a filter lets through; at most those of the server's first answer, 100,000.
    pub(crate) async fn subjects_held(
        &self,
        link: &Link,
        filter: &str,
    ) -> Result<BTreeMap<String, u64>, String> {
        #[derive(Deserialize)]
        struct Held {
            state: Subjects,
        }
        #[derive(Deserialize)]
        struct Subjects {
            #[serde(default)]
            subjects: Option<BTreeMap<String, u64>>,
        }
        let request = serde_json::json!({ "subjects_filter": filter }).to_string();
        let held: Held = self.ask(link, &format!("STREAM.INFO.{}", self.name), request).await?;
        Ok(held.state.subjects.unwrap_or_default())
    }

    /// Asks JetStream's API; an error is a sentence.
    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        link: &Link,
        what: &str,
        request: String,
    ) -> Result<T, String> {
        let answer = self.ask_api(link, what, request).await?;
        answer.map_err(|error| format!("{} ({})", error.description, error.err_code))
    }

    /// Asks JetStream's API: the answer, or the error that it gives; or a sentence when there is neither.
    pub(super) async fn ask_api<T: serde::de::DeserializeOwned>(
        &self,
        link: &Link,
        what: &str,
        request: String,
    ) -> Result<Result<T, ApiError>, String> {
        let asking = ask(link, format!("{}.{what}", self.api_prefix), request.into());
        match timeout(QUESTION_TIMEOUT, asking).await {
            Ok(answer) => answer.map_err(|trouble| trouble.to_string()),
            Err(_) => Err("JetStream does not answer, or there is no permission to ask".to_owned()),
        }
    }

    async fn call(
        &self,
        link: &Link,
        verb: &str,
        payload: Bytes,
    ) -> Result<Result<StreamInfo, ApiError>, StreamTrouble> {
        ask(link, format!("{}.STREAM.{verb}.{}", self.api_prefix, self.name), payload).await
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
            allow_rollup: self.holds != Holds::Messages,
            max_messages_per_subject: if self.holds == Holds::Keys { 1 } else { -1 },
            deny_delete: self.holds == Holds::Keys,
            description: Some("Callbacks of Tencent CI, published by ci-bridge".to_owned()),
            ..Config::default()
        }
    }

    /// What the server would say of it just after it was created.
    fn as_created(&self) -> StreamInfo {
        let max_bytes = self.max_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1);
        let config = StreamConfig {
            name: self.name.clone(),
            subjects: self.subjects.clone(),
            retention: "limits".to_owned(),
            storage: if self.in_memory { "memory" } else { "file" }.to_owned(),
            discard: if self.discard_new { "new" } else { "old" }.to_owned(),
            num_replicas: self.replicas,
            duplicate_window: self.duplicate_window,
            max_age: self.max_age,
            max_bytes,
            allow_rollup_hdrs: self.holds != Holds::Messages,
            deny_delete: self.holds == Holds::Keys,
            ..StreamConfig::default()
        };
        StreamInfo { config, state: StreamCounts::default(), created: String::new() }
    }

    fn state(&self, info: StreamInfo, origin: StreamOrigin) -> StreamState {
        StreamState {
            full: info.is_full(),
            messages: info.state.messages,
            bytes: info.state.bytes,
            findings: fitness::judge(&info, self),
            created: info.created,
            config: info.config,
            origin,
        }
    }

    /// Whether the server would let the stream be created, as far as can be told without doing it.
    async fn can_be_created(&self, link: &Link) -> Result<(), StreamTrouble> {
        #[derive(Deserialize)]
        struct Names {
            #[serde(default)]
            streams: Option<Vec<String>>,
        }
        let cannot =
            |why: String| Err(StreamTrouble::Missing(format!("cannot create stream {}: {why}", self.name)));
        for subject in &self.subjects {
            let filter = serde_json::json!({ "subject": subject }).to_string();
            let names = self.ask::<Names>(link, "STREAM.NAMES", filter).await;
            // Without the right to ask, nothing is known.
            let others = names.ok().and_then(|names| names.streams).unwrap_or_default();
            if let Some(other) = others.first() {
                return cannot(format!(
                    "stream {other} has {subject} already; name it in jetstream.stream, or change the subjects"
                ));
            }
        }
        let Ok(account) = self.ask::<Account>(link, "INFO", String::new()).await else { return Ok(()) };
        if let Some(limits) = &account.limits
            && let Some(why) = limits.refuse(self, &account)
        {
            return cannot(why);
        }
        if self.replicas > 1 && link.client().server_info().cluster.is_none() {
            return cannot(format!("{} replicas need a cluster, and this is a single server", self.replicas));
        }
        Ok(())
    }
}

/// The answer to `$JS.API.INFO`, as far as it limits new streams.
#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    memory: u64,
    #[serde(default)]
    storage: u64,
    #[serde(default)]
    streams: i64,
    #[serde(default)]
    limits: Option<AccountLimits>,
}

#[derive(Deserialize)]
#[serde(default)]
struct AccountLimits {
    max_memory: i64,
    max_storage: i64,
    max_streams: i64,
    max_bytes_required: bool,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self { max_memory: -1, max_storage: -1, max_streams: -1, max_bytes_required: false }
    }
}

impl AccountLimits {
    /// Why the account would not have the stream.
    fn refuse(&self, spec: &StreamSpec, account: &Account) -> Option<String> {
        if self.max_streams > 0 && account.streams >= self.max_streams {
            return Some(format!("the account may have {} streams, and has them (10027)", self.max_streams));
        }
        if self.max_bytes_required && spec.max_bytes.is_none() {
            return Some("the account requires jetstream.max_bytes to be set (10113)".to_owned());
        }
        let (kind, limit, used) = match spec.in_memory {
            true => ("memory", self.max_memory, account.memory),
            false => ("storage", self.max_storage, account.storage),
        };
        match (u64::try_from(limit), spec.max_bytes) {
            (Ok(0), _) => Some(format!("the account has no {kind} for JetStream (10023)")),
            (Ok(limit), Some(wanted)) if used.saturating_add(wanted) > limit => Some(format!(
                "the account has {limit} bytes of {kind}, {used} are used, and jetstream.max_bytes asks for {wanted}"
            )),
            _ => None,
        }
    }
}

pub(super) async fn ask<T: serde::de::DeserializeOwned>(
    link: &Link,
    subject: String,
    payload: Bytes,
) -> Result<Result<T, ApiError>, StreamTrouble> {
    let answer = link.request(subject, payload).await.map_err(|failure| {
        StreamTrouble::Unknown(match failure {
            Failure::NoStream => "JetStream does not answer: is it enabled for this account?".to_owned(),
            Failure::Forbidden(what) => format!("the NATS user may not ask JetStream's API: {what}"),
            other => other.to_string(),
        })
    })?;
    match serde_json::from_slice(&answer) {
        Ok(Answer::Data(data)) => Ok(Ok(data)),
        Ok(Answer::Error { error }) => Ok(Err(error)),
        Err(error) => {
            Err(StreamTrouble::Unknown(format!("an answer of JetStream that is not understood: {error}")))
        }
    }
}

impl StreamState {
    /// Whether it is the same stream with the same settings; how much it holds, and how it was found, are no change.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.config == other.config && self.created == other.created && self.findings == other.findings
    }

    /// The first reason why nothing published to it is known to be kept.
    pub(crate) fn unfit(&self) -> Option<&Finding> {
        self.findings.first().filter(|finding| finding.verdict == Verdict::Unfit)
    }

    /// The largest message that it takes, in bytes with headers.
    pub(crate) fn max_message_bytes(&self) -> Option<usize> {
        StreamConfig::limit(self.config.max_msg_size).and_then(|limit| usize::try_from(limit).ok())
    }

    /// Whether it takes every subject of a pattern.
    pub(crate) fn takes(&self, pattern: &str) -> bool {
        self.config.subjects.iter().any(|filter| covers(filter, pattern))
    }

    /// Whether it takes any subject of a pattern.
    pub(crate) fn takes_some(&self, pattern: &str) -> bool {
        self.config.subjects.iter().any(|filter| overlap(filter, pattern))
    }
}
