//! From messages to receipts: publish, wait for what makes them durable, never longer than allowed.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{Span, info, warn};

use crate::delivery::Shared;
use crate::drain;
use crate::health::Health;
use crate::link_events;
use crate::message::Message;
use crate::metrics::{self, MessageOutcome, Metrics};
use crate::monitor::{LargeWatch, Monitor, Watched};
use crate::nats::{
    self, Await, Connection, ExpectStream, Instance, Link, LinkSettings, ObjectStore, StreamSpec, Waiting,
};
use crate::outage::Outage;
use crate::patterns::Patterns;
use crate::readiness::{Check, Readiness};
use crate::receipt::{Delivery, Receipt, Unavailable};
use crate::route::{Dropped, Router};
use crate::spans::Outgoing;
use crate::spool::{self, Spool};
use crate::trace::Propagation;
use crate::watch::StreamWatch;

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
    /// Where messages go that are larger than NATS takes; `None` refuses them. Not used in core delivery.
    pub large: Option<Large>,
    /// Whether the streams are looked at, and created when missing. An account that imports a stream may publish to it
    /// without the right to look.
    pub look_at_streams: bool,
    /// The JetStream domain that acknowledgements must name; `None` takes any.
    pub domain: Option<String>,
    /// Whether each publish names the stream that must take it.
    pub expect_stream: ExpectStream,
    /// Every pattern of subjects that may be published to, with its stream.
    pub patterns: Vec<(String, String)>,
    /// Where messages wait while NATS is away; `None` lets the sender wait instead. Not used in core delivery.
    pub spool: Option<spool::Settings>,
    /// Knows where refused messages go.
    pub quarantine: Router,
    /// What `nats micro ls` finds; `None` when it finds nothing.
    pub micro: Option<Instance>,
    /// Who may wait for jobs; `None` when nobody may. A part of the micro service, and not there without it.
    pub jobs: Option<Await>,
    /// Who exports spans; `None` when nobody does.
    pub traces: Option<Arc<dyn Propagation>>,
}

/// An object store for messages that are larger than NATS takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Large {
    /// The bucket's name.
    pub bucket: String,
    /// The bucket's stream, `OBJ_<bucket>`: made when it is first needed.
    pub stream: StreamSpec,
}

