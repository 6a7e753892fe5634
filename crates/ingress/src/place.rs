//! A connection's place: whether it has requests in progress, and since when it has none.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Place(Mutex<State>);

#[derive(Debug)]
struct State {
    requests: usize,
    /// The connection's start, or the end of its last request.
    waiting_since: Instant,
}

/// A request in progress, from the end of its head to its answer.
#[derive(Debug)]
pub(crate) struct InProgress(Arc<Place>);

impl Place {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { requests: 0, waiting_since: Instant::now() }))
    }

    /// Notes that a request begins.
    pub(crate) fn begin(self: &Arc<Self>) -> InProgress {
        self.with(|state| state.requests += 1);
        InProgress(Arc::clone(self))
    }

    /// Since when the connection has had no request in progress; `None` while it has one.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.with(|state| (state.requests == 0).then_some(state.waiting_since))
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.requests -= 1;
            state.waiting_since = Instant::now();
        });
    }
}
