//! Reloading: endpoints, rules, subjects and certificates of a changed configuration, all of them or none; and the
//! credentials for NATS.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ci_bridge_ingress::{Access, Ingress, Tls};
use ci_bridge_publisher::{Publisher, nats};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{error, info};

use crate::certificates::{self, Certificate};
use crate::config::{self, Config, Overrides};
use crate::service_manager;

/// How often files are looked at: a token that was replaced is accepted this soon.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Where a configuration came from, so that it can be read again.
pub(crate) struct Source {
    pub(crate) file: Option<PathBuf>,
    pub(crate) overrides: Overrides,
    /// As it is in effect.
    pub(crate) config: Config,
    /// What the connection to NATS reads beside it.
    pub(crate) nats_files: Vec<PathBuf>,
    /// Among them, what it shows of itself.
    pub(crate) nats_tls: nats::Tls,
}

/// Reads the configuration again when told to (SIGHUP) or when a file of it has changed.
pub(crate) struct Reloader {
    source: Source,
    hangup: Signal,
    replaces: Replaces,
    certificates: certificates::Watched,
    metrics: Metrics,
}

/// What Prometheus counts of its own configuration, under the same names.
struct Metrics {
    reloads: Family<Outcome, Counter>,
    generation: Gauge,
    was_successful: Gauge,
    succeeded_at: Gauge,
}

/// Whom a reload tells.
pub(crate) struct Replaces {
    pub(crate) ingress: Arc<Ingress>,
    pub(crate) publisher: Publisher,
    pub(crate) tls: Option<Arc<Tls>>,
    /// Who may use the admin listener's API.
    pub(crate) access: Arc<Access>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What tells one version of a file from the next; `None` when it is not there.
type Version = Option<(SystemTime, u64)>;

impl Reloader {
    /// The configuration that `source` names is in effect, and `shown` are its certificates.
    pub(crate) fn new(
        source: Source,
        shown: Vec<Certificate>,
        replaces: Replaces,
        registry: &mut Registry,
    ) -> std::io::Result<Self> {
        let mut certificates = certificates::Watched::new(registry);
        certificates.replace(shown);
        let metrics = Metrics::register(registry);
        Ok(Self { source, hangup: signal(SignalKind::hangup())?, replaces, certificates, metrics })
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut seen = self.versions();
        loop {
            self.look_at_certificates();
            let told = timeout(LOOK_INTERVAL, self.hangup.recv()).await.is_ok();
            let now = self.versions();
            if told || now != seen {
                seen = now;
                service_manager::reloading();
                self.reload();
                // Whatever became of the rest: credentials that were replaced are soon worth nothing.
                self.replaces.publisher.renew_credentials().await;
                self.certificates.renew_for_nats(Certificate::for_nats(&self.source.nats_tls));
                service_manager::started();
            }
        }
    }

    fn look_at_certificates(&mut self) {
        let found = self.certificates.look(SystemTime::now());
        self.replaces.publisher.report("certificates", found);
    }

    fn reload(&mut self) {
        let outcome = self.try_reload();
        match &outcome {
            Ok(()) => info!("configuration reloaded: endpoints, rules, subjects, certificates"),
            Err(why) => error!(why, "configuration not reloaded: the one before stays in effect"),
        }
        self.metrics.reloaded(outcome.is_ok());
    }

    fn try_reload(&mut self) -> Result<(), String> {
        let loaded =
            config::load(self.source.file.as_deref(), &self.source.overrides).map_err(|e| e.to_string())?;
        if loaded.config.fixed_at_start() != self.source.config.fixed_at_start() {
            return Err(
                "only endpoints, rules, subjects, messages.format and the files of TLS can change while it runs; restart for the rest"
                    .to_owned(),
            );
        }
        let settings = loaded.settings;
        let shown = Certificate::all(&settings);
        let Replaces { ingress, publisher, tls, access } = &self.replaces;
        match (tls, settings.tls) {
            (Some(tls), Some(identity)) => tls.replace(identity),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                return Err(
                    "TLS can be neither begun nor ended while it runs (ingress.tls); restart for that"
                        .to_owned(),
                );
            }
        }
        publisher.replace_routes(settings.publisher.patterns, settings.publisher.quarantine);
        ingress.replace_endpoints(settings.endpoints);
        access.replace_tokens(settings.admin_tokens);
        self.source.config = loaded.config;
        self.certificates.replace(shown);
        Ok(())
    }

    fn versions(&self) -> BTreeMap<PathBuf, Version> {
        let ingress = &self.source.config.ingress;
        let tokens = ingress.endpoints.iter().map(|endpoint| &endpoint.tokens_file);
        let tls = [&ingress.tls.cert, &ingress.tls.key, &ingress.tls.client_ca];
        let tokens = tokens.chain([&self.source.config.admin.token_file]);
        let named = tokens.chain(tls).filter(|path| !path.as_os_str().is_empty());
        let files = named.chain(&self.source.nats_files).chain(&self.source.file);
        let version = |path: &PathBuf| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        files.map(|path| (path.clone(), version(path))).collect()
    }
}

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reloads: Family::default(),
            generation: Gauge::default(),
            was_successful: Gauge::default(),
            succeeded_at: Gauge::default(),
        };
        registry.register("reloads", "Times the configuration was read again", metrics.reloads.clone());
        let text =
            "Which configuration is in effect: 1 is that of the start, each reload that is applied adds 1";
        registry.register("config_generation", text, metrics.generation.clone());
        let text = "1 unless the last reload was refused, and the configuration before stays in effect";
        registry.register("config_last_reload_successful", text, metrics.was_successful.clone());
        let text = "When the configuration in effect was taken, in Unix time";
        let name = "config_last_reload_success_timestamp";
        registry.register_with_unit(name, text, Unit::Seconds, metrics.succeeded_at.clone());
        metrics.is_in_effect();
        metrics
    }

    fn reloaded(&self, is_applied: bool) {
        let outcome = if is_applied { "applied" } else { "refused" };
        self.reloads.get_or_create(&Outcome { outcome }).inc();
        match is_applied {
            true => self.is_in_effect(),
            false => {
                self.was_successful.set(0);
            }
        }
    }

    fn is_in_effect(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.generation.inc();
        self.was_successful.set(1);
        self.succeeded_at.set(i64::try_from(now).unwrap_or(i64::MAX));
    }
}
