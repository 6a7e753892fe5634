//! Publishes what the spool holds, oldest first, beside live traffic.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::nats::Failure;
use crate::publisher::Shared;
use crate::spool::{Spool, Spooled};

/// Messages read and published at a time. JetStream's throughput rises up to about 256 in flight; half of that
/// leaves the other half to live callbacks.
const WINDOW: usize = 128;
/// After a message was not taken, and while the broker is away.
const PAUSE: Duration = Duration::from_millis(250);
/// Without news from the spool, a look this often.
const IDLE: Duration = Duration::from_secs(5);

/// Runs for the life of the publisher.
pub(crate) async fn run(shared: Arc<Shared>, spool: Spool) {
    loop {
        if spool.is_empty() {
            let _ = timeout(IDLE, spool.level().filled.notified()).await;
        } else if shared.may_probe() {
            let before = spool.len();
            info!(
                messages = before,
                oldest_seconds = spool.oldest_age().as_secs(),
                "publishing what the spool holds"
            );
            shared.warn_of_short_window(spool.oldest_age());
            match pass(&shared, &spool).await {
                0 => info!(messages = before, "the spool is empty again"),
                _ => sleep(PAUSE).await,
            }
        } else {
            sleep(PAUSE).await;
        }
    }
}

/// One way through the spool; gives the number of messages that were not taken. Ends early when the first of a
/// window are not: then the broker is away, and the messages wait for it.
async fn pass(shared: &Shared, spool: &Spool) -> usize {
    let mut left = 0;
    let mut after = None;
    loop {
        // While the broker has not answered for a while, one message finds out.
        let window = if shared.is_away() { 1 } else { WINDOW };
        let messages = spool.read(after, window).await;
        let Some(last) = messages.last() else { return left };
        after = Some(last.place);
        let count = messages.len();
        let published = stream::iter(messages).map(|spooled| publish(shared, spooled)).buffered(WINDOW);
        let done: Vec<_> = published.filter_map(std::future::ready).collect().await;
        spool.remove(&done).await;
        left += count - done.len();
        if done.is_empty() || shared.is_away() {
            return left.max(1);
        }
    }
}

/// Publishes one message; gives it back when the spool can forget it.
async fn publish(shared: &Shared, spooled: Spooled) -> Option<Spooled> {
    let message = &spooled.message;
    match shared.attempt(message).await {
        Ok(receipt) => {
            shared.drained(message, &receipt);
            Some(spooled)
        }
        Err(failure) if failure.is_permanent() => set_aside(shared, spooled, &failure).await,
        Err(_) => None,
    }
}

/// What JetStream will never take goes to quarantine with the reason, instead of round and round.
async fn set_aside(shared: &Shared, spooled: Spooled, failure: &Failure) -> Option<Spooled> {
    let message = &spooled.message;
    let refused = shared.quarantine.refused(message, &failure.to_string());
    match shared.attempt(&refused).await {
        Ok(_) => {
            error!(subject = %message.subject, id = %message.id, %failure, "refused for good: kept in quarantine");
            Some(spooled)
        }
        Err(again) => {
            warn!(id = %message.id, %failure, %again, "refused for good, and quarantine does not take it either: it waits");
            None
        }
    }
}
