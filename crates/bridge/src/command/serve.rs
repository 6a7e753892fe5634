//! `ci-bridge serve`: load, build, spawn, drain.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ci_bridge_ingress::{Access, Admin, Ingress, Recent, Shown, Tls, serve_admin, serve_callbacks};
use ci_bridge_publisher::{Delivery, Publisher, Readiness, Tasks};
use ci_bridge_tencent::Client;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::StopSignals;
use super::reload::{Reloader, Replaces, Source};
use super::start_line::StartLine;
use super::{file_limit, private_files};
use crate::certificates::Certificate;
use crate::config::Settings;
use crate::failure::Failure;
use crate::process_metrics::ProcessMetrics;
use crate::reconcile::{Repeating, Repetition};
use crate::telemetry::{self, Exporting, Traces};
use crate::verification::Verification;
use crate::{instance, service_manager};

/// Of `drain_timeout`, what is left for NATS after the last answer.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// The same for the collector of traces, where there is one.
const FLUSH_TIME: Duration = Duration::from_secs(1);

pub(crate) fn run(settings: Settings, source: Source) -> Result<ExitCode, Failure> {
    let traces = telemetry::start_with_traces(&settings)?;
    warn_of_other_prefix(&settings);
    file_limit::raise(settings.limits.max_connections);
    private_files::from_now_on();
    runtime(settings.threads)?.block_on(async {
        let line = StartLine::of(&settings, source.file.as_deref());
        let bridge = Bridge::start(settings, Some(source), traces).await?;
        line.tell(&bridge.callbacks_url(), &bridge.admin_url(), bridge.publisher().spool());
        // Before the ready line: whoever waits for that may send a signal at once.
        let stop = terminated()?;
        announce(&bridge)?;
        service_manager::started();
        let _reporting = AbortOnDrop(tokio::spawn(service_manager::report(bridge.readiness())));
        bridge.run_until(stop).await;
        Ok(ExitCode::SUCCESS)
    })
}

/// With one thread, what is written to NATS while callbacks wait goes out together. With several, the client writes each
/// message by itself, and threads wake each other.
fn runtime(threads: usize) -> io::Result<Runtime> {
    match threads {
        0 | 1 => super::runtime(),
        several => Builder::new_multi_thread().worker_threads(several).enable_all().build(),
    }
}

