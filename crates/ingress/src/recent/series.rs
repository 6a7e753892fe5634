//! Ten minutes in steps: how many callbacks, how fast they were answered, how late they came, how much waits.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::metrics::Outcome;

/// The width of a step.
pub(crate) const STEP: Duration = Duration::from_secs(5);
/// The steps that are kept: ten minutes, of some 80 bytes each.
pub(super) const STEPS: usize = 120;

/// Callbacks by outcome, in the order of [`Outcome::ALL`].
pub(super) type Counts = [u32; Outcome::ALL.len()];

/// The steps that have ended, and the one that runs.
#[derive(Debug)]
pub(super) struct Series {
    ended: VecDeque<Point>,
    running: Step,
    /// When the running step began, in steps since the series did.
    place: u64,
    /// When the series began, in milliseconds since 1970.
    begin: u64,
    /// Messages in the spool, as it was last told.
    spool: u64,
}

/// A step while it runs.
#[derive(Debug, Default)]
struct Step {
    counts: Counts,
    answers: Histogram,
    ages: Histogram,
}

/// A step that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    /// When it began, in milliseconds since 1970.
    pub(super) at: u64,
    counts: Counts,
    p50: Option<f32>,
    p99: Option<f32>,
    age: Option<f32>,
    spool: u64,
}

impl Series {
    /// Begins now, at `begin` since 1970.
    pub(super) fn new(begin: Duration) -> Self {
        Self {
            ended: VecDeque::with_capacity(STEPS),
            running: Step::default(),
            place: 0,
            begin: u64::try_from(begin.as_millis()).unwrap_or(u64::MAX),
            spool: 0,
        }
    }

    /// Notes a callback, `now` after the series began.
    pub(super) fn count(&mut self, now: Duration, outcome: Outcome, answer: Duration, age: Option<Duration>) {
        self.advance(now);
        self.running.counts[outcome as usize] += 1;
        self.running.answers.add(answer);
        if let Some(age) = age {
            self.running.ages.add(age);
        }
    }

    /// Notes how many messages wait in the spool.
    pub(super) fn spool(&mut self, now: Duration, messages: u64) {
        self.advance(now);
        self.spool = messages;
    }

    /// Ends the steps that have passed.
    fn advance(&mut self, now: Duration) {
        let place = now.as_secs() / STEP.as_secs();
        if place - self.place.min(place) > STEPS as u64 {
            // The machine has slept: all of it is over.
            (self.running, self.place) = (Step::default(), place - STEPS as u64);
        }
        while self.place < place {
            if self.ended.len() == STEPS {
                self.ended.pop_front();
            }
            let step = std::mem::take(&mut self.running);
            self.ended.push_back(Point {
                at: self.begin + self.place * u64::try_from(STEP.as_millis()).unwrap_or(0),
                p50: step.answers.quantile(50),
                p99: step.answers.quantile(99),
                age: step.ages.quantile(50),
                counts: step.counts,
                spool: self.spool,
            });
            self.place += 1;
        }
    }

    /// The steps that began after this, in milliseconds since 1970, oldest first.
    pub(super) fn after(&self, at: Option<u64>) -> Vec<Point> {
        self.ended.iter().filter(|point| at.is_none_or(|at| point.at > at)).cloned().collect()
    }

    /// Callbacks of all steps, the running one included.
    pub(super) fn sum(&self) -> Counts {
        let mut sum = self.running.counts;
        for point in &self.ended {
            for (total, count) in sum.iter_mut().zip(point.counts) {
                *total = total.saturating_add(count);
            }
        }
        sum
    }
}

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let count = |outcomes: &[Outcome]| -> u64 {
            outcomes.iter().map(|outcome| u64::from(self.counts[*outcome as usize])).sum()
        };
        let mut point = serializer.serialize_struct("Point", 8)?;
        point.serialize_field("t", &self.at)?;
        let taken =
            [Outcome::Published, Outcome::Duplicate, Outcome::Spooled, Outcome::Dropped, Outcome::Probe];
        point.serialize_field("taken", &count(&taken))?;
        point.serialize_field("refused", &count(&[Outcome::Quarantined, Outcome::Rejected]))?;
        point.serialize_field("failed", &count(&[Outcome::Unavailable]))?;
        point.serialize_field("p50", &self.p50)?;
        point.serialize_field("p99", &self.p99)?;
        point.serialize_field("age", &self.age)?;
        point.serialize_field("spool", &self.spool)?;
        point.end()
    }
}

