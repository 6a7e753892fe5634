//! From messages to receipts: publish, wait for what makes them durable, never longer than allowed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::broker::{Broker, Readiness};
use crate::message::Message;
use crate::metrics::{MessageOutcome, Metrics};
use crate::monitor::Monitor;
use crate::nats::{Connection, Failure, Link, LinkEvent, StreamSpec};

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
    /// Handed to the server, which keeps nothing (core delivery).
    Sent,
}

/// Why a callback's messages are not all durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing durable takes them now: ask the sender to come again.
    #[error("{0}")]
    Later(Failure),
    /// One is larger than NATS takes, and always will be.
    #[error("{0}")]
    TooLarge(Failure),
}

/// Publishes messages over one connection, many in flight. Clones share it.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    delivery: Delivery,
    ack_timeout: Duration,
    retry_for: Duration,
    link: Arc<Link>,
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
}

/// The publisher's own tasks; they end when this is dropped.
#[derive(Debug)]
pub struct Tasks {
    _running: JoinSet<()>,
}

/// A short wait before the next attempt: an election takes seconds, a leader's answer milliseconds.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl Publisher {
    /// Starts publishing. NATS need not be there yet.
    ///
    /// # Errors
    ///
    /// When the configuration cannot lead to a connection, such as a credentials file that cannot be read.
    pub async fn start(config: Config, registry: &mut Registry) -> io::Result<(Self, Tasks)> {
        let metrics = Arc::new(Metrics::register(registry));
        let broker = Arc::new(Broker::new());
        let mut running = JoinSet::new();
        let (link, take_answers) = {
            let (broker, metrics) = (Arc::clone(&broker), Arc::clone(&metrics));
            Link::open(&config.connection, move |event| {
                on_link_event(&event, &broker, &metrics)
            })
            .await?
        };
        running.spawn(take_answers);
        let link = Arc::new(link);
        let monitor = Monitor {
            link: Arc::clone(&link),
            broker: Arc::clone(&broker),
            metrics: Arc::clone(&metrics),
            streams: if config.delivery == Delivery::Core {
                Vec::new()
            } else {
                config.streams
            },
            patterns: config.patterns,
        };
        running.spawn(monitor.run());
        let Config {
            delivery,
            ack_timeout,
            retry_for,
            ..
        } = config;
        let shared = Shared {
            delivery,
            ack_timeout,
            retry_for,
            link,
            broker,
            metrics,
        };
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            Tasks { _running: running },
        ))
    }

    /// Makes all of these messages durable, or says why not. When it fails, some may be stored all the same:
    /// publishing them again under the same ids stores only what is missing.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] says what the sender should be told.
    pub async fn publish(&self, messages: &[Message]) -> Result<Vec<Receipt>, Unavailable> {
        let deadline = Instant::now() + self.shared.retry_for;
        let results = match messages {
            [one] => vec![self.shared.make_durable(one, deadline).await],
            many => {
                join_all(
                    many.iter()
                        .map(|message| self.shared.make_durable(message, deadline)),
                )
                .await
            }
        };
        let failure = results.iter().filter_map(|result| result.as_ref().err());
        match failure.max_by_key(|failure| failure.is_permanent()) {
            Some(failure @ Failure::TooLarge(_)) => Err(Unavailable::TooLarge(failure.clone())),
            Some(failure) => Err(Unavailable::Later(failure.clone())),
            None => Ok(results.into_iter().flatten().collect()),
        }
    }

    /// Whether callbacks can be taken now, and every change of that.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.shared.broker.readiness.subscribe()
    }

    /// Lets what was sent reach the server. Every publish must have its receipt by now: async-nats would drop what
    /// is unacknowledged.
    pub async fn close(&self, within: Duration) {
        let closing = async {
            let _ = self.shared.link.round_trip().await;
            let _ = self.shared.link.client().drain().await;
        };
        if timeout(within, closing).await.is_err() {
            warn!("NATS did not answer at shutdown; nothing that was acknowledged is lost");
        }
    }
}

impl Shared {
    async fn make_durable(&self, message: &Message, deadline: Instant) -> Result<Receipt, Failure> {
        loop {
            let result = self.attempt(message).await;
            let failure = match result {
                Ok(receipt) => {
                    self.count(message, &receipt);
                    return Ok(receipt);
                }
                Err(failure) => failure,
            };
            debug!(subject = %message.subject, id = %message.id, %failure, "publish failed");
            if failure.is_permanent() || Instant::now() + RETRY_INTERVAL >= deadline {
                self.metrics.message(message.kind, MessageOutcome::Unavailable);
                return Err(failure);
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    async fn attempt(&self, message: &Message) -> Result<Receipt, Failure> {
        let started = std::time::Instant::now();
        if self
            .broker
            .unresponsive_for()
            .is_some_and(|silence| silence > self.ack_timeout)
        {
            return Err(Failure::Unanswered);
        }
        let publishing = async {
            match self.delivery {
                Delivery::Jetstream => self.publish_to_stream(message).await,
                Delivery::Core => self.publish_core(message).await,
            }
        };
        let result = timeout(self.ack_timeout, publishing)
            .await
            .unwrap_or(Err(Failure::Unanswered));
        match &result {
            Ok(_) => {
                self.metrics
                    .acknowledgement
                    .observe(started.elapsed().as_secs_f64());
                self.broker.acknowledged();
            }
            Err(failure) => self.broker.failed(started, failure),
        }
        result
    }

    async fn publish_to_stream(&self, message: &Message) -> Result<Receipt, Failure> {
        let stored = self.link.publish(message).await?;
        Ok(Receipt::Stored {
            stream: stored.stream,
            sequence: stored.sequence,
            duplicate: stored.duplicate,
        })
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
            broker.changed.notify_one();
        }
        LinkEvent::LameDuck => info!("the NATS server is about to go"),
        LinkEvent::Complaint(complaint) => {
            debug!(complaint, "NATS complains");
            broker.complained(complaint.clone());
        }
    }
}
