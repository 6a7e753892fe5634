//! The operator's configuration: its keys and their defaults.
//!
//! `config/ci-bridge.toml` explains every key; a test holds it equal to the defaults here.

mod changes;
mod context;
mod defaults;
mod endpoints;
mod environment;
mod explain;
mod jobs;
mod layers;
mod mistakes;
mod nats;
mod paths;
mod problems;
mod ranges;
mod reconcile;
mod requests;
mod settings;
mod single;
mod telemetry;
mod tls;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ci_bridge_ingress::WithoutAnswer;
use ci_bridge_publisher::nats::ExpectStream;
use ci_bridge_publisher::{Delivery, Format, Match};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub(crate) use changes::Changes;
pub(crate) use endpoints::tokens_in;
pub use explain::ConfigError;
pub(crate) use explain::DEFAULT;
pub(crate) use layers::admin_listen;
pub use layers::{Loaded, Overrides, load};
pub(crate) use reconcile::LONGEST_SINCE;
pub use reconcile::Search;
pub use settings::Settings;
pub use telemetry::{Export, Exporter, Sampler, Telemetry};
pub use units::{ByteSize, Duration, SecretText};

/// Every key of the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `jetstream` or `core`.
    pub delivery: Delivery,
    /// The listener for callbacks.
    pub ingress: Ingress,
    /// The listener for health checks and metrics.
    pub admin: Admin,
    /// The connection to NATS.
    pub nats: Nats,
    /// The stream of events.
    pub jetstream: Jetstream,
    /// Subject templates.
    pub subjects: Subjects,
    /// The form of messages.
    pub messages: Messages,
    /// Rules before the templates; the first that matches decides.
    pub rules: Vec<Rule>,
    /// Where messages wait while NATS is away.
    pub spool: Spool,
    /// Each job's last message, to look up and to wait for.
    pub jobs: Jobs,
    /// CI's query API.
    pub tencent: Tencent,
    /// The search for jobs whose callbacks never came.
    pub reconcile: Reconcile,
    /// Logging.
    pub log: Log,
    /// Traces.
    pub telemetry: Telemetry,
}

impl Config {
    /// What a running bridge cannot change: everything but endpoints, rules, subjects, the form of messages and the
    /// files of TLS.
    #[must_use]
    pub fn fixed_at_start(&self) -> Self {
        let mut fixed = Self { rules: Vec::new(), subjects: Subjects::default(), ..self.clone() };
        fixed.messages.format = Format::default();
        fixed.ingress.endpoints = Vec::new();
        fixed.ingress.tls = IngressTls::default();
        fixed
    }
}

/// `[ingress]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Ingress {
    #[serde(deserialize_with = "units::address")]
    pub listen: SocketAddr,
    pub threads: usize,
    pub max_body: ByteSize,
    pub body_timeout: Duration,
    pub deadline: Duration,
    pub handshake_timeout: Duration,
    pub header_timeout: Duration,
    pub shutdown_delay: Duration,
    pub drain_timeout: Duration,
    pub max_connections: usize,
    pub max_in_flight: usize,
    pub max_bytes_in_flight: ByteSize,
    pub max_streams: u32,
    pub max_headers: usize,
    pub max_header_bytes: ByteSize,
    pub max_depth: usize,
    pub max_nodes: usize,
    pub max_jobs: usize,
    pub max_name_bytes: ByteSize,
    pub allow_unauthenticated: bool,
    pub endpoints: Vec<Endpoint>,
    pub tls: IngressTls,
}

/// `[ingress.tls]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct IngressTls {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub client_ca: PathBuf,
}

/// `[[ingress.endpoints]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Endpoint {
    pub name: String,
    pub path: String,
    pub tokens: Vec<SecretText>,
    pub tokens_file: PathBuf,
    #[serde(deserialize_with = "units::ranges")]
    pub allow_from: Vec<IpNet>,
    pub trusted_proxies: usize,
    pub allow_buckets: Vec<String>,
    pub allow_unauthenticated: bool,
    pub verify: Verify,
    pub verify_on_error: WithoutAnswer,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub subjects: BTreeMap<SubjectKey, String>,
}

