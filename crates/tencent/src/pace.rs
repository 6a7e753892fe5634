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

    /// Returns when the next request may go.
    pub(crate) async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().await;
            let at = (*next).max(Instant::now());
            *next = at + self.interval;
            at
        };
        sleep_until(at).await;
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
    }
}
