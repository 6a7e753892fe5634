//! Places for connections: how many there are, and who must leave when a new one finds none free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection must have waited this long to be closed for another: long enough for a handshake and a head over a line
/// of 100 ms there and back, so that a flood of new connections cannot push out those that are about to ask. Longer, and
/// the flood would hold its places longer as well.
const EVICTED_AFTER: Duration = Duration::from_millis(300);

/// All places of a listener.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by_number: HashMap<u64, Arc<State>>,
}

/// One connection's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
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
    /// The connection's start, or the end of its last request.
    waiting_since: Instant,
    evicted: bool,
}

/// A request in progress, from the end of its head to its answer.
#[derive(Debug)]
pub(crate) struct InProgress(Arc<Place>);

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default() }
    }

    /// A place; if all are taken, that of the connection which has waited longest without a request in progress. The
    /// flag says that it was somebody's.
    pub(crate) fn take(self: &Arc<Self>) -> Option<(Place, bool)> {
        let mut taken = lock(&self.taken);
        let is_full = taken.by_number.len() >= self.most;
        if is_full {
            taken.evict_longest_waiting()?;
        }
        let number = taken.next;
        taken.next += 1;
        let activity = Activity { requests: 0, waiting_since: Instant::now(), evicted: false };
        let state = Arc::new(State { activity: Mutex::new(activity), evicted: Notify::new() });
        taken.by_number.insert(number, Arc::clone(&state));
        Some((Place { places: Arc::clone(self), number, state }, is_full))
    }

    /// Closes the connection that has waited longest without a request in progress; false when there is none.
    pub(crate) fn evict(&self) -> bool {
        lock(&self.taken).evict_longest_waiting().is_some()
    }
}

impl Taken {
    fn evict_longest_waiting(&mut self) -> Option<()> {
        let waiting = self.by_number.iter().filter_map(|(number, state)| {
            let activity = lock(&state.activity);
            let is_old = activity.waiting_since.elapsed() >= EVICTED_AFTER;
            (activity.requests == 0 && is_old).then_some((activity.waiting_since, *number))
        });
        let (_, number) = waiting.min()?;
        // A request may just have begun: then all are busy, or nearly so.
        let is_idle = {
            let mut activity = lock(&self.by_number.get(&number)?.activity);
            activity.evicted = activity.requests == 0;
            activity.evicted
        };
        let state = is_idle.then(|| self.by_number.remove(&number)).flatten()?;
        state.evicted.notify_one();
        Some(())
    }
}

impl Place {
    /// Notes that a request begins; `None` when the connection is being closed for another.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<InProgress> {
        let mut activity = lock(&self.state.activity);
        if activity.evicted {
            return None;
        }
        activity.requests += 1;
        Some(InProgress(Arc::clone(self)))
    }

    /// Since when the connection has had no request in progress; `None` while it has one.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let activity = lock(&self.state.activity);
        (activity.requests == 0).then_some(activity.waiting_since)
    }

    /// Until the place is another's.
    pub(crate) async fn evicted(&self) {
        self.state.evicted.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.taken).by_number.remove(&self.number);
    }
}

impl Drop for InProgress {
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
