//! Publishes what the spool holds, oldest first, beside live traffic.
//!
//! A message that is not taken stays, and so do those that share its fate; all others go on. What is held back, and
//! when it is tried again, is [`Holds`]' to say.

mod attempt;
mod probe;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::{JoinSet, unconstrained};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::delivery::{Missed, Shared};
use crate::hold::Holds;
use crate::nats::Scope;
use crate::spool::Spool;
use crate::spooled::Spooled;
use attempt::{Outcome, publish};

/// Messages in flight at a time, and read at a time. JetStream's throughput rises up to about 256 in flight; an eighth
/// of that drains more than 20,000 messages a second, and leaves the rest to live callbacks.
const WINDOW: usize = 32;
/// While the broker is away, and between looks at what is held back.
const PAUSE: Duration = Duration::from_millis(250);
/// Objects written at a time, beside all other messages: each is in memory, and few fill a link.
const UPLOADS: usize = 2;
/// How often the age of the oldest message is asked for: that reads it.
const AGE_INTERVAL: Duration = Duration::from_secs(1);
/// While messages are refused, the log says so again this often.
const REMINDER_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Without news from the spool, a look this often.
const IDLE: Duration = Duration::from_secs(5);

/// Runs for the life of the publisher.
pub(crate) async fn run(shared: Arc<Shared>, spool: Spool) {
    // Since when it publishes.
    let mut at_work: Option<Instant> = None;
    let mut drain = Drain {
        shared,
        spool,
        after: None,
        holds: Holds::default(),
        connection: 0,
        uploads: JoinSet::new(),
        finished: None,
        taken: 0,
        aged_at: Instant::now(),
        reminded_at: Instant::now(),
    };
    loop {
        let Drain { shared, spool, .. } = &drain;
        if spool.is_empty() {
            if let Some(since) = at_work.take() {
                let (messages, seconds) = (std::mem::take(&mut drain.taken), since.elapsed().as_secs_f64());
                info!(messages, seconds, "the spool is empty again");
            }
            drain.holds.clear();
            drain.after = None;
            drain.tell_what_is_held();
            let filled = timeout(IDLE, drain.spool.level().filled.notified());
            let _ = filled.await;
        } else if shared.may_probe() && !shared.health.awaits_look() {
            // Before the first look at a stream its messages are refused here: those that are tried as it ends would
            // overtake those before them.
            if at_work.is_none() {
                at_work = Some(Instant::now());
                let oldest = spool.oldest_age();
                info!(
                    spool_messages = spool.len(),
                    spool_bytes = spool.bytes(),
                    oldest_seconds = oldest.as_secs(),
                    "publishing what the spool holds"
                );
                shared.warn_of_short_window(oldest);
            }
            drain.pass().await;
            if !drain.spool.is_empty() {
                drain.rest().await;
            }
        } else {
            sleep(PAUSE).await;
        }
    }
}

struct Drain {
    shared: Arc<Shared>,
    spool: Spool,
    /// Every message up to this place is gone or held back.
    after: Option<u64>,
    holds: Holds,
    /// The connection that the last pass used.
    connection: u64,
    /// Large messages on their way to the object store, which takes its time.
    uploads: JoinSet<Outcome>,
    /// The one that has ended while nothing else was to be done.
    finished: Option<Outcome>,
    /// Messages that left the spool since it was last empty: stored, or kept in quarantine.
    taken: u64,
    /// When the age of the oldest message was last asked for.
    aged_at: Instant,
    /// When the log was last told of refused messages.
    reminded_at: Instant,
}

impl Drain {
    /// Tries what is due of what is held back, then everything that is not, oldest first.
    async fn pass(&mut self) {
        let connection = self.shared.link.connection();
        if std::mem::replace(&mut self.connection, connection) != connection {
            self.holds.try_all(Instant::now());
        }
        loop {
            self.take_uploads().await;
            self.probe().await;
            let messages = self.next_messages().await;
            if messages.is_empty() || !self.publish(messages).await {
                return;
            }
        }
    }

