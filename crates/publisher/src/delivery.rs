//! How one message becomes durable: NATS first, the spool when NATS does not take it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Span, debug, warn};

use crate::health::{Attempt, Health};
use crate::message::Message;
use crate::metrics::{MessageOutcome, Metrics};
use crate::nats::{Failure, Link, Object, ObjectStore, Scope, Stored, StreamSpec, Waiting};
use crate::receipt::{Delivery, Receipt, Unavailable};
use crate::route::Router;
use crate::spans;
use crate::spool::Spool;
use crate::trace::Propagation;

/// What publishing callbacks and draining the spool have in common.
pub(crate) struct Shared {
    pub(crate) delivery: Delivery,
    pub(crate) ack_timeout: Duration,
    pub(crate) retry_for: Duration,
    pub(crate) link: Arc<Link>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) spool: Option<Spool>,
    /// Where messages go that are larger than NATS takes; `None` refuses them.
    pub(crate) large: Option<Arc<ObjectStore>>,
    pub(crate) quarantine: RwLock<Arc<Router>>,
    /// Those of the configuration, and that of large messages.
    pub(crate) streams: Vec<StreamSpec>,
    pub(crate) quarantine_stream: Arc<str>,
    /// Who waits for jobs.
    pub(crate) waiting: Option<Arc<Waiting>>,
    /// Who exports spans.
    pub(crate) traces: Option<Arc<dyn Propagation>>,
}

/// A publish that came to nothing, and what is to blame.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) failure: Failure,
    pub(crate) scope: Scope,
}

/// How long an object of the spool may take to be stored.
const LARGE_TIMEOUT: Duration = Duration::from_secs(60);
/// What the small message of an object that is stored has at least, to be stored as well.
const REFERENCE_TIME: Duration = Duration::from_millis(100);
/// What a message that refers to an object takes at most, in bytes: subscribers of small messages expect no more.
const MAX_REFERENCE: usize = 256 * 1024;

