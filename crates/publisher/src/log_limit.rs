//! Keeps the log from being filled by what a stranger can cause: of each kind a few lines in a minute, and then one that says
//! how many there were.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// [`LogLimit::sum_up`] is to be called this often.
pub const SUM_UP_INTERVAL: Duration = Duration::from_secs(60);

/// How often what happened since it was last summed up. Both parts of a kind must be few, and neither a sender's: they are
/// remembered for a minute.
#[derive(Debug)]
pub struct LogLimit {
    lines: u64,
    seen: Mutex<HashMap<&'static str, HashMap<String, u64>>>,
}

/// More of one kind than had lines of their own.
#[derive(Debug, PartialEq, Eq)]
pub struct Sum {
    /// Why it happened.
    pub reason: &'static str,
    /// To whom, such as an endpoint.
    pub of: String,
    /// How often, those with a line of their own included.
    pub count: u64,
}

impl LogLimit {
    /// So many lines of each kind until it is summed up.
    #[must_use]
    pub fn new(lines: u64) -> Self {
        Self { lines, seen: Mutex::default() }
    }

    /// Counts it; returns whether it gets a line of its own.
    pub fn admits(&self, reason: &'static str, of: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of_reason = seen.entry(reason).or_default();
        if let Some(count) = of_reason.get_mut(of) {
            *count += 1;
            return *count <= self.lines;
        }
        of_reason.insert(of.to_owned(), 1);
        self.lines > 0
    }

    /// What had no lines of its own, in order; counting begins anew.
    pub fn sum_up(&self) -> Vec<Sum> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let sums = seen.into_iter().flat_map(|(reason, of_reason)| {
            of_reason.into_iter().map(move |(of, count)| Sum { reason, of, count })
        });
        let mut sums: Vec<_> = sums.filter(|sum| sum.count > self.lines).collect();
        sums.sort_by(|a, b| (a.reason, &a.of).cmp(&(b.reason, &b.of)));
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_lines_and_then_a_sum() {
        let limit = LogLimit::new(2);
        let admitted = |reason, of| limit.admits(reason, of);
        assert_eq!([1, 2, 3, 4].map(|_| admitted("token", "a")), [true, true, false, false]);
        assert!(admitted("token", "b") && admitted("size", "a"), "other kinds");
        assert_eq!(limit.sum_up(), [Sum { reason: "token", of: "a".to_owned(), count: 4 }]);
        assert_eq!(limit.sum_up(), []);
        assert!(admitted("token", "a"), "from the beginning");
    }

    #[test]
    fn what_gets_no_line_is_summed_up_all_the_same() {
        let limit = LogLimit::new(0);
        assert!(!limit.admits("closed", ""));
        assert_eq!(limit.sum_up(), [Sum { reason: "closed", of: String::new(), count: 1 }]);
    }
}