    /// Until a message comes, or something held back is due.
    async fn rest(&mut self) {
        self.tell_what_is_held();
        if self.holds.is_empty() || self.spool.trouble().is_some() {
            // What is left was passed over by mistake: the disk did not give it, or did not forget it.
            self.after = None;
        }
        if self.aged_at.elapsed() >= AGE_INTERVAL {
            // So that the age of the oldest is that of what is held back, now that those before it are gone.
            self.aged_at = Instant::now();
            let _ = self.spool.read(None, 1).await;
        }
        let pause = self.holds.pause(Instant::now()).unwrap_or(PAUSE).clamp(Duration::from_millis(10), PAUSE);
        let filled = self.spool.level().filled.notified();
        let _ = timeout(pause, async {
            tokio::select! {
                () = filled => {}
                Some(outcome) = self.uploads.join_next() => self.finished = outcome.ok(),
            }
        })
        .await;
        self.take_uploads().await;
    }

    /// Says which messages are held back and why, to whoever asks; to the log again and again.
    fn tell_what_is_held(&mut self) {
        let level = self.spool.level();
        let given_up = level.take_given_up();
        if !given_up.is_empty()
            && let Some(first) = self.holds.forget(&given_up)
        {
            self.after = self.after.min(first.checked_sub(1));
        }
        if let Some(news) = self.holds.take_news() {
            self.shared.metrics.refused_messages.set(i64::try_from(news.refused()).unwrap_or(i64::MAX));
            level.set_held(news);
            // `/readyz` says it as well.
            self.shared.health.changed.notify_one();
        }
        let Some(refused) = level.held().summary() else {
            // The first time is said where it happens.
            self.reminded_at = Instant::now();
            return;
        };
        if self.reminded_at.elapsed() >= REMINDER_INTERVAL {
            self.reminded_at = Instant::now();
            for refusal in &refused.oldest {
                warn!(
                    id = refusal.id,
                    subject = refusal.subject,
                    stream = refusal.stream,
                    since = refusal.since_text(),
                    tries = refusal.tries,
                    failure = refusal.reason,
                    messages = refused.messages,
                    "still refused: the message waits in the spool"
                );
            }
        }
    }

    /// What has become of large messages.
    async fn take_uploads(&mut self) {
        let mut finished: Vec<_> = self.finished.take().into_iter().collect();
        finished.extend(std::iter::from_fn(|| self.uploads.try_join_next()?.ok()));
        self.holds.set_room(self.uploads.len() < UPLOADS);
        for outcome in finished {
            match outcome {
                Outcome::Done(spooled) => {
                    self.holds.ended(spooled.place, Instant::now());
                    self.done(spooled).await;
                }
                Outcome::Missed(spooled, missed) => {
                    if self.holds.missed_aside(&spooled, &missed.failure, Instant::now()) {
                        warn!(id = %spooled.message.id, subject = %spooled.message.subject, failure = %missed.failure,
                            "the message is not taken: it waits in the spool, and holds up no other");
                    }
                }
            }
        }
    }

    /// Takes a message that is stored out of the spool, and looks again at what was passed over with it.
    async fn done(&mut self, spooled: Spooled) {
        if let Some(first) = self.holds.taken(&spooled) {
            self.after = self.after.min(first.checked_sub(1));
        }
        self.remove(&[spooled]).await;
    }

    async fn remove(&mut self, done: &[Spooled]) {
        self.taken += done.len() as u64;
        self.spool.remove(done).await;
    }

    /// Sends a large message on its way, if it is one and there is room for another.
    fn upload(&mut self, spooled: Spooled) -> Option<Spooled> {
        if !self.shared.is_large(&spooled.message) {
            return Some(spooled);
        }
        let (place, now) = (spooled.place, Instant::now());
        if self.uploads.len() < UPLOADS {
            self.holds.begins(place, now);
            let shared = Arc::clone(&self.shared);
            self.uploads.spawn(async move { publish(&shared, spooled).await });
            self.holds.set_room(self.uploads.len() < UPLOADS);
        } else {
            self.holds.waits(place, now);
        }
        None
    }

