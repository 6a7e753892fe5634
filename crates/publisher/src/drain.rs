//! Publishes what the spool holds, oldest first, beside live traffic.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::task::unconstrained;
use tokio::time::{sleep, timeout};
use tracing::{error, info};

use crate::delivery::Shared;
use crate::nats::Failure;
use crate::spool::{Spool, Spooled};

/// Messages read and published at a time. JetStream's throughput rises up to about 256 in flight; an eighth of that
/// drains more than 20,000 messages a second, and leaves the rest to live callbacks.
const WINDOW: usize = 32;
/// After a message was not taken, and while the broker is away.
const PAUSE: Duration = Duration::from_millis(250);
/// Without news from the spool, a look this often.
const IDLE: Duration = Duration::from_secs(5);

/// Runs for the life of the publisher.
pub(crate) async fn run(shared: Arc<Shared>, spool: Spool) {
    let mut at_work = false;
    let mut after = None;
    let stuck = Stuck::default();
    loop {
        if spool.is_empty() {
            if std::mem::take(&mut at_work) {
                info!("the spool is empty again");
            }
            let _ = timeout(IDLE, spool.level().filled.notified()).await;
        } else if shared.may_probe() {
            if !std::mem::replace(&mut at_work, true) {
                let oldest = spool.oldest_age();
                info!(
                    messages = spool.len(),
                    oldest_seconds = oldest.as_secs(),
                    "publishing what the spool holds"
                );
                shared.warn_of_short_window(oldest);
            }
            after = pass(&shared, &spool, after, &stuck).await;
            if !spool.is_empty() {
                sleep(PAUSE).await;
            }
        } else {
            sleep(PAUSE).await;
        }
    }
}

/// The places of messages that nothing takes as things are; each is told of once.
type Stuck = Mutex<BTreeSet<u64>>;

/// Goes through the spool behind the place `after`, until nothing is taken; gives the place to go on from. A message
/// that nothing takes (a subject that NATS forbids, a stream that is not there) must not hold up those behind it:
/// the next pass begins behind it, and comes to it again when it has been through.
async fn pass(shared: &Shared, spool: &Spool, mut after: Option<u64>, stuck: &Stuck) -> Option<u64> {
    loop {
        // While the broker has not answered for a while, one message finds out.
        let window = if shared.is_away() { 1 } else { WINDOW };
        let messages = spool.read(after, window).await;
        after = Some(messages.last()?.place);
        let published =
            stream::iter(messages).map(|spooled| publish(shared, spooled, stuck)).buffered(WINDOW);
        // Without tokio's budget: when it ran out within a window, the rest would go out in another order.
        let done: Vec<_> = unconstrained(published.filter_map(std::future::ready).collect()).await;
        spool.remove(&done).await;
        if !shared.may_probe() {
            // The connection went: none of these is to blame, and the oldest comes first again.
            return None;
        }
        if done.is_empty() || shared.is_away() {
            return after;
        }
    }
}

/// Publishes one message; gives it back when the spool can forget it.
async fn publish(shared: &Shared, spooled: Spooled, stuck: &Stuck) -> Option<Spooled> {
    let message = &spooled.message;
    match shared.attempt(message).await {
        Ok(receipt) => {
            shared.drained(message, &receipt);
            Some(spooled)
        }
        Err(failure) if failure.is_permanent() => set_aside(shared, spooled, &failure, stuck).await,
        Err(_) => None,
    }
}

/// What JetStream will never take goes to quarantine with the reason, instead of round and round. What is too large
/// for the server is too large for quarantine as well: it waits until the server takes it.
async fn set_aside(shared: &Shared, spooled: Spooled, failure: &Failure, stuck: &Stuck) -> Option<Spooled> {
    let message = &spooled.message;
    let refused = shared.quarantine().refused(message, &failure.to_string());
    match shared.attempt(&refused).await {
        Ok(_) => {
            error!(subject = %message.subject, id = %message.id, %failure, "refused for good: kept in quarantine");
            Some(spooled)
        }
        Err(again) => {
            if stuck.lock().unwrap_or_else(PoisonError::into_inner).insert(spooled.place) {
                error!(id = %message.id, %failure, %again, "neither its stream nor quarantine takes it: it waits in the spool");
            }
            None
        }
    }
}
