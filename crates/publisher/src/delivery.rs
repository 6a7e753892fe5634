//! How one message becomes durable: NATS first, the spool when NATS does not take it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use crate::health::{Attempt, Health};
use crate::message::Message;
use crate::metrics::{MessageOutcome, Metrics};
use crate::nats::{Failure, Link, Scope, Stored};
use crate::publisher::{Delivery, Receipt, Unavailable};
use crate::route::Router;
use crate::spool::Spool;

/// What publishing callbacks and draining the spool have in common.
pub(crate) struct Shared {
    pub(crate) delivery: Delivery,
    pub(crate) ack_timeout: Duration,
    pub(crate) retry_for: Duration,
    pub(crate) link: Arc<Link>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) spool: Option<Spool>,
    pub(crate) quarantine: RwLock<Arc<Router>>,
}

/// A publish that came to nothing, and what is to blame.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) failure: Failure,
    pub(crate) scope: Scope,
}

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
                true => Err(self.link.too_large(message).unwrap_or(Failure::Away)),
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

    /// Puts into the spool what no stream took.
    pub(crate) async fn settle(
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
        !self.link.is_connected() || self.health.silent_for().is_some()
    }

    /// Whether it makes sense to try a publish: at least the connection stands.
    pub(crate) fn may_probe(&self) -> bool {
        self.link.is_connected()
    }

    /// Publishes one message once. Says what it saw to the record of NATS's health.
    pub(crate) async fn attempt(
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
                    self.link.round_trip(message.subject.as_str()).await
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
