//! From messages to receipts: publish, wait for what makes them durable, never longer than allowed.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::broker::{Broker, Readiness};
use crate::drain;
use crate::message::Message;
use crate::metrics::{self, MessageOutcome, Metrics};
use crate::monitor::Monitor;
use crate::nats::{Connection, Failure, Link, LinkEvent, StreamSpec};
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
        stream: String,
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

pub(crate) struct Shared {
    delivery: Delivery,
    ack_timeout: Duration,
    retry_for: Duration,
    link: Arc<Link>,
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
    spool: Option<Spool>,
    quarantine: RwLock<Arc<Router>>,
}

/// The publisher's own tasks; they end when this is dropped.
#[derive(Debug)]
pub struct Tasks {
    running: JoinSet<()>,
}

/// A short wait before the next attempt: an election takes seconds, a leader's answer milliseconds.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl Publisher {
    /// Starts publishing. NATS need not be there yet.
    ///
    /// # Errors
    ///
    /// When the configuration cannot lead to a connection, such as a credentials file that cannot be read, or the
    /// spool's folder cannot be used.
    pub async fn start(config: Config, registry: &mut Registry) -> io::Result<(Self, Tasks)> {
        let metrics = Arc::new(Metrics::register(registry));
        let spool = match &config.spool {
            Some(settings) if config.delivery == Delivery::Jetstream => {
                let spool = Spool::open(settings).map_err(io::Error::other)?;
                metrics::register_spool(registry, &spool);
                Some(spool)
            }
            _ => None,
        };
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
        let monitor = Monitor {
            link: Arc::clone(&link),
            broker: Arc::clone(&broker),
            metrics: Arc::clone(&metrics),
            servers: config.connection.servers_without_credentials(),
            streams: if config.delivery == Delivery::Core { Vec::new() } else { config.streams },
            spool: spool.clone(),
        };
        running.spawn(monitor.run());
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

impl Shared {
    /// Publishes one message; without a spool to fall back to, again and again until the deadline.
    async fn store(&self, message: &Message, deadline: Instant) -> Result<Receipt, Failure> {
        loop {
            let result = match self.is_away() {
                // Whoever finds out that it is back is the monitor or the drain.
                true => Err(self.link.too_large(message).unwrap_or(Failure::Away)),
                false => self.attempt(message).await,
            };
            let failure = match result {
                Ok(receipt) => return Ok(receipt),
                Err(failure) => failure,
            };
            debug!(subject = %message.subject, id = %message.id, %failure, "publish failed");
            let again =
                self.spool.is_none() && !failure.is_permanent() && self.broker.away_for() < self.retry_for;
            if !again || Instant::now() + RETRY_INTERVAL >= deadline {
                return Err(failure);
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// Puts into the spool what no stream took.
    async fn settle(
        &self,
        messages: &[Message],
        results: Vec<Result<Receipt, Failure>>,
    ) -> Result<Vec<Receipt>, Unavailable> {
        let failed = messages
            .iter()
            .zip(&results)
            .filter_map(|(message, result)| Some((message, result.as_ref().err()?)));
        let (too_large, waiting): (Vec<_>, Vec<_>) =
            failed.partition(|(_, failure)| matches!(failure, Failure::TooLarge(_)));
        // What only has to wait is made durable first: that another is too large must not cost it.
        if let Some((_, why)) = waiting.first() {
            let Some(spool) = &self.spool else { return Err(Unavailable::Later(why.to_string())) };
            let waiting: Vec<_> = waiting.iter().map(|(message, _)| *message).collect();
            let refused = |error| Unavailable::Later(format!("{why}, and {error}"));
            spool.append(&waiting).await.map_err(refused)?;
        }
        if let Some((_, why)) = too_large.first() {
            return Err(Unavailable::TooLarge((*why).clone()));
        }
        Ok(results.into_iter().map(|result| result.unwrap_or(Receipt::Spooled)).collect())
    }

    /// Knows where refused messages go.
    pub(crate) fn quarantine(&self) -> Arc<Router> {
        Arc::clone(&self.quarantine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether callbacks should not wait for NATS: it is known to be away.
    pub(crate) fn is_away(&self) -> bool {
        !self.link.is_connected() || self.broker.unresponsive_for().is_some()
    }

    /// Whether it makes sense to try a publish: at least the connection stands.
    pub(crate) fn may_probe(&self) -> bool {
        self.link.is_connected()
    }

    /// Publishes one message once. Says what it saw to the broker's record.
    pub(crate) async fn attempt(&self, message: &Message) -> Result<Receipt, Failure> {
        let started = std::time::Instant::now();
        let publishing = async {
            match self.delivery {
                Delivery::Jetstream => self.publish_to_stream(message).await,
                Delivery::Core => self.publish_core(message).await,
            }
        };
        let result = timeout(self.ack_timeout, publishing).await.unwrap_or(Err(Failure::Unanswered));
        match &result {
            Ok(_) => {
                self.metrics.acknowledgement.observe(started.elapsed().as_secs_f64());
                self.broker.acknowledged();
            }
            Err(failure) => self.broker.failed(started, failure),
        }
        result
    }

    /// Counts a message that has left the spool for its stream.
    pub(crate) fn drained(&self, message: &Message, receipt: &Receipt) {
        self.metrics.drained.inc();
        self.count(message, receipt);
    }

    /// A message that has waited longer than its stream remembers ids may be stored twice, if its first publish was
    /// not lost after all.
    pub(crate) fn warn_of_short_window(&self, age: Duration) {
        if let Some((stream, window)) = self.broker.shortest_duplicate_window()
            && age > window
        {
            warn!(
                stream,
                duplicate_window_seconds = window.as_secs(),
                oldest_seconds = age.as_secs(),
                "messages waited longer than the stream remembers ids: some may be stored twice; raise duplicate_window"
            );
        }
    }

    async fn publish_to_stream(&self, message: &Message) -> Result<Receipt, Failure> {
        let stored = self.link.publish(message).await?;
        Ok(Receipt::Stored { stream: stored.stream, sequence: stored.sequence, duplicate: stored.duplicate })
    }

    async fn publish_core(&self, message: &Message) -> Result<Receipt, Failure> {
        self.link.publish_core(message).await?;
        self.link.round_trip().await?;
        Ok(Receipt::Sent)
    }

    fn count(&self, message: &Message, receipt: &Receipt) {
        let outcome = match receipt {
            Receipt::Stored { duplicate: true, .. } => MessageOutcome::Duplicate,
            Receipt::Stored { .. } | Receipt::Sent => MessageOutcome::Published,
            Receipt::Spooled => MessageOutcome::Spooled,
        };
        self.metrics.message(message.kind, outcome);
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
