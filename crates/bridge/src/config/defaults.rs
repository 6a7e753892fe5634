//! What holds where nobody says otherwise; `config/ci-bridge.toml` gives the reasons.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ci_bridge_ingress::WithoutAnswer;
use ci_bridge_publisher::nats::ExpectStream;

use super::requests::AWAIT_PREFIX;
use super::{
    Admin, ByteSize, Duration, Endpoint, Exporter, Ingress, IngressTls, Jetstream, Jobs, LargeStore, Log,
    LogFormat, Nats, NatsTls, Provision, QuarantineStream, Reconcile, Sampler, SecretText, Spool, Storage,
    Subjects, Telemetry, Tencent, Verify,
};

impl Default for Ingress {
    fn default() -> Self {
        let parse = ci_bridge_schema::Limits::default();
        Self {
            listen: loopback(8080),
            threads: 1,
            max_body: ByteSize::mib(32),
            body_timeout: Duration::seconds(5),
            deadline: Duration::seconds(3),
            handshake_timeout: Duration::seconds(10),
            header_timeout: Duration::seconds(30),
            shutdown_delay: Duration::seconds(0),
            drain_timeout: Duration::seconds(10),
            max_connections: 1024,
            max_in_flight: 1024,
            max_bytes_in_flight: ByteSize::mib(256),
            max_streams: 128,
            max_headers: 64,
            max_header_bytes: ByteSize::kib(16),
            max_depth: parse.max_depth,
            max_nodes: parse.max_nodes,
            max_jobs: parse.max_jobs,
            max_name_bytes: ByteSize::kib(1),
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
            verify: Verify::Off,
            verify_on_error: WithoutAnswer::Refuse,
            subjects: BTreeMap::new(),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: loopback(9090), page: true, hosts: Vec::new(), token_file: PathBuf::new() }
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
            tls_first: false,
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
            api_prefix: String::new(),
            expect_stream: ExpectStream::Auto,
            quarantine: QuarantineStream::default(),
            large: LargeStore::default(),
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

impl Default for LargeStore {
    fn default() -> Self {
        Self {
            bucket: "CI_LARGE".to_owned(),
            max_bytes: ByteSize::mib(4 * 1024),
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

impl Default for Jobs {
    fn default() -> Self {
        Self {
            bucket: String::new(),
            max_bytes: ByteSize::mib(1024),
            max_age: Duration::seconds(7 * 24 * 60 * 60),
            await_prefix: AWAIT_PREFIX.to_owned(),
            max_waiting: 1024,
            max_wait: Duration::seconds(60 * 60),
        }
    }
}

impl Default for Tencent {
    fn default() -> Self {
        Self {
            credentials_file: PathBuf::new(),
            endpoint: String::new(),
            requests_per_second: 2,
            timeout: Duration::seconds(5),
        }
    }
}

impl Default for Reconcile {
    fn default() -> Self {
        Self {
            every: Duration::seconds(0),
            since: Duration::seconds(6 * 60 * 60),
            grace: Duration::seconds(10 * 60),
            buckets: Vec::new(),
            tags: Vec::new(),
            queues: Vec::new(),
            lease_bucket: "CI_RECONCILE".to_owned(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            otlp_traces_endpoint: String::new(),
            otlp_protocol: "http/protobuf".to_owned(),
            otlp_headers: SecretText::default(),
            otlp_certificate: PathBuf::new(),
            otlp_timeout: Duration::seconds(10),
            service_name: "ci-bridge".to_owned(),
            resource_attributes: String::new(),
            sampler: Sampler::default(),
            sampler_arg: String::new(),
            exporter: Exporter::default(),
            disabled: false,
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
