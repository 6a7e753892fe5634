//! No more requests a second than were agreed, whoever asks.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Gives each request its turn.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.max(1), next: Mutex::new(Instant::now()) }
    }

    /// Returns when the next request may go. Whoever gives up waiting takes no turn.
    pub(crate) async fn turn(&self) {
        // Held while waiting: the others wait for their turns behind it, in their order.
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_keep_their_distance_and_catch_up_with_nothing() {
        let pace = Pace::new(2);
        let started = Instant::now();
        for _ in 0..3 {
            pace.turn().await;
        }
        assert_eq!(started.elapsed(), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(10)).await;
        let resumed = Instant::now();
        pace.turn().await;
        pace.turn().await;
        assert_eq!(resumed.elapsed(), Duration::from_millis(500), "what was not used is gone");
        for _ in 0..100 {
            let given_up = tokio::time::timeout(Duration::from_millis(1), pace.turn()).await;
            assert!(given_up.is_err());
        }
        pace.turn().await;
        assert_eq!(resumed.elapsed(), Duration::from_secs(1), "who gave up took no turn");
    }
}
