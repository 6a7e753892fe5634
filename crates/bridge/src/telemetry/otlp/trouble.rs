//! What the log says of a collector that takes no spans: once, then every five minutes, and when it is over.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::queue::Counts;

/// While it lasts, the log says so again this often.
const REMINDER_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// An outage of the collector, if there is one.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Without path and credentials.
    collector: String,
    told: Option<Instant>,
    /// Spans that had been dropped when all was well for the last time.
    dropped_before: u64,
}

impl Trouble {
    pub(super) fn none(collector: String) -> Self {
        Self { collector, told: None, dropped_before: 0 }
    }

    pub(super) fn happened(&mut self, error: &str, remedy: &str, counts: &Counts) {
        if self.told.is_some_and(|told| told.elapsed() < REMINDER_INTERVAL) {
            return;
        }
        self.told = Some(Instant::now());
        let dropped = counts.dropped_in_all() - self.dropped_before;
        warn!(
            collector = self.collector,
            error, dropped, remedy, "traces are not exported; callbacks are not affected"
        );
    }

    pub(super) fn over(&mut self, counts: &Counts) {
        let in_all = counts.dropped_in_all();
        let dropped = in_all - std::mem::replace(&mut self.dropped_before, in_all);
        if self.told.take().is_some() {
            info!(collector = self.collector, dropped, "traces are exported again");
        }
    }
}
