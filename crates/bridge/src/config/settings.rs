//! From keys and values to what the crates take: everything that can be wrong is found here, all of it at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ci_bridge_ingress::{AllowFrom, Endpoint, Limits, Secret, Secrets};
use ci_bridge_publisher::nats::{Connection, Missing, StreamSpec};
use ci_bridge_publisher::{
    self as publisher, Delivery, Destinations, Glob, Router, Rule, SpoolSettings, Then,
};

use super::explain::Problem;
use super::{Config, LogFormat, Provision, Storage, SubjectKey, nats};

/// A configuration that makes sense.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where callbacks come in.
    pub listen: SocketAddr,
    /// Where health checks and scrapes come in.
    pub admin_listen: SocketAddr,
    /// How long shutdown may take.
    pub drain_timeout: Duration,
    /// What senders may take of the bridge.
    pub limits: Limits,
    /// Paths, and who may use them.
    pub endpoints: Vec<Endpoint>,
    /// How messages reach NATS.
    pub publisher: publisher::Config,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// Which log lines are written, as `tracing-subscriber` reads them.
    pub log_level: String,
}

/// What is left of the deadline to write the answer.
const ANSWER_TIME: Duration = Duration::from_millis(250);
/// Parsing recurses once a level; this is far from a thread's stack, and further from any real callback.
const DEEPEST: usize = 256;

