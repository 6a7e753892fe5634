//! The last callbacks, and ten minutes of how it went: for the page of the admin listener. Bounded, and without any body.

mod fact;
mod notes;
mod series;
mod words;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::metrics::Outcome;
pub(crate) use fact::{Fact, Telling};
pub(crate) use notes::{CallbackNotes, Ended};
pub(crate) use series::{Point, STEP};
use series::{STEPS, Series};

/// The facts that are kept, of at most 300 bytes each.
pub(crate) const KEPT: usize = 500;
/// Of these, how many may be of requests that were turned away while callbacks could have their places: strangers who try
/// paths and passwords must not hide what came.
const KEPT_OF_REJECTED: usize = 100;

/// What has come lately. Clones of the `Arc` around it share it.
#[derive(Debug)]
pub struct Recent {
    /// Names this process's run: numbers of facts begin anew with each.
    run: String,
    began: Instant,
    /// Since 1970.
    started: Duration,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    /// The number of the last fact.
    last: u64,
    callbacks: VecDeque<Arc<Fact>>,
    rejected: VecDeque<Arc<Fact>>,
    series: Series,
}

/// Since 1970, by the clock of the machine, which may be set while the bridge runs.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Callbacks of the last ten minutes, by outcome.
pub(crate) type Lately = series::Counts;

/// Over how long [`Lately`] counts, with the step that runs.
pub(crate) const LATELY: Duration = Duration::from_secs(STEP.as_secs() * STEPS as u64);

impl Default for Recent {
    fn default() -> Self {
        Self::new()
    }
}

impl Recent {
    /// Nothing has come yet.
    #[must_use]
    pub fn new() -> Self {
        let started = now();
        let ring = Ring {
            last: 0,
            callbacks: VecDeque::with_capacity(KEPT),
            rejected: VecDeque::new(),
            series: Series::new(started),
        };
        // Two runs of one process id begin at different times, and two at one time have different ids.
        let run = format!("{:x}-{:x}", started.as_micros(), std::process::id());
        Self { run, began: Instant::now(), started, ring: Mutex::new(ring) }
    }

    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// When the bridge started, since 1970.
    pub(crate) fn started(&self) -> Duration {
        self.started
    }

    /// Remembers a callback, and when it came after its job had ended.
    pub(crate) fn remember(&self, told: &Telling<'_>, age: Option<Duration>) {
        let now = self.began.elapsed();
        let mut ring = self.ring();
        ring.series.count(now, told.outcome, told.total, age);
        ring.last += 1;
        let fact = Arc::new(Fact::pack(ring.last, told));
        ring.push(fact);
    }

    /// Notes how many messages wait in the spool, and ends the step that is over.
    pub(crate) fn note_spool(&self, messages: u64) {
        self.ring().series.spool(self.began.elapsed(), messages);
    }

    /// How long the step that runs has still to go.
    pub(crate) fn left_of_step(&self) -> Duration {
        let step = STEP.as_millis();
        let left = step - self.began.elapsed().as_millis() % step;
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    /// The facts after a number, oldest first, at most so many of the newest; and the number of the last of all.
    pub(crate) fn after(&self, number: u64, most: usize) -> (Vec<Arc<Fact>>, u64) {
        let ring = self.ring();
        let newer = |facts: &VecDeque<Arc<Fact>>| -> Vec<Arc<Fact>> {
            let from = facts.partition_point(|fact| fact.number <= number);
            facts.range(from.max(facts.len().saturating_sub(most))..).cloned().collect()
        };
        let (mut found, rejected, last) = (newer(&ring.callbacks), newer(&ring.rejected), ring.last);
        drop(ring);
        if !rejected.is_empty() {
            found.extend(rejected);
            found.sort_unstable_by_key(|fact| fact.number);
        }
        found.drain(..found.len().saturating_sub(most));
        (found, last)
    }

    /// The steps that have ended since this one began, oldest first; all that are kept without one.
    pub(crate) fn points(&self, after: Option<u64>) -> Vec<Point> {
        self.ring().series.after(after)
    }

    pub(crate) fn lately(&self) -> Lately {
        self.ring().series.sum()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing in there can be half done: a panic of one who held it harms nobody.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, fact: Arc<Fact>) {
        let is_rejected = fact.outcome == Outcome::Rejected;
        if self.callbacks.len() + self.rejected.len() == KEPT {
            match self.rejected.len() > KEPT_OF_REJECTED || self.callbacks.is_empty() {
                true => self.rejected.pop_front(),
                false if is_rejected && self.rejected.len() == KEPT_OF_REJECTED => self.rejected.pop_front(),
                false => self.callbacks.pop_front(),
            };
        }
        let facts = if is_rejected { &mut self.rejected } else { &mut self.callbacks };
        facts.push_back(fact);
    }
}

impl Point {
    /// When it began, in milliseconds since 1970.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }
}

impl Fact {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::fact::tests::telling;
    use super::*;

    fn numbers(recent: &Recent, after: u64) -> Vec<u64> {
        recent.after(after, KEPT).0.iter().map(|fact| fact.number).collect()
    }

    #[test]
    fn the_newest_are_kept_in_their_order() {
        let recent = Recent::new();
        let (none, last) = recent.after(0, KEPT);
        assert!(none.is_empty() && last == 0);
        for _ in 0..KEPT + 7 {
            recent.remember(&telling(Outcome::Published), None);
        }
        assert_eq!(numbers(&recent, 0), (8..=507).collect::<Vec<_>>());
        assert_eq!(numbers(&recent, 505), [506, 507]);
        assert_eq!(numbers(&recent, u64::MAX), [0_u64; 0]);
        assert_eq!(recent.after(0, 3).0.iter().map(|fact| fact.number).collect::<Vec<_>>(), [505, 506, 507]);
        assert_eq!(recent.lately().iter().sum::<u32>(), 507);
    }

    #[test]
    fn what_is_turned_away_pushes_out_no_callback_but_its_own_kind() {
        let recent = Recent::new();
        for _ in 0..400 {
            recent.remember(&telling(Outcome::Published), None);
        }
        for _ in 0..10_000 {
            recent.remember(&telling(Outcome::Rejected), None);
        }
        let kept = numbers(&recent, 0);
        assert_eq!((kept.len(), kept[0], kept[399], kept[400]), (500, 1, 400, 10_301));
        // And where there is nothing else, all of it is kept until something comes.
        let recent = Recent::new();
        for _ in 0..1000 {
            recent.remember(&telling(Outcome::Rejected), None);
        }
        recent.remember(&telling(Outcome::Quarantined), None);
        let kept = numbers(&recent, 0);
        assert_eq!((kept.len(), kept[0], kept[499]), (500, 502, 1001));
    }
}
