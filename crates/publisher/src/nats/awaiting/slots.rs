//! Who waits for which key, in a bounded number of slots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

/// The slots, and what wakes those who have them.
#[derive(Debug)]
pub(super) struct WaitSlots {
    most: usize,
    taken: Mutex<Taken>,
    waiting: Gauge,
    /// One more is free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    by_key: HashMap<String, Vec<(u64, Arc<Notify>)>>,
    count: usize,
    next: u64,
}

/// One of them; free again when it is dropped.
pub(super) struct WaitSlot {
    slots: Arc<WaitSlots>,
    key: String,
    number: u64,
    /// Whoever has the slot should look for its key.
    pub(super) look: Arc<Notify>,
}

impl WaitSlots {
    pub(super) fn new(most: usize, waiting: Gauge) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), waiting, freed: Notify::new() })
    }

    /// A slot for somebody who waits for a key; `None` when all are taken.
    pub(super) fn take(self: &Arc<Self>, key: &str) -> Option<WaitSlot> {
        let mut taken = self.taken();
        if taken.count >= self.most {
            return None;
        }
        let (number, look) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken.count += 1;
        taken.by_key.entry(key.to_owned()).or_default().push((number, Arc::clone(&look)));
        self.waiting.inc();
        Some(WaitSlot { slots: Arc::clone(self), key: key.to_owned(), number, look })
    }

    /// Whoever waits for this key should look.
    pub(super) fn look(&self, key: &str) {
        for (_, look) in self.taken().by_key.get(key).into_iter().flatten() {
            look.notify_one();
        }
    }

    pub(super) fn all_look(&self) {
        self.taken().by_key.values().flatten().for_each(|(_, look)| look.notify_one());
    }

    /// Returns when nobody has a slot.
    pub(super) async fn empty(&self) {
        while self.taken().count > 0 {
            self.freed.notified().await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        if let Some(of_key) = taken.by_key.get_mut(&self.key) {
            of_key.retain(|(number, _)| *number != self.number);
            if of_key.is_empty() {
                taken.by_key.remove(&self.key);
            }
        }
        taken.count -= 1;
        drop(taken);
        self.slots.waiting.dec();
        self.slots.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_whoever_had_it_has_gone() {
        let waiting = Gauge::default();
        let slots = WaitSlots::new(2, waiting.clone());
        let (one, two) = (slots.take("j1").unwrap(), slots.take("j1").unwrap());
        assert!(slots.take("j2").is_none());
        assert_eq!(waiting.get(), 2);
        slots.look("j1");
        one.look.notified().await;
        two.look.notified().await;
        drop(one);
        let three = slots.take("j2").unwrap();
        slots.all_look();
        three.look.notified().await;
        drop((two, three));
        slots.empty().await;
        assert_eq!(waiting.get(), 0);
        assert!(slots.taken().by_key.is_empty());
    }
}
