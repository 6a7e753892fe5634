//! The memory that bodies may take, all together: each reserves what has arrived of it.

use prometheus_client::metrics::gauge::Gauge;

/// What one body holds of it; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct ByteReservation {
    /// What all bodies hold, in bytes: a metric, and the account itself.
    held_by_all: Gauge,
    most: usize,
    held: usize,
}

impl ByteReservation {
    /// Nothing yet, of at most `most` bytes for all.
    pub(crate) fn new(held_by_all: Gauge, most: usize) -> Self {
        Self { held_by_all, most, held: 0 }
    }

    /// The bytes that all bodies may hold.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Takes bytes that have arrived; false when that is too much. What is only announced takes nothing: a sender could
    /// announce everything and send nothing.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let count = amount(bytes);
        let fits = self.held_by_all.inc_by(count).saturating_add(count) <= amount(self.most);
        if fits {
            self.held += bytes;
        } else {
            self.held_by_all.dec_by(count);
        }
        fits
    }
}

impl Drop for ByteReservation {
    fn drop(&mut self) {
        self.held_by_all.dec_by(amount(self.held));
    }
}

/// Gauges count in `i64`.
fn amount(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
