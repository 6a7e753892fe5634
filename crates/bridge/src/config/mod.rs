//! The operator's configuration: its keys and their defaults.
//!
//! `config/ci-bridge.toml` explains every key; a test holds it equal to the defaults here.

mod endpoints;
mod explain;
mod layers;
mod nats;
mod ranges;
mod settings;
mod tls;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ci_bridge_publisher::{Delivery, Format, Match};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use explain::ConfigError;
pub use layers::{Loaded, Overrides, load};
pub use settings::Settings;
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
    /// Logging.
    pub log: Log,
}

impl Config {
    /// What a running bridge cannot change: everything but endpoints, rules, subjects, the form of messages and the
    /// files of TLS.
    #[must_use]
    pub fn fixed_at_start(&self) -> Self {
        let mut fixed = Self { rules: Vec::new(), subjects: Subjects::default(), ..self.clone() };
        fixed.messages = Messages::default();
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
    pub listen: SocketAddr,
    pub max_body: ByteSize,
    pub body_timeout: Duration,
    pub deadline: Duration,
    pub handshake_timeout: Duration,
    pub header_timeout: Duration,
    pub drain_timeout: Duration,
    pub max_connections: usize,
    pub max_in_flight: usize,
    pub max_streams: u32,
    pub max_headers: usize,
    pub max_header_bytes: ByteSize,
    pub max_depth: usize,
    pub max_nodes: usize,
    pub max_jobs: usize,
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
    pub allow_from: Vec<IpNet>,
    pub trusted_proxies: usize,
    pub allow_buckets: Vec<String>,
    pub allow_unauthenticated: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub subjects: BTreeMap<SubjectKey, String>,
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
    pub listen: SocketAddr,
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
    pub quarantine: QuarantineStream,
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

/// Whether missing streams are created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provision {
    /// A missing stream is created; one that exists is never changed.
    #[default]
    Create,
    /// A missing stream keeps the bridge from being ready.
    Require,
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

impl Default for Ingress {
    fn default() -> Self {
        let parse = ci_bridge_schema::Limits::default();
        Self {
            listen: loopback(8080),
            max_body: ByteSize::mib(1),
            body_timeout: Duration::seconds(5),
            deadline: Duration::seconds(3),
            handshake_timeout: Duration::seconds(10),
            header_timeout: Duration::seconds(30),
            drain_timeout: Duration::seconds(10),
            max_connections: 1024,
            max_in_flight: 1024,
            max_streams: 32,
            max_headers: 64,
            max_header_bytes: ByteSize::kib(16),
            max_depth: parse.max_depth,
            max_nodes: parse.max_nodes,
            max_jobs: parse.max_jobs,
            allow_unauthenticated: false,
            endpoints: vec![Endpoint::default()],
            tls: IngressTls::default(),
        }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            path: "/ci/callback".to_owned(),
            tokens: Vec::new(),
            tokens_file: PathBuf::new(),
            allow_from: Vec::new(),
            trusted_proxies: 0,
            allow_buckets: Vec::new(),
            allow_unauthenticated: false,
            subjects: BTreeMap::new(),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9090) }
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            servers: vec![SecretText::from("nats://127.0.0.1:4222")],
            name: "ci-bridge".to_owned(),
            ack_timeout: Duration::seconds(1),
            user: String::new(),
            password: SecretText::default(),
            password_file: PathBuf::new(),
            token: SecretText::default(),
            token_file: PathBuf::new(),
            creds_file: PathBuf::new(),
            nkey_file: PathBuf::new(),
            context: String::new(),
            inbox_prefix: String::new(),
            micro: true,
            tls: NatsTls::default(),
        }
    }
}

impl Default for Jetstream {
    fn default() -> Self {
        Self {
            stream: "CI".to_owned(),
            provision: Provision::Create,
            subjects: vec!["ci.>".to_owned()],
            storage: Storage::File,
            replicas: 1,
            duplicate_window: Duration::seconds(2 * 60 * 60),
            max_age: Duration::seconds(7 * 24 * 60 * 60),
            max_bytes: ByteSize::UNLIMITED,
            domain: String::new(),
            quarantine: QuarantineStream::default(),
        }
    }
}

impl Default for QuarantineStream {
    fn default() -> Self {
        Self {
            stream: "CI_QUARANTINE".to_owned(),
            subjects: vec!["ci-quarantine.>".to_owned()],
            max_bytes: ByteSize::mib(256),
            max_age: Duration::seconds(7 * 24 * 60 * 60),
        }
    }
}

impl Default for Subjects {
    fn default() -> Self {
        Self {
            task: "ci.task.{tag}.{state:lower}".to_owned(),
            workflow: "ci.workflow.{state}".to_owned(),
            moderation: "ci.moderation.{event}.{verdict}".to_owned(),
            quarantine: "ci-quarantine.{reason}".to_owned(),
        }
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self { enabled: true, dir: PathBuf::from("./spool"), max_bytes: ByteSize::mib(1024) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
