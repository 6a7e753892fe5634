//! One attempt at a message of the spool, and what becomes of one that no stream will ever take.

use tracing::error;

use crate::delivery::{Missed, Shared};
use crate::health::Attempt;
use crate::nats::Scope;
use crate::spans;
use crate::spooled::Spooled;

/// What became of a message that was tried.
pub(super) enum Outcome {
    /// The spool can forget it.
    Done(Spooled),
    Missed(Spooled, Missed),
}

/// Publishes one message. What no stream will ever take goes to quarantine.
pub(super) async fn publish(shared: &Shared, spooled: Spooled) -> Outcome {
    let message = &spooled.message;
    let span = spans::drain(shared.traces.as_deref(), message);
    let attempt = shared.attempt(message, Attempt::Probe, shared.ack_timeout).await;
    let outcome = match attempt {
        Ok(receipt) => {
            shared.drained(message, &receipt);
            spans::ended(&span, &Ok(receipt));
            Outcome::Done(spooled)
        }
        Err(missed) => {
            spans::failed(&span, missed.failure.as_str());
            match missed.failure.is_permanent() {
                true => set_aside(shared, spooled, missed).await,
                false => Outcome::Missed(spooled, missed),
            }
        }
    };
    if matches!(outcome, Outcome::Missed(..)) {
        spans::tried_again(&span);
    }
    outcome
}

/// What is wrong with the message itself goes to quarantine with the reason, instead of round and round. What is too
/// large for the server is too large for quarantine as well: it waits until the server takes it.
async fn set_aside(shared: &Shared, spooled: Spooled, missed: Missed) -> Outcome {
    let message = &spooled.message;
    let refused = shared.quarantine().refused(message, &missed.failure.to_string());
    match shared.attempt(&refused, Attempt::Probe, shared.ack_timeout).await {
        Ok(_) => {
            shared.metrics.quarantine_refused.inc();
            error!(subject = %message.subject, id = %message.id, failure = %missed.failure, "refused for good: kept in quarantine");
            Outcome::Done(spooled)
        }
        Err(Missed { scope: Scope::Connection, failure }) => {
            Outcome::Missed(spooled, Missed { scope: Scope::Connection, failure })
        }
        Err(_) => Outcome::Missed(spooled, missed),
    }
}
