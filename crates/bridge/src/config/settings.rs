//! From keys and values to what the crates take: everything that can be wrong is found here, all of it at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ci_bridge_ingress::{Endpoint, Limits, Secrets, TlsIdentity};
use ci_bridge_publisher::nats::{Connection, Holds, Instance, Missing, StreamSpec};
use ci_bridge_publisher::{self as publisher, Large, SpoolSettings};

use super::context::UserJwt;
use super::explain::Problem;
use super::problems::Problems;
use super::ranges::ANSWER_TIME;
use super::reconcile::{Search, verify_time};
use super::requests::{self, Derived, Given};
use super::telemetry::Export;
use super::{Config, LogFormat, Oversize, Provision, Storage, nats};

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where callbacks come in.
    pub listen: SocketAddr,
    /// Where health checks and scrapes come in.
    pub admin_listen: SocketAddr,
    /// Whether it shows a page.
    pub admin_page: bool,
    /// Further names by which the admin listener may be called.
    pub admin_hosts: Vec<String>,
    /// Who may use its API; none lets everybody read and nobody write.
    pub admin_tokens: Secrets,
    /// How long callbacks are still taken once the bridge is asked to stop.
    pub shutdown_delay: Duration,
    /// How long shutdown may take after that.
    pub drain_timeout: Duration,
    /// Threads of the runtime.
    pub threads: usize,
    /// What senders may take of the bridge.
    pub limits: Limits,
    /// With what the listener speaks TLS, if it does.
    pub tls: Option<TlsIdentity>,
    /// The file that its certificate came from.
    pub tls_cert: PathBuf,
    /// Paths, and who may use them.
    pub endpoints: Vec<Endpoint>,
    /// How messages reach NATS.
    pub publisher: publisher::Config,
    /// How CI's query API is asked.
    pub tencent: ci_bridge_tencent::Config,
    /// How long CI may take to say whether a callback is true.
    pub verify_time: Duration,
    /// Which jobs are looked for whose callbacks never came.
    pub reconcile: Search,
    /// Where spans go, if anywhere.
    pub export: Option<Export>,
    /// What follows from other keys where nobody has set it.
    pub(crate) derived: Derived,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// Which log lines are written, as `tracing-subscriber` reads them.
    pub log_level: String,
}

impl Settings {
    /// Where requests for jobs are, if they are answered.
    pub(crate) fn await_prefix(&self) -> Option<String> {
        self.publisher.jobs.as_ref().map(|jobs| jobs.prefix.clone())
    }

    pub(super) fn check(config: &Config, given: Given, jwt: Option<&UserJwt>) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let rules = problems.rules(config);
        let endpoints = problems.endpoints(config, &rules);
        let connection = nats::connection(&config.nats, jwt).unwrap_or_else(|found| {
            problems.0.extend(found);
            Connection::default()
        });
        problems.ranges(config);
        let tls = problems.tls(&config.ingress.tls);
        let admin_tokens = problems.admin(&config.admin);
        let tencent = problems.tencent(&config.tencent);
        let reconcile = problems.reconcile(config);
        let export = problems.telemetry(&config.telemetry);
        let patterns: BTreeSet<_> =
            endpoints.iter().flat_map(|endpoint| endpoint.router.patterns()).collect();
        let derived = Derived::of(config, given, &patterns);
        let config = &derived.apply(config);
        problems.jobs(config);
        let Some(quarantine) = endpoints.first().map(|endpoint| endpoint.router.clone()) else {
            return Err(problems.0);
        };
        let jobs = super::jobs::awaiting(config, &streams(config), requests::narrower(config, &patterns));
        let settings = Self {
            listen: config.ingress.listen,
            admin_listen: config.admin.listen,
            admin_page: config.admin.page,
            admin_hosts: config.admin.hosts.clone(),
            admin_tokens,
            shutdown_delay: config.ingress.shutdown_delay.get(),
            drain_timeout: config.ingress.drain_timeout.get(),
            threads: config.ingress.threads,
            limits: limits(config),
            tls,
            tls_cert: config.ingress.tls.cert.clone(),
            endpoints,
            publisher: publisher::Config {
                delivery: config.delivery,
                ack_timeout: config.nats.ack_timeout.get(),
                retry_for: config.ingress.deadline.get().saturating_sub(ANSWER_TIME),
                connection,
                streams: streams(config),
                large: large(config),
                look_at_streams: config.jetstream.provision != Provision::None,
                domain: (!config.jetstream.domain.is_empty()).then(|| config.jetstream.domain.clone()),
                expect_stream: config.jetstream.expect_stream,
                patterns: patterns.into_iter().collect(),
                spool: config.spool.enabled.then(|| SpoolSettings {
                    dir: config.spool.dir.clone(),
                    max_bytes: config.spool.max_bytes.bytes(),
                }),
                quarantine,
                traces: None,
                jobs,
                micro: config.nats.micro.then(|| instance(config)),
            },
            tencent,
            verify_time: verify_time(config),
            reconcile,
            export,
            derived,
            log_format: config.log.format,
            log_level: config.log.level.clone(),
        };
        if problems.0.is_empty() { Ok(settings) } else { Err(problems.0) }
    }
}