/// A short wait before the next attempt: an election takes seconds, a leader's answer milliseconds.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl Shared {
    /// Publishes one message; without a spool to fall back to, again and again until the deadline.
    pub(crate) async fn store(&self, message: &Message, deadline: Instant) -> Result<Receipt, Failure> {
        // With a spool, whoever finds out that a refusal is over is the drain.
        let attempt = if self.spool.is_some() { Attempt::Usual } else { Attempt::Probe };
        loop {
            let result = match self.is_away() {
                // Whoever finds out that it is back is the monitor or the drain.
                true => Err(self.refused_for_size(message).unwrap_or(Failure::Away)),
                false => {
                    // In time for the sender to be told.
                    let within = self.ack_timeout.min(deadline.saturating_duration_since(Instant::now()));
                    self.attempt(message, attempt, within).await.map_err(|missed| missed.failure)
                }
            };
            let failure = match result {
                Ok(receipt) => return Ok(receipt),
                Err(failure) => failure,
            };
            debug!(subject = %message.subject, id = %message.id, %failure, "publish failed");
            let again =
                self.spool.is_none() && !failure.is_permanent() && self.health.away_for() < self.retry_for;
            // An attempt that is cut short would end without an answer, and hide the reason of this one.
            let shortest = RETRY_INTERVAL + self.ack_timeout / 2;
            if !again || Instant::now() + shortest >= deadline {
                return Err(failure);
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    /// The same, and ends the message's span.
    pub(crate) async fn store_within(
        &self,
        message: &Message,
        span: Option<&Span>,
        deadline: Instant,
    ) -> Result<Receipt, Failure> {
        let result = self.store(message, deadline).await;
        if let Some(span) = span {
            spans::ended(span, &result);
        }
        result
    }

    /// Publishes all of these. Keys of jobs come after the events: whoever is told of a job by its key finds the event in
    /// its stream, unless that waits in the spool; and the object of both is stored once.
    pub(crate) async fn store_all(
        &self,
        messages: &[Message],
        spans: &[Span],
        deadline: Instant,
    ) -> Vec<Result<Receipt, Failure>> {
        let store = |(at, message)| self.store_within(message, spans.get(at), deadline);
        if !messages.iter().any(Message::is_key) {
            return join_all(messages.iter().enumerate().map(store)).await;
        }
        let of = async |keys: bool| {
            let wanted = messages.iter().enumerate().filter(|(_, message)| message.is_key() == keys);
            join_all(wanted.map(store)).await.into_iter()
        };
        let (mut events, mut keys) = (of(false).await, of(true).await);
        let results =
            messages.iter().map(|message| if message.is_key() { keys.next() } else { events.next() });
        results.map(|result| result.unwrap_or(Err(Failure::Unanswered))).collect()
    }

    /// Puts into the spool what no stream took.
    pub(crate) async fn fall_back_to_spool(
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
            let span = spans::spool(waiting.len());
            let appended = spool.append(&waiting).instrument(span.clone()).await;
            spans::spooled(&span, &appended);
            appended.map_err(refused)?;
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
        !self.link.is_connected() || self.health.silent_for().is_some()
    }

    /// Whether it makes sense to try a publish: at least the connection stands.
    pub(crate) fn may_probe(&self) -> bool {
        self.link.is_connected()
    }

    /// Publishes one message once; one that is larger than is taken goes to the object store, and a small one says
    /// where. Says what it saw to the record of NATS's health.
    pub(crate) async fn attempt(
        &self,
        message: &Message,
        attempt: Attempt,
        within: Duration,
    ) -> Result<Receipt, Missed> {
        match (self.attempt_whole(message, attempt, within).await, &self.large) {
            (Err(Missed { failure: Failure::TooLarge(_), .. }), Some(store)) if message.is_event() => {
                self.attempt_as_object(store, message, attempt, within).await
            }
            (result, _) => result,
        }
    }

    async fn attempt_whole(
        &self,
        message: &Message,
        attempt: Attempt,
        within: Duration,
    ) -> Result<Receipt, Missed> {
        let started = std::time::Instant::now();
        if let Err(failure) = self.health.admit(message, attempt) {
            let scope = failure.scope().unwrap_or(Scope::Stream);
            return Err(Missed { failure, scope });
        }
        match self.publish(message, within).await {
            Ok(receipt) => {
                self.metrics.acknowledgement.observe(started.elapsed().as_secs_f64());
                self.health.acknowledged(message);
                Ok(receipt)
            }
            Err(failure) => {
                let scope = self.health.failed(message, started, &failure);
                Err(Missed { failure, scope })
            }
        }
    }

    /// The object first: what the small message names must be there.
    async fn attempt_as_object(
        &self,
        store: &ObjectStore,
        message: &Message,
        attempt: Attempt,
        within: Duration,
    ) -> Result<Receipt, Missed> {
        // A callback waits no longer than it would for an acknowledgement; what the spool holds may take its time.
        let time = if self.is_patient(attempt) { within.max(LARGE_TIMEOUT) } else { within };
        let deadline = Instant::now() + time;
        let object = Object::of(message.object_id(), &message.payload).await;
        let stored = store.put(&self.link, &object, deadline).await;
        let is_written = stored.map_err(|failure| {
            // The store's trouble is not that of the message's stream, and no other message waits for it.
            let scope =
                if failure.scope() == Some(Scope::Connection) { Scope::Connection } else { Scope::Message };
            let failure = match failure {
                Failure::Away | Failure::Disconnected | Failure::InFlight => failure,
                // Another bridge writes the same object.
                Failure::Standing(_) => Failure::InFlight,
                other => Failure::Busy(format!("the object store for large messages: {other}")),
            };
            Missed { failure, scope }
        })?;
        self.metrics.objects.inc_by(u64::from(is_written));
        let limit =
            self.health.stream_limit(&message.stream).unwrap_or(usize::MAX).min(self.link.likely_payload());
        let (whole, location) = (message.clone(), store.location(&object.name));
        // What reads 20 MiB of JSON is not for a thread of the runtime either.
        let referred = spawn_blocking(move || whole.refer_to(&location, limit.min(MAX_REFERENCE))).await;
        let reference =
            referred.map_err(|_| Missed { failure: Failure::Unanswered, scope: Scope::Message })?;
        let within = within.min(deadline.saturating_duration_since(Instant::now())).max(REFERENCE_TIME);
        self.attempt_whole(&reference, attempt, within).await
    }

    /// Whether nobody waits for an answer to this attempt: it is the drain's.
    fn is_patient(&self, attempt: Attempt) -> bool {
        attempt == Attempt::Probe && self.spool.is_some()
    }

    /// Whether the message is so large that it goes to the object store, as far as is known.
    pub(crate) fn is_large(&self, message: &Message) -> bool {
        let limit = || self.health.stream_limit(&message.stream).unwrap_or(usize::MAX);
        self.large.is_some()
            && message.is_event()
            && message.encoded_bytes() > self.link.max_payload().min(limit())
    }

    /// Why a message is larger than is taken, where that is the end of it.
    fn refused_for_size(&self, message: &Message) -> Option<Failure> {
        match self.large.is_some() && message.is_event() {
            true => None,
            false => self.link.too_large(message),
        }
    }

    /// Counts a message that has left the spool for its stream.
    pub(crate) fn drained(&self, message: &Message, receipt: &Receipt) {
        self.metrics.drained.inc();
        self.count(message, receipt);
    }

    /// A message that has waited longer than its stream remembers ids may be stored twice, if its first publish was
    /// not lost after all.
    pub(crate) fn warn_of_short_window(&self, age: Duration) {
        if let Some((stream, window)) = self.health.shortest_duplicate_window()
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

    async fn publish(&self, message: &Message, within: Duration) -> Result<Receipt, Failure> {
        match self.delivery {
            Delivery::Jetstream => {
                let Stored { stream, sequence, duplicate } = self.link.publish(message, within).await?;
                Ok(Receipt::Stored { stream, sequence, duplicate })
            }
            Delivery::Core => {
                let handed_over = async {
                    self.link.publish_core(message).await?;
                    self.link.round_trip(Some(message)).await
                };
                timeout(within, handed_over).await.unwrap_or(Err(Failure::Unanswered))?;
                Ok(Receipt::Sent)
            }
        }
    }

    pub(crate) fn count(&self, message: &Message, receipt: &Receipt) {
        let outcome = match receipt {
            Receipt::Stored { duplicate: true, .. } => MessageOutcome::Duplicate,
            Receipt::Stored { .. } | Receipt::Sent => MessageOutcome::Published,
            Receipt::Spooled => MessageOutcome::Spooled,
        };
        self.metrics.message(message.kind, outcome);
    }
}
