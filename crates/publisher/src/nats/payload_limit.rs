//! How large a message may be: what the server says, and what it only says when it is too late.
//!
//! `max_payload` of the server comes when a connection is made. That of the account or the user comes in a later INFO,
//! which async-nats does not pass on: it shows as `Maximum Payload Violation`, after which the server closes the
//! connection with everything in flight. So the limit is learned from the first such error.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A learned limit is forgotten after this: the operator may have raised it, and only a message tells.
const MEMORY: Duration = Duration::from_secs(10 * 60);

/// What has been learned of the limit.
#[derive(Debug)]
pub(super) struct PayloadLimit {
    /// Messages of so many bytes are known to be too large; `usize::MAX` while nothing is known.
    too_large: AtomicUsize,
    /// The largest message that was taken.
    taken: AtomicUsize,
    /// The connection that ended for it.
    connection: AtomicU64,
    since: Mutex<Option<Instant>>,
}

impl Default for PayloadLimit {
    fn default() -> Self {
        Self {
            too_large: AtomicUsize::new(usize::MAX),
            taken: AtomicUsize::new(0),
            connection: AtomicU64::new(0),
            since: Mutex::default(),
        }
    }
}

impl PayloadLimit {
    /// A message of `bytes` bytes, headers included, was too large on `connection`. Returns whether that is news. Not
    /// believed at once where larger ones were taken: then it was another message, or the limit has just been lowered.
    pub(super) fn exceeded_by(&self, bytes: usize, connection: u64) -> bool {
        if bytes <= self.taken.swap(0, Ordering::Relaxed) {
            return false;
        }
        self.connection.store(connection, Ordering::Relaxed);
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        bytes < self.too_large.fetch_min(bytes, Ordering::Relaxed)
    }

    /// The most that has not been found too large, in bytes.
    pub(super) fn learned(&self) -> usize {
        self.too_large.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// A message of `bytes` bytes was taken.
    pub(super) fn taken(&self, bytes: usize) {
        self.taken.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The size to choose where any will do. Between the largest message that was taken and the smallest that was too
    /// large the limit is not known: half of the latter, so that every further mistake halves it again.
    pub(super) fn likely(&self) -> usize {
        match self.learned() {
            none if none >= usize::MAX - 1 => usize::MAX,
            learned => (learned / 2).max(self.taken.load(Ordering::Relaxed)),
        }
    }

    /// A connection has ended. If it was not for a message's size, the server may have another limit now.
    pub(super) fn connection_ended(&self, connection: u64) {
        if self.connection.load(Ordering::Relaxed) < connection {
            self.forget();
        }
    }

    /// Forgets what was learned long ago.
    pub(super) fn refresh(&self) {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_some_and(|since| since.elapsed() >= MEMORY) {
            self.forget();
        }
    }

    fn forget(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.too_large.store(usize::MAX, Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::PayloadLimit;

    #[test]
    fn the_smallest_message_that_was_too_large_is_the_limit() {
        let limit = PayloadLimit::default();
        assert!(limit.exceeded_by(5000, 1));
        assert!(!limit.exceeded_by(6000, 2));
        assert_eq!(limit.learned(), 4999);
        assert!(limit.exceeded_by(3000, 3));
        assert_eq!(limit.learned(), 2999);
    }

    #[test]
    fn between_what_was_taken_and_what_was_too_large_the_half_is_tried() {
        let limit = PayloadLimit::default();
        limit.taken(10);
        assert_eq!(limit.likely(), usize::MAX);
        limit.exceeded_by(100_001, 1);
        assert_eq!(limit.likely(), 50_000);
        limit.taken(60_000);
        assert_eq!(limit.likely(), 60_000);
    }

    #[test]
    fn what_others_exceeded_is_not_learned_from_a_small_message() {
        let limit = PayloadLimit::default();
        let none = limit.learned();
        limit.taken(5000);
        assert!(!limit.exceeded_by(900, 1));
        assert_eq!(limit.learned(), none);
        assert!(limit.exceeded_by(900, 2), "said twice, it is so: the limit was lowered");
    }

    #[test]
    fn the_end_that_a_large_message_caused_teaches_and_another_end_makes_forget() {
        let limit = PayloadLimit::default();
        let none = limit.learned();
        limit.exceeded_by(5000, 1);
        limit.connection_ended(1);
        limit.refresh();
        assert_eq!(limit.learned(), 4999);
        limit.connection_ended(2);
        assert_eq!(limit.learned(), none);
    }
}
