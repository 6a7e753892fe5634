//! Reloading: endpoints, rules, subjects and certificates of a changed configuration, all of them or none; and the
//! credentials for NATS.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ci_bridge_ingress::{Access, Ingress, Tls};
use ci_bridge_publisher::Publisher;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{error, info};

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
}

/// Reads the configuration again when told to (SIGHUP) or when a file of it has changed.
pub(crate) struct Reloader {
    source: Source,
    hangup: Signal,
    replaces: Replaces,
    reloads: Family<Outcome, Counter>,
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
    pub(crate) fn new(source: Source, replaces: Replaces, registry: &mut Registry) -> std::io::Result<Self> {
        let reloads = Family::default();
        registry.register("reloads", "Times the configuration was read again", reloads.clone());
        Ok(Self { source, hangup: signal(SignalKind::hangup())?, replaces, reloads })
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut seen = self.versions();
        loop {
            let told = timeout(LOOK_INTERVAL, self.hangup.recv()).await.is_ok();
            let now = self.versions();
            if told || now != seen {
                seen = now;
                service_manager::reloading();
                self.reload();
                // Whatever became of the rest: credentials that were replaced are soon worth nothing.
                self.replaces.publisher.renew_credentials().await;
                service_manager::started();
            }
        }
    }

    fn reload(&mut self) {
        let outcome = match self.try_reload() {
            Ok(()) => {
                info!("configuration reloaded: endpoints, rules, subjects, certificates");
                "applied"
            }
            Err(why) => {
                error!(why, "configuration not reloaded: the one before stays in effect");
                "refused"
            }
        };
        self.reloads.get_or_create(&Outcome { outcome }).inc();
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
