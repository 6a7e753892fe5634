//! What was seen, in one line at the end.

use std::collections::BTreeMap;
use std::time::Duration;

/// Counts messages by state or verdict.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn count(&mut self, state: &str) {
        *self.0.entry(state.to_owned()).or_default() += 1;
    }

    /// `412 messages in 10m: 400 Success, 12 Failed`
    pub(super) fn summary(&self, took: Duration) -> String {
        let took = humantime::format_duration(Duration::from_secs(took.as_secs()));
        let total: u64 = self.0.values().sum();
        let mut states: Vec<_> = self.0.iter().collect();
        states.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let states: Vec<_> = states.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
        match total {
            0 => format!("no messages in {took}"),
            1 => format!("1 message in {took}: {}", states.join(", ")),
            _ => format!("{total} messages in {took}: {}", states.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_state_comes_first() {
        let mut tally = Tally::default();
        assert_eq!(tally.summary(Duration::from_millis(1500)), "no messages in 1s");
        tally.count("Failed");
        assert_eq!(tally.summary(Duration::from_secs(60)), "1 message in 1m: 1 Failed");
        tally.count("Success");
        tally.count("Success");
        assert_eq!(tally.summary(Duration::from_secs(600)), "3 messages in 10m: 2 Success, 1 Failed");
    }
}