impl Settings {
    pub(super) fn check(config: &Config) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let rules = problems.rules(config);
        let endpoints = problems.endpoints(config, &rules);
        let connection = nats::connection(&config.nats).unwrap_or_else(|found| {
            problems.0.extend(found);
            Connection::default()
        });
        problems.ranges(config);
        let Some(quarantine) = endpoints.first().map(|endpoint| endpoint.router.clone()) else {
            return Err(problems.0);
        };
        let patterns: BTreeSet<_> = endpoints
            .iter()
            .flat_map(|endpoint| endpoint.router.patterns())
            .collect();
        let settings = Self {
            listen: config.ingress.listen,
            admin_listen: config.admin.listen,
            drain_timeout: config.ingress.drain_timeout.get(),
            limits: limits(config),
            endpoints,
            publisher: publisher::Config {
                delivery: config.delivery,
                ack_timeout: config.nats.ack_timeout.get(),
                retry_for: config.ingress.deadline.get().saturating_sub(ANSWER_TIME),
                connection,
                streams: streams(config),
                patterns: patterns.into_iter().collect(),
                spool: config.spool.enabled.then(|| SpoolSettings {
                    dir: config.spool.dir.clone(),
                    max_bytes: config.spool.max_bytes.bytes(),
                }),
                quarantine,
            },
            log_format: config.log.format,
            log_level: config.log.level.clone(),
        };
        if problems.0.is_empty() {
            Ok(settings)
        } else {
            Err(problems.0)
        }
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            key: key.into(),
            message: message.into(),
        });
    }

    fn rules(&mut self, config: &Config) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (at, rule) in config.rules.iter().enumerate() {
            let key = format!("rules.{at}");
            if let Some(kind) = rule.r#match.unknown_kinds().next() {
                self.add(
                    format!("{key}.match.kind"),
                    format!("{kind:?} is no kind: use task, workflow or moderation"),
                );
            }
            let template = match (&rule.subject, rule.drop) {
                (Some(subject), false) => {
                    Rule::template(subject).map_err(|e| (format!("{key}.subject"), e.to_string()))
                }
                (None, true) if !rule.copy => {
                    rules.push(Rule {
                        matches: rule.r#match.clone(),
                        then: Then::Drop,
                    });
                    continue;
                }
                _ => Err((
                    key,
                    "a rule needs a subject (with or without copy = true), or drop = true".to_owned(),
                )),
            };
            match template {
                Ok(template) if rule.copy => {
                    rules.push(Rule {
                        matches: rule.r#match.clone(),
                        then: Then::Copy(template, rule.stream.clone()),
                    });
                }
                Ok(template) => {
                    rules.push(Rule {
                        matches: rule.r#match.clone(),
                        then: Then::To(template, rule.stream.clone()),
                    });
                }
                Err((key, message)) => self.add(key, message),
            }
        }
        rules
    }

    fn endpoints(&mut self, config: &Config, rules: &[Rule]) -> Vec<Endpoint> {
        if config.ingress.endpoints.is_empty() {
            self.add("ingress.endpoints", "at least one endpoint is needed");
        }
        let mut seen = BTreeSet::new();
        let mut endpoints = Vec::new();
        for (at, endpoint) in config.ingress.endpoints.iter().enumerate() {
            let key = format!("ingress.endpoints.{at}");
            let path = endpoint.path.trim_end_matches('/');
            if !endpoint.path.starts_with('/') || path.contains(['?', '#', ' ', '%']) {
                self.add(
                    format!("{key}.path"),
                    "a path starts with '/' and holds no query, blank or escape",
                );
            }
            if !seen.insert(path.to_owned()) || !seen.insert(format!("name {}", endpoint.name)) {
                self.add(key.clone(), "another endpoint has the same name or path");
            }
            let secrets = self.secrets(endpoint, &key);
            let open = secrets.is_empty() && endpoint.allow_from.is_empty();
            let meant = endpoint.allow_unauthenticated || config.ingress.allow_unauthenticated;
            if open && !meant && !config.ingress.listen.ip().is_loopback() {
                self.add(
                    key.clone(),
                    format!(
                        "anybody who reaches {} could publish: set tokens, tokens_file or allow_from, listen on \
                         127.0.0.1, or say allow_unauthenticated = true",
                        config.ingress.listen
                    ),
                );
            }
            if let Some(router) = self.router(config, endpoint, &key, rules) {
                endpoints.push(Endpoint {
                    name: endpoint.name.clone(),
                    path: path.to_owned(),
                    secrets,
                    allow_from: AllowFrom {
                        ranges: endpoint.allow_from.clone(),
                        trusted_proxies: endpoint.trusted_proxies,
                    },
                    allow_buckets: endpoint
                        .allow_buckets
                        .iter()
                        .map(|glob| Glob::from(glob.as_str()))
                        .collect(),
                    router,
                });
            }
        }
        endpoints
    }

    fn secrets(&mut self, endpoint: &super::Endpoint, key: &str) -> Secrets {
        let mut texts: Vec<String> = endpoint
            .tokens
            .iter()
            .map(|token| token.expose().to_owned())
            .collect();
        if texts.iter().any(|text| text.trim().is_empty()) {
            self.add(format!("{key}.tokens"), "an empty token would let everybody in");
        }
        if let Some(path) = super::layers::given(&endpoint.tokens_file) {
            match std::fs::read_to_string(&path) {
                Ok(lines) => {
                    let before = texts.len();
                    texts.extend(
                        lines
                            .lines()
                            .map(str::trim)
                            .filter(|line| !line.is_empty())
                            .map(str::to_owned),
                    );
                    if texts.len() == before {
                        self.add(
                            format!("{key}.tokens_file"),
                            format!("{} holds no token", path.display()),
                        );
                    }
                }
                Err(e) => self.add(
                    format!("{key}.tokens_file"),
                    format!("cannot read {}: {e}", path.display()),
                ),
            }
        }
        texts.iter().map(|text| Secret::new(text)).collect()
    }

    fn router(
        &mut self,
        config: &Config,
        endpoint: &super::Endpoint,
        key: &str,
        rules: &[Rule],
    ) -> Option<Router> {
        let own = |kind| endpoint.subjects.get(&kind).map(String::as_str);
        let shared = &config.subjects;
        let subjects = [
            own(SubjectKey::Task).unwrap_or(&shared.task),
            own(SubjectKey::Workflow).unwrap_or(&shared.workflow),
            own(SubjectKey::Moderation).unwrap_or(&shared.moderation),
            own(SubjectKey::Quarantine).unwrap_or(&shared.quarantine),
        ];
        let destinations = Destinations {
            stream: config.jetstream.stream.clone(),
            quarantine_stream: config.jetstream.quarantine.stream.clone(),
            format: config.messages.format,
        };
        match Router::new(subjects, rules.to_vec(), destinations) {
            Ok(router) => Some(router),
            Err((kind, error)) => {
                let is_own = endpoint
                    .subjects
                    .keys()
                    .any(|own| format!("{own:?}").eq_ignore_ascii_case(kind));
                let section = if is_own {
                    format!("{key}.subjects")
                } else {
                    "subjects".to_owned()
                };
                self.add(format!("{section}.{kind}"), error.to_string());
                None
            }
        }
    }

    fn ranges(&mut self, config: &Config) {
        let ingress = &config.ingress;
        for (key, value) in [
            ("ingress.max_connections", ingress.max_connections),
            ("ingress.max_in_flight", ingress.max_in_flight),
            ("ingress.max_headers", ingress.max_headers),
            ("ingress.max_depth", ingress.max_depth),
            ("ingress.max_nodes", ingress.max_nodes),
            ("ingress.max_jobs", ingress.max_jobs),
            ("jetstream.replicas", config.jetstream.replicas),
        ] {
            if value == 0 {
                self.add(key, "must be at least 1");
            }
        }
        if ingress.max_depth > DEEPEST {
            self.add("ingress.max_depth", format!("must be at most {DEEPEST}"));
        }
        if config.spool.enabled && config.spool.max_bytes.bytes() < ingress.max_body.bytes() {
            self.add(
                "spool.max_bytes",
                "must hold at least one body (ingress.max_body)",
            );
        }
        if config.spool.enabled && config.spool.dir.as_os_str().is_empty() {
            self.add(
                "spool.dir",
                "name a folder that survives a restart, or set spool.enabled = false",
            );
        }
        if ingress.max_body.bytes() == 0 {
            self.add("ingress.max_body", "must be more than 0");
        }
        if config.nats.ack_timeout.get() + ANSWER_TIME > ingress.deadline.get() {
            self.add(
                "nats.ack_timeout",
                "must leave 250ms of ingress.deadline to answer in",
            );
        }
        if ingress.listen == config.admin.listen && ingress.listen.port() != 0 {
            self.add("admin.listen", "ingress.listen has the same address");
        }
        let jetstream = &config.jetstream;
        if jetstream.max_age.get() > Duration::ZERO && jetstream.duplicate_window > jetstream.max_age {
            self.add(
                "jetstream.duplicate_window",
                "must not be longer than jetstream.max_age",
            );
        }
        for (key, name) in [
            ("jetstream.stream", &jetstream.stream),
            ("jetstream.quarantine.stream", &jetstream.quarantine.stream),
        ] {
            if name.is_empty() || name.contains(['.', '*', '>', ' ', '\t', '/', '\\']) {
                self.add(
                    key,
                    "a stream's name is not empty and holds no '.', '*', '>', '/', '\\' or blank",
                );
            }
        }
        if config.delivery == Delivery::Jetstream && jetstream.stream == jetstream.quarantine.stream {
            self.add(
                "jetstream.quarantine.stream",
                "a flood of garbage would push events out of a shared stream",
            );
        }
    }
}