fn limits(config: &Config) -> Limits {
    let ingress = &config.ingress;
    let bytes = |size: super::ByteSize| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
    Limits {
        max_body: bytes(ingress.max_body),
        body_timeout: ingress.body_timeout.get(),
        deadline: ingress.deadline.get(),
        handshake_timeout: ingress.handshake_timeout.get(),
        header_timeout: ingress.header_timeout.get(),
        max_connections: ingress.max_connections,
        max_in_flight: ingress.max_in_flight,
        max_bytes_in_flight: bytes(ingress.max_bytes_in_flight),
        max_streams: ingress.max_streams,
        max_headers: ingress.max_headers,
        max_header_bytes: bytes(ingress.max_header_bytes),
        parse: ci_bridge_schema::Limits {
            max_depth: ingress.max_depth,
            max_nodes: ingress.max_nodes,
            max_jobs: ingress.max_jobs,
            max_name_bytes: bytes(ingress.max_name_bytes),
        },
    }
}

/// As far as the configuration says: which process it is, and the address it gets, are known when it runs.
fn instance(config: &Config) -> Instance {
    Instance {
        connection: config.nats.name.clone(),
        stream: match config.delivery {
            publisher::Delivery::Jetstream => config.jetstream.stream.clone(),
            publisher::Delivery::Core => String::new(),
        },
        ..Instance::default()
    }
}

fn streams(config: &Config) -> Vec<StreamSpec> {
    let jetstream = &config.jetstream;
    let limit = |size: super::ByteSize| (size.bytes() > 0).then_some(size.bytes());
    let events = StreamSpec {
        name: jetstream.stream.clone(),
        subjects: jetstream.subjects.clone(),
        missing: match jetstream.provision {
            Provision::Create => Missing::Create,
            Provision::Require | Provision::None => Missing::Wait,
        },
        in_memory: jetstream.storage == Storage::Memory,
        replicas: jetstream.replicas,
        duplicate_window: jetstream.duplicate_window.get(),
        max_age: jetstream.max_age.get(),
        max_bytes: limit(jetstream.max_bytes),
        // Full of events: refuse new ones, which the sender repeats, rather than drop what nobody has read.
        discard_new: true,
        holds: Holds::Messages,
        api_prefix: api_prefix(config),
    };
    let quarantine = StreamSpec {
        name: jetstream.quarantine.stream.clone(),
        subjects: jetstream.quarantine.subjects.clone(),
        max_age: jetstream.quarantine.max_age.get(),
        duplicate_window: jetstream.duplicate_window.get().min(jetstream.quarantine.max_age.get()),
        max_bytes: limit(jetstream.quarantine.max_bytes),
        // Full of garbage: the newest is the most useful.
        discard_new: false,
        ..events.clone()
    };
    // A stream that a rule names is somebody else's: it must be there, and is not made.
    let others: BTreeSet<_> = config.rules.iter().filter_map(|rule| rule.stream.clone()).collect();
    let others = others.into_iter().filter(|name| *name != events.name && *name != quarantine.name);
    let others: Vec<_> =
        others.map(|name| StreamSpec { name, missing: Missing::Wait, ..events.clone() }).collect();
    let jobs = super::jobs::stream(config, &events);
    [events, quarantine].into_iter().chain(others).chain(jobs).collect()
}

/// The object store for messages that are larger than NATS takes.
fn large(config: &Config) -> Option<Large> {
    let large = &config.jetstream.large;
    let events = streams(config).into_iter().next()?;
    let bucket = large.bucket.clone();
    let max_age = large.max_age.get();
    let stream = StreamSpec {
        name: format!("OBJ_{bucket}"),
        // As every client names them (ADR-20).
        subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
        max_age,
        duplicate_window: if max_age.is_zero() {
            events.duplicate_window
        } else {
            events.duplicate_window.min(max_age)
        },
        max_bytes: (large.max_bytes.bytes() > 0).then_some(large.max_bytes.bytes()),
        // As events: what was answered 200 is not dropped for what is new.
        discard_new: true,
        holds: Holds::Objects,
        ..events
    };
    (config.messages.oversize == Oversize::Object).then_some(Large { bucket, stream })
}

/// Where JetStream's API is asked: its own prefix, that of a domain, or that under which another account's API was
/// imported.
fn api_prefix(config: &Config) -> String {
    let jetstream = &config.jetstream;
    match (jetstream.api_prefix.as_str(), jetstream.domain.as_str()) {
        ("", "") => "$JS.API".to_owned(),
        ("", domain) => format!("$JS.{domain}.API"),
        (prefix, _) => prefix.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_asked_where_the_configuration_says() {
        let mut config = Config::default();
        assert_eq!(api_prefix(&config), "$JS.API");
        config.jetstream.domain = "hub".to_owned();
        assert_eq!(api_prefix(&config), "$JS.hub.API");
        config.jetstream = super::super::Jetstream { api_prefix: "JS.acme".to_owned(), ..Default::default() };
        assert_eq!(api_prefix(&config), "JS.acme");
    }
}