/// Durations from a microsecond to three years in buckets that each are at most a quarter wider than their lower end, so
/// that the middle of one is within 12.5 % of all in it.
#[derive(Debug)]
struct Histogram {
    counts: [u32; BUCKETS],
    total: u32,
}

/// Each power of two has this many buckets, as a power of two itself.
const BITS: u32 = 2;
const BUCKETS: usize = 48 << BITS;

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros)] += 1;
        self.total += 1;
    }

    /// The value below which this percentage of all are, in seconds.
    fn quantile(&self, percent: u32) -> Option<f32> {
        let rank = (u64::from(self.total) * u64::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(middle(at))
    }
}

fn bucket(micros: u64) -> usize {
    if micros < 1 << BITS {
        return usize::try_from(micros).unwrap_or(0);
    }
    let power = micros.ilog2();
    let within = (micros >> (power - BITS)) & ((1 << BITS) - 1);
    let at = ((power - BITS + 1) << BITS) as usize + usize::try_from(within).unwrap_or(0);
    at.min(BUCKETS - 1)
}

#[expect(clippy::cast_precision_loss, reason = "a value for a chart, within an eighth")]
fn middle(bucket: usize) -> f32 {
    let lower = |at: usize| match at >> BITS {
        0 => at as f32,
        power => ((1 << BITS) + (at & ((1 << BITS) - 1))) as f32 * 2_f32.powi(power as i32 - 1),
    };
    f32::midpoint(lower(bucket), lower(bucket + 1)) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quantile_is_within_an_eighth() {
        for micros in [5_u64, 17, 100, 999, 1930, 250_000, 3_000_000, 86_400_000_000] {
            let mut histogram = Histogram::default();
            histogram.add(Duration::from_micros(micros));
            let exact = Duration::from_micros(micros).as_secs_f32();
            for percent in [1, 50, 99, 100] {
                let found = histogram.quantile(percent).unwrap();
                assert!((found - exact).abs() <= exact * 0.13, "{micros}: {found} {exact}");
            }
        }
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.add(Duration::from_micros(micros));
        }
        let p99 = histogram.quantile(99).unwrap();
        assert!((p99 - 990e-6).abs() < 990e-6 * 0.13, "{p99}");
        assert_eq!(Histogram::default().quantile(50), None);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn steps_end_with_time_and_ten_minutes_are_kept() {
        let mut series = Series::new(Duration::from_secs(1000));
        let at = Duration::from_secs;
        series.count(at(1), Outcome::Published, Duration::from_millis(2), Some(Duration::from_secs(3)));
        series.count(at(4), Outcome::Quarantined, Duration::from_millis(2), None);
        assert!(series.after(None).is_empty());
        series.spool(at(4), 9);
        series.count(at(16), Outcome::Unavailable, Duration::from_secs(3), None);
        let points = series.after(None);
        assert_eq!(
            points.iter().map(|point| point.at).collect::<Vec<_>>(),
            [1_000_000, 1_005_000, 1_010_000]
        );
        let first = serde_json::to_value(&points[0]).unwrap();
        assert_eq!((&first["taken"], &first["refused"], &first["failed"]), (&json!(1), &json!(1), &json!(0)));
        assert_eq!(first["spool"], 9);
        assert!(first["age"].as_f64().is_some_and(|age| (age - 3.0).abs() < 0.4), "{first}");
        assert_eq!(serde_json::to_value(&points[1]).unwrap()["p50"], json!(null));
        assert_eq!(series.after(Some(1_000_000)).len(), 2);
        assert_eq!(series.sum().iter().sum::<u32>(), 3);
        series.spool(at(100_000), 0);
        assert_eq!(series.after(None).len(), STEPS);
        assert_eq!(series.sum().iter().sum::<u32>(), 0);
    }
}
