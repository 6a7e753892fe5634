//! ConnectionSlots for connections: how many there are, and who must leave when a new one finds none free.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection must have waited this long to be closed for another: long enough for a handshake and a head over a line
/// of 100 ms there and back, so that a flood of new connections cannot push out those that are about to ask. Longer, and
/// the flood would hold its slots longer as well.
const EVICTED_AFTER: Duration = Duration::from_millis(300);

/// All slots of a listener.
#[derive(Debug)]
pub(crate) struct ConnectionSlots {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// Each connection under the moment [`Activity::queued`] and its number. A request begins and ends without a change
    /// here: whoever is first is looked at, and moves back as far as it has been busy since.
    queue: BTreeMap<(Instant, u64), Arc<State>>,
    /// Of those, by their number, the ones whose last request was refused; or was, before they began another.
    refused: BTreeMap<u64, Arc<State>>,
}

/// One connection's slot; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    number: u64,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    activity: Mutex<Activity>,
    evicted: Notify,
}

#[derive(Debug)]
struct Activity {
    requests: usize,
    /// The last request to end was refused: the connection may still linger, so that the sender can read why.
    refused: bool,
    /// The connection's start, or the end of its last request.
    waiting_since: Instant,
    /// The key it stands under in the queue; it has waited since then at most. Changed with [`Taken`] locked only.
    queued: Instant,
    evicted: bool,
}

/// A request in progress, from the end of its head to its answer.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<ConnectionSlot>);

impl ConnectionSlots {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default() }
    }

    /// A slot; if all are taken, that of one without a request in progress: whose last was refused, or else which has
    /// waited longest. The flag says that it was somebody's.
    pub(crate) fn take(self: &Arc<Self>) -> Option<(ConnectionSlot, bool)> {
        let mut taken = lock(&self.taken);
        let is_full = taken.queue.len() >= self.most;
        if is_full {
            taken.evict()?;
        }
        let number = taken.next;
        taken.next += 1;
        let now = Instant::now();
        let activity =
            Activity { requests: 0, refused: false, waiting_since: now, queued: now, evicted: false };
        let state = Arc::new(State { activity: Mutex::new(activity), evicted: Notify::new() });
        taken.queue.insert((now, number), Arc::clone(&state));
        Some((ConnectionSlot { slots: Arc::clone(self), number, state }, is_full))
    }

    /// Closes a connection without a request in progress; false when there is none that may be closed.
    pub(crate) fn evict(&self) -> bool {
        lock(&self.taken).evict().is_some()
    }
}

impl Taken {
    fn evict(&mut self) -> Option<()> {
        self.evict_refused().or_else(|| self.evict_longest_waiting())
    }

    /// Whoever was refused has its answer, and nothing to wait for: strangers, however fast they come, then take their
    /// slots from each other and from nobody else.
    fn evict_refused(&mut self) -> Option<()> {
        while let Some((number, state)) = self.refused.pop_first() {
            let mut activity = lock(&state.activity);
            if activity.refused && activity.requests == 0 {
                activity.evicted = true;
                state.evicted.notify_one();
                self.queue.remove(&(activity.queued, number));
                return Some(());
            }
        }
        None
    }

    /// One call may move every connection; but each is moved at most about once in [`EVICTED_AFTER`], however many new
    /// ones ask. So a flood of new ones costs each of them the same, whether there are ten connections or ten thousand.
    fn evict_longest_waiting(&mut self) -> Option<()> {
        let now = Instant::now();
        loop {
            let first = self.queue.first_entry()?;
            let (queued, number) = *first.key();
            if now.duration_since(queued) < EVICTED_AFTER {
                return None;
            }
            let state = first.remove();
            let queued = {
                let mut activity = lock(&state.activity);
                let since = if activity.requests == 0 { activity.waiting_since } else { now };
                if since == queued {
                    activity.evicted = true;
                    state.evicted.notify_one();
                    return Some(());
                }
                activity.queued = since;
                since
            };
            self.queue.insert((queued, number), state);
        }
    }
}