/// A bridge that takes callbacks.
pub(crate) struct Bridge {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    callbacks: TcpListener,
    health: TcpListener,
    ingress: Arc<Ingress>,
    tls: Option<Arc<Tls>>,
    admin: Arc<Admin>,
    publisher: Publisher,
    shutdown_delay: Duration,
    drain_timeout: Duration,
    tasks: Tasks,
    reconciling: Option<Repeating>,
    exporting: Option<Exporting>,
    _reloading: Option<AbortOnDrop>,
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Bridge {
    /// Binds both listeners and starts towards NATS, which need not be there yet.
    /// With a `source`, it is reloaded when that changes; with `traces`, its spans are exported.
    pub(crate) async fn start(
        mut settings: Settings,
        source: Option<Source>,
        traces: Option<Traces>,
    ) -> io::Result<Self> {
        let shown = Certificate::all(&settings);
        let callbacks = bind(settings.listen, "ingress.listen").await?;
        if let Some(found) = &mut settings.publisher.micro {
            found.instance = instance::name();
            found.listen = callbacks.local_addr()?.to_string();
        }
        let health = bind(settings.admin_listen, "admin.listen").await?;
        if settings.publisher.delivery == Delivery::Core {
            warn!("delivery = \"core\": at most once; what no subscriber takes at this moment is gone");
        }
        let mut everything = Registry::default();
        everything.register_collector(Box::new(ProcessMetrics));
        let registry = everything.sub_registry_with_prefix("ci_bridge");
        registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        settings.publisher.traces = traces.as_ref().map(Traces::propagation);
        let exporting = traces.map(|traces| traces.start(registry)).transpose()?;
        let (streams, parse_limits) = (settings.publisher.streams.clone(), settings.limits.parse);
        let (publisher, tasks) = Publisher::start(settings.publisher, registry).await?;
        let client = Arc::new(Client::new(settings.tencent, parse_limits).map_err(io::Error::other)?);
        // Also where no endpoint verifies yet: a reload may change that.
        let verifier = Verification::new(
            Arc::clone(&client),
            settings.reconcile.buckets.clone(),
            settings.verify_time,
            parse_limits,
        );
        let ingress = Ingress::new(
            settings.endpoints,
            settings.limits,
            publisher.clone(),
            Some(Arc::new(verifier)),
            settings.admin_page.then(Arc::<Recent>::default),
            registry,
        )?;
        let ingress = Arc::new(ingress);
        let shown_to_people = Arc::<Shown>::default();
        let reconciling = match settings.reconcile.every {
            Some(every) => {
                let repetition = Repetition {
                    every,
                    shown: Arc::clone(&shown_to_people),
                    search: settings.reconcile,
                    client,
                    publisher: publisher.clone(),
                    ingress: Arc::clone(&ingress),
                    streams,
                    instance: instance::name(),
                };
                repetition.start(registry)
            }
            None => None,
        };
        let tls = settings.tls.map(|identity| Arc::new(Tls::new(identity)));
        let access = Access::new(settings.admin_listen, settings.admin_hosts, settings.admin_tokens);
        let access = Arc::new(access);
        let reloading = match source {
            Some(source) => {
                let replaces = Replaces {
                    ingress: Arc::clone(&ingress),
                    publisher: publisher.clone(),
                    tls: tls.clone(),
                    access: Arc::clone(&access),
                    shown: Arc::clone(&shown_to_people),
                };
                let reloader = Reloader::new(source, shown, replaces, registry)?;
                Some(AbortOnDrop(tokio::spawn(reloader.run())))
            }
            None => None,
        };
        Ok(Self {
            listen: callbacks.local_addr()?,
            admin_listen: health.local_addr()?,
            callbacks,
            health,
            admin: Arc::new(Admin::new(publisher.clone(), everything, access, &ingress, shown_to_people)),
            ingress,
            tls,
            publisher,
            shutdown_delay: settings.shutdown_delay,
            drain_timeout: settings.drain_timeout,
            tasks,
            reconciling,
            exporting,
            _reloading: reloading,
        })
    }

    pub(crate) fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(crate) fn callbacks_url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.listen)
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.admin_listen)
    }

    /// Whether callbacks can be taken now, and every change of that.
    pub(crate) fn readiness(&self) -> watch::Receiver<Readiness> {
        self.publisher.readiness()
    }

    /// Takes callbacks until `stop`, and for `shutdown_delay` more, then finishes what is in flight, within `drain_timeout`.
    pub(crate) async fn run_until(self, stop: impl Future<Output = ()>) {
        // Health checks are answered to the very end: they say that the bridge is going.
        let limits = self.ingress.limits().clone();
        let health =
            tokio::spawn(serve_admin(self.health, Arc::clone(&self.admin), limits, std::future::pending()));
        let (stopping, stopped) = oneshot::channel::<()>();
        let until_stopped = async move {
            let _ = stopped.await;
        };
        let callbacks =
            serve_callbacks(self.callbacks, Arc::clone(&self.ingress), self.tls.clone(), until_stopped);
        let mut callbacks = tokio::spawn(callbacks);
        stop.await;
        service_manager::stopping(self.shutdown_delay + self.drain_timeout);
        self.admin.drain();
        if !self.shutdown_delay.is_zero() {
            let seconds = self.shutdown_delay.as_secs_f64();
            info!(seconds, "stopping: not ready, and taking callbacks for ingress.shutdown_delay");
            tokio::time::sleep(self.shutdown_delay).await;
        }
        info!("stopping: finishing what is in flight");
        let _ = stopping.send(());
        let stop_reconciling = async {
            if let Some(reconciling) = self.reconciling {
                reconciling.stop().await;
            }
        };
        let for_traces = if self.exporting.is_some() { FLUSH_TIME } else { Duration::ZERO };
        let for_answers = self.drain_timeout.saturating_sub(CLOSE_TIME + for_traces);
        let (answered, ()) = tokio::join!(timeout(for_answers, &mut callbacks), stop_reconciling);
        if answered.is_err() {
            warn!("some requests were not answered within ingress.drain_timeout");
        }
        self.publisher.close(self.tasks, CLOSE_TIME).await;
        self.admin.end_events();
        if let Some(exporting) = self.exporting {
            exporting.flush(FLUSH_TIME).await;
        }
        health.abort();
        info!("stopped");
    }
}

async fn bind(address: SocketAddr, key: &str) -> io::Result<TcpListener> {
    let explain = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address} ({key}): {e}"));
    TcpListener::bind(address).await.map_err(explain)
}

/// Requests for jobs are not where everybody expects them.
fn warn_of_other_prefix(settings: &Settings) {
    if let (Some(jobs), Some((why, remedy))) = (&settings.publisher.jobs, settings.derived.other_prefix()) {
        warn!(prefix = jobs.prefix, why, remedy, "requests for jobs have another prefix than usual");
    }
}

/// The ready line: what a script waits for, with the real ports.
fn announce(bridge: &Bridge) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(
        stdout,
        "ci-bridge ready: callbacks on {}, admin on {}",
        bridge.callbacks_url(),
        bridge.admin_url()
    )?;
    stdout.flush()
}

/// SIGTERM or SIGINT; a second one ends the process at once.
fn terminated() -> io::Result<impl Future<Output = ()>> {
    let mut signals = StopSignals::listen()?;
    Ok(async move {
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            warn!("second signal: leaving at once");
            std::process::exit(130);
        });
    })
}