    /// The next messages that nothing holds back. While the server says nothing, one finds out whether it is back.
    async fn next_messages(&mut self) -> VecDeque<Spooled> {
        let window = if self.shared.is_away() { 1 } else { WINDOW };
        loop {
            let messages = self.spool.read(self.after, WINDOW).await;
            let Some(last) = messages.last().map(|spooled| spooled.place) else {
                return VecDeque::new();
            };
            let mut free: VecDeque<_> =
                messages.into_iter().filter(|spooled| !self.holds.passes_over(spooled)).collect();
            if free.len() > window {
                free.truncate(window);
                self.after = free.back().map(|spooled| spooled.place);
            } else {
                self.after = Some(last);
            }
            if !free.is_empty() {
                return free;
            }
        }
    }

    /// Publishes messages in their order, and those behind them, until something else is to be done; returns whether to
    /// go on at once.
    async fn publish(&mut self, mut waiting: VecDeque<Spooled>) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut in_flight = FuturesUnordered::new();
        let mut done = Vec::new();
        let mut goes_on = true;
        let mut released: Option<u64> = None;
        loop {
            while goes_on
                && in_flight.len() < WINDOW
                && let Some(spooled) = waiting.pop_front()
            {
                // What was found out since it was read: its stream may refuse by now.
                if !self.holds.passes_over(&spooled)
                    && let Some(spooled) = self.upload(spooled)
                {
                    in_flight.push(publish(&shared, spooled));
                }
            }
            // Without tokio's budget: when it ran out within a window, the rest would go out in another order.
            match unconstrained(in_flight.next()).await {
                Some(Outcome::Done(spooled)) => {
                    let first = self.holds.taken(&spooled);
                    released = released.into_iter().chain(first).min();
                    done.push(spooled);
                }
                Some(Outcome::Missed(spooled, missed)) => goes_on &= self.missed(&spooled, &missed),
                None => break,
            }
            if done.len() >= WINDOW {
                self.remove(&std::mem::take(&mut done)).await;
            }
            let is_low = waiting.is_empty()
                && if self.shared.is_away() { in_flight.is_empty() } else { in_flight.len() <= WINDOW / 2 };
            if goes_on && is_low && released.is_none() && !self.holds.is_due(Instant::now()) {
                waiting = self.next_messages().await;
            }
        }
        self.remove(&done).await;
        if let Some(first) = released {
            // Those that were passed over come now. While others were in flight, these would have been read again too.
            self.after = self.after.min(first.checked_sub(1));
        }
        if !goes_on {
            // The connection went, or the server is silent: nobody is to blame, and the oldest comes first again.
            self.after = None;
        }
        goes_on
    }

    /// Returns whether others may be published meanwhile.
    fn missed(&mut self, spooled: &Spooled, missed: &Missed) -> bool {
        let Missed { failure, scope } = missed;
        if self.holds.missed(spooled, failure, *scope, Instant::now()) {
            let message = &spooled.message;
            match scope {
                Scope::Stream => warn!(stream = %message.stream, %failure,
                    "the stream takes no messages: those for it wait in the spool"),
                Scope::Subject => {
                    warn!(id = %message.id, subject = %message.subject, stream = %message.stream, %failure,
                    "the subject is refused: its messages wait in the spool");
                }
                Scope::Message if failure.is_permanent() => {
                    error!(id = %message.id, subject = %message.subject, %failure,
                        "neither its stream nor quarantine takes it: it waits in the spool");
                }
                Scope::Message => warn!(id = %message.id, subject = %message.subject, %failure,
                    "the message is not taken: it waits in the spool, and holds up no other"),
                Scope::Connection => {}
            }
        }
        *scope != Scope::Connection
    }
}