impl ConnectionSlot {
    /// Notes that a request begins; `None` when the connection is being closed for another.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<RequestGuard> {
        let mut activity = lock(&self.state.activity);
        if activity.evicted {
            return None;
        }
        activity.requests += 1;
        activity.refused = false;
        Some(RequestGuard(Arc::clone(self)))
    }

    /// Since when the connection has had no request in progress; `None` while it has one.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let activity = lock(&self.state.activity);
        (activity.requests == 0).then_some(activity.waiting_since)
    }

    /// Until the slot is another's.
    pub(crate) async fn evicted(&self) {
        self.state.evicted.notified().await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut taken = lock(&self.slots.taken);
        let queued = lock(&self.state.activity).queued;
        taken.queue.remove(&(queued, self.number));
        taken.refused.remove(&self.number);
    }
}

impl RequestGuard {
    /// Ends it as one that was refused.
    pub(crate) fn refused(self) {
        let slot = Arc::clone(&self.0);
        drop(self);
        let mut taken = lock(&slot.slots.taken);
        lock(&slot.state.activity).refused = true;
        taken.refused.insert(slot.number, Arc::clone(&slot.state));
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut activity = lock(&self.0.state.activity);
        activity.requests -= 1;
        activity.waiting_since = Instant::now();
    }
}

/// Nothing here can panic halfway through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const STEP: Duration = Duration::from_millis(200);

    fn full(most: usize) -> (Arc<ConnectionSlots>, Vec<Arc<ConnectionSlot>>) {
        let slots = Arc::new(ConnectionSlots::new(most));
        let taken = (0..most).map(|_| Arc::new(slots.take().unwrap().0)).collect();
        (slots, taken)
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_longest_leaves_whoever_came_first() {
        let (slots, taken) = full(2);
        advance(STEP).await;
        drop(taken[0].begin().expect("a request"));
        advance(STEP).await;
        let (new, was_anothers) = slots.take().expect("a place");
        assert!(was_anothers);
        assert!(taken[0].begin().is_some(), "busy 200 ms ago");
        assert!(taken[1].begin().is_none(), "it has waited 400 ms");
        taken[1].evicted().await;
        drop((taken, new));
        assert!(lock(&slots.taken).queue.is_empty(), "neither a moved one nor an evicted one is left");
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_refused_leaves_first_and_at_once() {
        let (slots, taken) = full(3);
        advance(EVICTED_AFTER).await;
        taken[1].begin().expect("a request").refused();
        taken[2].begin().expect("a request").refused();
        let next = taken[2].begin().expect("another request");
        let new = slots.take().expect("a place");
        assert!(taken[1].begin().is_none(), "it was refused a moment ago");
        assert!(taken[0].begin().is_some(), "it has waited longer, but was not");
        advance(STEP).await;
        assert!(
            slots.take().is_none(),
            "of the two that were refused, one is gone and one has a request in progress"
        );
        next.refused();
        assert!(slots.evict() && taken[2].begin().is_none());
        drop((taken, new));
        let left = lock(&slots.taken);
        assert!(left.queue.is_empty() && left.refused.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_leaves_with_a_request_in_progress_or_before_its_time() {
        let (slots, taken) = full(2);
        advance(STEP).await;
        assert!(slots.take().is_none(), "none has waited long enough");
        let in_progress: Vec<_> = taken.iter().map(|slot| slot.begin().expect("a request")).collect();
        advance(STEP).await;
        assert!(slots.take().is_none() && !slots.evict(), "all are busy");
        drop(in_progress);
        advance(EVICTED_AFTER).await;
        assert!(slots.evict());
        assert_eq!(taken.iter().filter(|slot| slot.begin().is_none()).count(), 1);
        assert!(slots.take().is_some_and(|(_, was_anothers)| !was_anothers), "its slot is free");
    }
}