/// Of which callbacks CI is asked before they are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// Of none: a callback is believed.
    #[default]
    Off,
    /// Of all: what is published is CI's own account.
    All,
}

/// A key of `[subjects]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub enum SubjectKey {
    Task,
    Workflow,
    Moderation,
    Quarantine,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Admin {
    #[serde(deserialize_with = "units::address")]
    pub listen: SocketAddr,
    pub page: bool,
    pub hosts: Vec<String>,
    pub token_file: PathBuf,
}

/// `[nats]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Nats {
    pub servers: Vec<SecretText>,
    pub name: String,
    pub ack_timeout: Duration,
    pub user: String,
    pub password: SecretText,
    pub password_file: PathBuf,
    pub token: SecretText,
    pub token_file: PathBuf,
    pub creds_file: PathBuf,
    pub nkey_file: PathBuf,
    pub context: String,
    pub inbox_prefix: String,
    pub micro: bool,
    pub tls_first: bool,
    pub tls: NatsTls,
}

/// `[nats.tls]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct NatsTls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `[jetstream]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Jetstream {
    pub stream: String,
    pub provision: Provision,
    pub subjects: Vec<String>,
    pub storage: Storage,
    pub replicas: usize,
    pub duplicate_window: Duration,
    pub max_age: Duration,
    pub max_bytes: ByteSize,
    pub domain: String,
    pub api_prefix: String,
    pub expect_stream: ExpectStream,
    pub quarantine: QuarantineStream,
    pub large: LargeStore,
}

/// `[jetstream.quarantine]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct QuarantineStream {
    pub stream: String,
    pub subjects: Vec<String>,
    pub max_bytes: ByteSize,
    pub max_age: Duration,
}

/// `[jetstream.large]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct LargeStore {
    pub bucket: String,
    pub max_bytes: ByteSize,
    pub max_age: Duration,
}

/// Whether missing streams are created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provision {
    /// A missing stream is created; one that exists is never changed.
    #[default]
    Create,
    /// A missing stream keeps the bridge from being ready.
    Require,
    /// Streams are neither looked at nor created: an account that imports them may not ask.
    None,
}

/// Where a stream that is created keeps its messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// In files.
    #[default]
    File,
    /// In memory: gone when NATS restarts.
    Memory,
}

/// `[subjects]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Subjects {
    pub task: String,
    pub workflow: String,
    pub moderation: String,
    pub quarantine: String,
}

/// `[messages]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Messages {
    pub format: Format,
    pub oversize: Oversize,
}

/// What becomes of a message that is larger than NATS takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Oversize {
    /// It goes whole into the object store, and a small message says where.
    #[default]
    Object,
    /// 413, and its beginning in quarantine.
    Refuse,
}

/// `[[rules]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Rule {
    pub r#match: Match,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
}

/// `[spool]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Spool {
    pub enabled: bool,
    pub dir: PathBuf,
    pub max_bytes: ByteSize,
}

/// `[jobs]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Jobs {
    pub bucket: String,
    pub max_bytes: ByteSize,
    pub max_age: Duration,
    pub await_prefix: String,
    pub max_waiting: usize,
    pub max_wait: Duration,
}

/// `[tencent]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Tencent {
    pub credentials_file: PathBuf,
    pub endpoint: String,
    pub requests_per_second: u32,
    pub timeout: Duration,
}

/// `[reconcile]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Reconcile {
    pub every: Duration,
    pub since: Duration,
    pub grace: Duration,
    pub buckets: Vec<String>,
    pub tags: Vec<String>,
    pub queues: Vec<String>,
    pub lease_bucket: String,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
