//! From messages to receipts: publish, wait for what makes them durable, never longer than allowed.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::broker::{Broker, Readiness};
use crate::delivery::Shared;
use crate::drain;
use crate::message::Message;
use crate::metrics::{self, MessageOutcome, Metrics};
use crate::monitor::Monitor;
use crate::nats::{self, Connection, Failure, Link, LinkEvent, StreamSpec};
use crate::route::Router;
use crate::spool::{self, Spool};

/// How the publisher works.
#[derive(Debug, Clone)]
pub struct Config {
    /// What an answer of 200 promises.
    pub delivery: Delivery,
    /// How long one publish may wait for its acknowledgement.
    pub ack_timeout: Duration,
    /// How long a callback may be tried again while the broker comes back or elects a leader.
    pub retry_for: Duration,
    /// The connection to NATS.
    pub connection: Connection,
    /// The streams that must be there. Not looked at in core delivery.
    pub streams: Vec<StreamSpec>,
    /// Every pattern of subjects that may be published to, with its stream.
    pub patterns: Vec<(String, String)>,
    /// Where messages wait while NATS is away; `None` lets the sender wait instead. Not used in core delivery.
    pub spool: Option<spool::Settings>,
    /// Knows where refused messages go.
    pub quarantine: Router,
    /// Whether `nats micro ls` finds the bridge.
    pub micro: bool,
}

/// What an answer of 200 promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// JetStream has stored the message.
    #[default]
    Jetstream,
    /// The server has received the message, and passed it on to whoever subscribed: at most once.
    Core,
}

/// What became of a message that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// In a stream.
    Stored {
        /// The stream.
        stream: Arc<str>,
        /// Its sequence there.
        sequence: u64,
        /// The stream had it before, from an earlier delivery of the same callback.
        duplicate: bool,
    },
    /// On disk, fsynced; it is published under the same id as soon as NATS takes it.
    Spooled,
    /// Handed to the server, which keeps nothing (core delivery).
    Sent,
}

/// Why a callback's messages are not all durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing durable takes them now: ask the sender to come again.
    #[error("{0}")]
    Later(String),
    /// One is larger than NATS takes, and always will be.
    #[error("{0}")]
    TooLarge(Failure),
}

/// Publishes messages over one connection, many in flight. Clones share it.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

/// The publisher's own tasks; they end when this is dropped.
#[derive(Debug)]
pub struct Tasks {
    running: JoinSet<()>,
}

impl Publisher {
    /// Starts publishing. NATS need not be there yet.
    ///
    /// # Errors
    ///
    /// When the configuration cannot lead to a connection, such as a credentials file that cannot be read, or the
    /// spool's folder cannot be used.
    pub async fn start(config: Config, registry: &mut Registry) -> io::Result<(Self, Tasks)> {
        let metrics = Arc::new(Metrics::register(registry));
        let broker = Arc::new(Broker::new(config.patterns));
        let mut running = JoinSet::new();
        let (link, take_answers) = {
            let (broker, metrics) = (Arc::clone(&broker), Arc::clone(&metrics));
            Link::open(&config.connection, move |event| {
                on_link_event(&event, &broker, &metrics);
            })
            .await?
        };
        running.spawn(take_answers);
        let link = Arc::new(link);
        // While the connection is being made: both take some milliseconds of waiting.
        let spool = match &config.spool {
            Some(settings) if config.delivery == Delivery::Jetstream => {
                let spool = Spool::open(settings).map_err(io::Error::other)?;
                metrics::register_spool(registry, &spool);
                Some(spool)
            }
            _ => None,
        };
        let monitor = Monitor {
            link: Arc::clone(&link),
            broker: Arc::clone(&broker),
            metrics: Arc::clone(&metrics),
            servers: config.connection.servers_without_credentials(),
            streams: if config.delivery == Delivery::Core { Vec::new() } else { config.streams },
            spool: spool.clone(),
        };
        running.spawn(monitor.run());
        if config.micro {
            running.spawn(nats::be_found(link.client().clone()));
        }
        let Config { delivery, ack_timeout, retry_for, quarantine, .. } = config;
        let quarantine = RwLock::new(Arc::new(quarantine));
        let shared = Shared { delivery, ack_timeout, retry_for, link, broker, metrics, spool, quarantine };
        let shared = Arc::new(shared);
        if let Some(spool) = shared.spool.clone() {
            running.spawn(drain::run(Arc::clone(&shared), spool));
        }
        Ok((Self { shared }, Tasks { running }))
    }

    /// Makes all of these messages durable, or says why not: in a stream if NATS takes them in time, else in the
    /// spool. When it fails, some may be stored all the same: publishing them again under the same ids stores only
    /// what is missing.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] says what the sender should be told.
    pub async fn publish(&self, messages: &[Message]) -> Result<Vec<Receipt>, Unavailable> {
        let shared = &self.shared;
        let deadline = Instant::now() + shared.retry_for;
        let results = match messages {
            [one] => vec![shared.store(one, deadline).await],
            many => join_all(many.iter().map(|message| shared.store(message, deadline))).await,
        };
        let result = shared.settle(messages, results).await;
        match &result {
            Ok(receipts) => {
                for (message, receipt) in messages.iter().zip(receipts) {
                    shared.count(message, receipt);
                }
            }
            Err(_) => {
                for message in messages {
                    shared.metrics.message(message.kind, MessageOutcome::Unavailable);
                }
            }
        }
        result
    }

    /// Whether callbacks can be taken now, and every change of that.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.shared.broker.readiness.subscribe()
    }

    /// Takes new routes into account: what readiness checks, and where refused messages go.
    pub fn replace_routes(&self, patterns: Vec<(String, String)>, quarantine: Router) {
        self.shared.broker.set_patterns(patterns);
        *self.shared.quarantine.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(quarantine);
    }

    /// Messages that wait in the spool.
    #[must_use]
    pub fn spooled(&self) -> u64 {
        self.shared.spool.as_ref().map_or(0, Spool::len)
    }

    /// The largest message that NATS takes, in bytes, headers included.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.shared.link.client().max_payload()
    }

    /// Lets what was sent reach the server, and closes the spool. Every publish must have its receipt by now:
    /// async-nats would drop what is unacknowledged.
    pub async fn close(&self, mut tasks: Tasks, within: Duration) {
        // The drain first: what it has not had acknowledged stays in the spool.
        tasks.running.shutdown().await;
        let closing = async {
            if let Some(spool) = &self.shared.spool {
                spool.close().await;
            }
            if self.shared.link.is_connected() {
                let _ = self.shared.link.client().flush().await;
                let _ = self.shared.link.client().drain().await;
            }
        };
        if timeout(within, closing).await.is_err() {
            warn!(
                "NATS or the spool's disk did not answer at shutdown; nothing that was answered 200 is lost"
            );
        }
    }
}

fn on_link_event(event: &LinkEvent, broker: &Broker, metrics: &Metrics) {
    match event {
        LinkEvent::Connected => {
            info!("connected to NATS");
            metrics.connections.inc();
            broker.connected();
        }
        LinkEvent::Disconnected => {
            warn!("connection to NATS lost; reconnecting for ever");
            broker.disconnected();
        }
        LinkEvent::LameDuck => {
            info!("the NATS server is about to go");
            broker.lame_duck();
        }
        LinkEvent::Complaint(complaint) => {
            match complaint.contains("ermissions") {
                // A publish that is not allowed looks like one that is not answered: this is the only trace of it.
                true => warn!(complaint, "NATS forbids something: compare the user's permissions"),
                false => debug!(complaint, "NATS complains"),
            }
            broker.complained(complaint.clone());
        }
    }
}