fn limits(config: &Config) -> Limits {
    let ingress = &config.ingress;
    let bytes = |size: super::ByteSize| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
    Limits {
        max_body: bytes(ingress.max_body),
        body_timeout: ingress.body_timeout.get(),
        deadline: ingress.deadline.get(),
        header_timeout: ingress.header_timeout.get(),
        max_connections: ingress.max_connections,
        max_in_flight: ingress.max_in_flight,
        max_headers: ingress.max_headers,
        max_header_bytes: bytes(ingress.max_header_bytes),
        parse: ci_bridge_schema::Limits {
            max_depth: ingress.max_depth,
            max_nodes: ingress.max_nodes,
            max_jobs: ingress.max_jobs,
        },
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
            Provision::Require => Missing::Wait,
        },
        in_memory: jetstream.storage == Storage::Memory,
        replicas: jetstream.replicas,
        duplicate_window: jetstream.duplicate_window.get(),
        max_age: jetstream.max_age.get(),
        max_bytes: limit(jetstream.max_bytes),
        // Full of events: refuse new ones, which the sender repeats, rather than drop what nobody has read.
        discard_new: true,
        domain: (!jetstream.domain.is_empty()).then(|| jetstream.domain.clone()),
    };
    let quarantine = StreamSpec {
        name: jetstream.quarantine.stream.clone(),
        subjects: jetstream.quarantine.subjects.clone(),
        max_age: jetstream.quarantine.max_age.get(),
        duplicate_window: jetstream
            .duplicate_window
            .get()
            .min(jetstream.quarantine.max_age.get()),
        max_bytes: limit(jetstream.quarantine.max_bytes),
        // Full of garbage: the newest is the most useful.
        discard_new: false,
        ..events.clone()
    };
    vec![events, quarantine]
}

/// Reads a secret from a file: its first line.
pub(super) fn secret_file(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    match text.lines().next().map(str::trim) {
        Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
        _ => Err(format!("{} is empty", path.display())),
    }
}