/// Publishes messages over one connection, many in flight. Clones share it.
#[derive(Clone)]
pub struct Publisher {
    pub(crate) shared: Arc<Shared>,
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
        let patterns = Patterns::new(config.patterns);
        let health = Arc::new(Health::new(patterns.clone(), config.ack_timeout));
        let own = config.streams.iter().flat_map(|stream| stream.subjects.clone()).collect();
        let waiting = config
            .jobs
            .filter(|_| config.micro.is_some() && config.delivery == Delivery::Jetstream)
            .map(|settings| Arc::new(Waiting::new(settings, own, patterns, registry)));
        let mut running = JoinSet::new();
        let settings = LinkSettings {
            domain: config.domain.as_deref().map(Into::into),
            expect_stream: config.expect_stream,
        };
        let (link, take_answers) = {
            let (health, metrics, waiting) = (Arc::clone(&health), Arc::clone(&metrics), waiting.clone());
            Link::open(&config.connection, settings, move |event| {
                link_events::take(event, waiting.as_deref(), &health, &metrics);
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
        if config.delivery == Delivery::Jetstream && config.look_at_streams {
            health.await_look(config.streams.iter().map(|stream| stream.name.as_str()));
        }
        let mut streams = match config.delivery {
            Delivery::Jetstream => config.streams.clone(),
            Delivery::Core => Vec::new(),
        };
        let large = config.large.filter(|_| config.delivery == Delivery::Jetstream);
        let large = large.map(|Large { bucket, stream }| {
            Arc::new(ObjectStore::new(bucket, stream, config.look_at_streams))
        });
        streams.extend(large.as_ref().map(|store| store.watched()));
        let monitor = Monitor {
            link: Arc::clone(&link),
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
            servers: config.connection.servers_without_credentials(),
            watched: match config.delivery {
                Delivery::Core => Watched::RoundTrip,
                Delivery::Jetstream if !config.look_at_streams => Watched::Nothing,
                Delivery::Jetstream => {
                    Watched::Streams(config.streams.into_iter().map(StreamWatch::new).collect())
                }
            },
            quarantine: Arc::clone(config.quarantine.quarantine_stream()),
            spool: spool.clone(),
            outage: Outage::starting(std::time::Instant::now()),
            large: large.as_ref().map(|store| LargeWatch::new(store, config.look_at_streams)),
        };
        running.spawn(monitor.run());
        if let Some(instance) = config.micro {
            running.spawn(nats::register_service(Arc::clone(&link), instance, waiting.clone()));
        }
        if let Some(store) = large.clone() {
            let link = Arc::clone(&link);
            running.spawn(async move { store.tidy(&link).await });
        }
        let Config { delivery, ack_timeout, retry_for, quarantine, traces, .. } = config;
        let quarantine_stream = Arc::clone(quarantine.quarantine_stream());
        let quarantine = RwLock::new(Arc::new(quarantine));
        let shared = Shared {
            delivery,
            ack_timeout,
            retry_for,
            link,
            health,
            metrics,
            spool,
            large,
            quarantine,
            streams,
            quarantine_stream,
            waiting,
            traces,
        };
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
        match &self.shared.traces {
            None => self.publish_within(messages, &[]).await,
            Some(propagation) => {
                let Outgoing { messages, spans } = Outgoing::begin(&**propagation, messages);
                Box::pin(self.publish_within(&messages, &spans)).await
            }
        }
    }

    /// The first of the messages may have spans.
    async fn publish_within(
        &self,
        messages: &[Message],
        spans: &[Span],
    ) -> Result<Vec<Receipt>, Unavailable> {
        let shared = &self.shared;
        let deadline = Instant::now() + shared.retry_for;
        let results = match messages {
            [one] => vec![shared.store_within(one, spans.first(), deadline).await],
            many => shared.store_all(many, spans, deadline).await,
        };
        let result = shared.fall_back_to_spool(messages, results).await;
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

    /// Who exports spans, if anybody does.
    #[must_use]
    pub fn traces(&self) -> Option<&dyn Propagation> {
        self.shared.traces.as_deref()
    }

    /// Counts a message that a rule keeps from being published.
    pub fn dropped(&self, dropped: &Dropped) {
        self.shared.metrics.message(dropped.kind, MessageOutcome::Dropped);
    }

    /// Whether callbacks can be taken now, and every change of that.
    #[must_use]
    pub fn readiness(&self) -> watch::Receiver<Readiness> {
        self.shared.health.readiness.subscribe()
    }

    /// Makes a check of somebody else part of readiness, under a name of [`Check::NAMES`], or takes it out again.
    pub fn report(&self, name: &'static str, found: Option<Check>) {
        self.shared.health.set_outside(name, found);
    }

    /// Whether a stream really takes writes: writes a message that no consumer wants, and deletes it.
    pub async fn try_write(&self, stream: &StreamSpec) -> nats::WriteCheck {
        stream.try_write(&self.shared.link).await
    }

    /// The streams that would answer requests for jobs before the bridge can.
    ///
    /// # Errors
    ///
    /// It cannot be told; the reason is a sentence.
    pub async fn takers(&self, jobs: &Await) -> Result<Vec<nats::Taker>, String> {
        nats::takers(&self.shared.link, jobs).await
    }

    /// Takes new routes into account: what readiness checks, and where refused messages go.
    pub fn replace_routes(&self, patterns: Vec<(String, String)>, quarantine: Router) {
        self.shared.health.set_patterns(patterns);
        *self.shared.quarantine.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(quarantine);
    }

    /// What an answer of 200 promises.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.shared.delivery
    }

    /// Messages that wait in the spool.
    #[must_use]
    pub fn spooled(&self) -> u64 {
        self.shared.spool.as_ref().map_or(0, Spool::len)
    }

    /// The spool, where there is one.
    #[must_use]
    pub fn spool(&self) -> Option<&Spool> {
        self.shared.spool.as_ref()
    }

    /// The largest message that NATS takes, in bytes, headers included.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.shared.link.max_payload()
    }

    /// Connects anew if the files of credentials have changed since the last connect.
    pub async fn renew_credentials(&self) {
        if self.shared.link.renew_credentials().await {
            info!("the files of NATS credentials have changed: connecting with what they hold now");
        }
    }

    /// Lets what was sent reach the server, and closes the spool. Every publish must have its receipt by now:
    /// async-nats would drop what is unacknowledged.
    pub async fn close(&self, mut tasks: Tasks, within: Duration) {
        if let Some(waiting) = &self.shared.waiting {
            waiting.stop().await;
        }
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
