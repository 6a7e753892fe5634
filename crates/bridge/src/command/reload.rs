//! Reloading: endpoints, rules, subjects and certificates of a changed configuration, all of them or none; and the
//! credentials for NATS.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ci_bridge_ingress::{
    Access, Ingress, Reload, Setting, Shown, ShownSettings, Tls, milliseconds_since_1970,
};
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
use crate::config::{self, Changes, Config, Overrides, Settings};
use crate::service_manager;

/// How often files are looked at: a token that was replaced is accepted this soon.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Where a configuration came from, so that it can be read again.
pub(crate) struct Source {
    pub(crate) file: Option<PathBuf>,
    pub(crate) overrides: Overrides,
    /// As it is in effect.
    pub(crate) config: Config,
    /// The same for people: keys, values without secrets, and who set them.
    pub(crate) report: Vec<(String, String, String)>,
    /// What the connection to NATS reads beside it.
    pub(crate) nats_files: Vec<PathBuf>,
    /// Among them, what it shows of itself.
    pub(crate) nats_tls: nats::Tls,
    /// Where requests for jobs are.
    pub(crate) await_prefix: Option<String>,
}

/// Reads the configuration again when told to (SIGHUP) or when a file of it has changed.
pub(crate) struct Reloader {
    source: Source,
    /// Its files, as they were when it was taken.
    taken: BTreeMap<PathBuf, Version>,
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
    /// What the admin listener's page shows.
    pub(crate) shown: Arc<Shown>,
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
        let hangup = signal(SignalKind::hangup())?;
        let taken = source.versions();
        replaces.shown.set_settings(source.settings());
        Ok(Self { source, taken, hangup, replaces, certificates, metrics })
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut seen = self.taken.clone();
        loop {
            self.look_at_certificates();
            let told = timeout(LOOK_INTERVAL, self.hangup.recv()).await.is_ok();
            let now = self.source.versions();
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
        let now = SystemTime::now();
        self.replaces.shown.set_certificates(self.certificates.shown_at(now));
        let found = self.certificates.look(now);
        self.replaces.publisher.report("certificates", found);
    }

    fn reload(&mut self) {
        let outcome = self.try_reload();
        match &outcome {
            Ok((changed, files)) if changed.is_empty() && files.is_empty() => {
                info!("configuration read again: nothing has changed");
            }
            Ok((changed, files)) => {
                let some = |text: &String| (!text.is_empty()).then(|| text.clone());
                info!(changed = some(changed), files = some(files), "configuration reloaded");
            }
            Err(why) => error!(why, "configuration not reloaded: the one before stays in effect"),
        }
        self.metrics.reloaded(outcome.is_ok());
        self.show(outcome);
    }

    /// Tells the page what became of a reload.
    fn show(&self, outcome: Result<(String, String), String>) {
        let time = milliseconds_since_1970(SystemTime::now());
        let shown = &self.replaces.shown;
        shown.set_settings(self.source.settings());
        shown.set_reload(match outcome {
            Ok((changed, files)) => {
                let parts = [changed, files].into_iter().filter(|part| !part.is_empty());
                let changed = parts.collect::<Vec<_>>().join("; ");
                Reload { time, applied: true, changed: (!changed.is_empty()).then_some(changed), why: None }
            }
            Err(why) => Reload { time, applied: false, changed: None, why: Some(why) },
        });
    }

    /// Returns what has changed: keys, and files that they name.
    fn try_reload(&mut self) -> Result<(String, String), String> {
        let loaded =
            config::load(self.source.file.as_deref(), &self.source.overrides).map_err(|e| e.to_string())?;
        let changes = Changes::between(&self.source.config, &loaded.config);
        let report = loaded.report();
        let settings = loaded.settings;
        if let Some(why) = self.refuses(&changes, &settings) {
            return Err(why);
        }
        let shown = Certificate::all(&settings);
        let Replaces { ingress, publisher, tls, access, .. } = &self.replaces;
        if let (Some(tls), Some(identity)) = (tls, settings.tls) {
            tls.replace(identity);
        }
        publisher.replace_routes(settings.publisher.patterns, settings.publisher.quarantine);
        ingress.replace_endpoints(settings.endpoints);
        access.replace_tokens(settings.admin_tokens);
        (self.source.config, self.source.report) = (loaded.config, report);
        self.certificates.replace(shown);
        Ok((changes.summary(), self.take_files()))
    }

    /// What only a restart can change, all of it.
    fn refuses(&self, changes: &Changes, new: &Settings) -> Option<String> {
        let fixed = (!changes.fixed.is_empty())
            .then(|| format!("{} can only change with a restart", changes.fixed.join(", ")));
        let tls = (self.replaces.tls.is_some() != new.tls.is_some()).then(|| {
            "TLS can be neither begun nor ended while it runs (ingress.tls): restart for that".to_owned()
        });
        // It follows from subjects as well, where nobody has set it.
        let prefix = new.await_prefix();
        let moves = changes.fixed.is_empty() && prefix != self.source.await_prefix;
        let moves = moves.then(|| {
            let prefix = prefix.unwrap_or_default();
            format!("requests for jobs would be at {prefix}, which can only change with a restart (jobs.await_prefix)")
        });
        let why: Vec<_> = fixed.into_iter().chain(tls).chain(moves).collect();
        (!why.is_empty()).then(|| why.join("; "))
    }

    /// The files that are others than before; of the configuration's own, its keys have told.
    fn take_files(&mut self) -> String {
        let now = self.source.versions();
        let is_another = |path: &&PathBuf| {
            self.source.file.as_ref() != Some(*path) && self.taken.get(*path) != now.get(*path)
        };
        let files: Vec<_> = now.keys().filter(is_another).map(|path| path.display().to_string()).collect();
        self.taken = now;
        files.join(", ")
    }
}

impl Source {
    /// For the page.
    fn settings(&self) -> ShownSettings {
        let setting = |(key, value, source): &(String, String, String)| Setting {
            key: key.clone(),
            value: value.clone(),
            source: source.clone(),
        };
        ShownSettings {
            file: self.file.as_ref().map(|file| file.display().to_string()),
            settings: self.report.iter().map(setting).collect(),
        }
    }

    fn versions(&self) -> BTreeMap<PathBuf, Version> {
        let ingress = &self.config.ingress;
        let tokens = ingress.endpoints.iter().map(|endpoint| &endpoint.tokens_file);
        let tls = [&ingress.tls.cert, &ingress.tls.key, &ingress.tls.client_ca];
        let tokens = tokens.chain([&self.config.admin.token_file]);
        let named = tokens.chain(tls).filter(|path| !path.as_os_str().is_empty());
        let files = named.chain(&self.nats_files).chain(&self.file);
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
