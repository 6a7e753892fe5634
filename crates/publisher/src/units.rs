//! Lengths of time and amounts of bytes, written as the configuration reads them.

use std::time::Duration;

/// `7d`, `90min`: in the largest unit that gives a whole number, and in seconds otherwise.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    in_units(seconds, &[(86_400, "d"), (3600, "h"), (60, "min")], "s")
}

/// `256MiB`, `1000B`: in the largest unit that gives a whole number.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    in_units(bytes, &[(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")], "B")
}

fn in_units(amount: u64, units: &[(u64, &str)], smallest: &str) -> String {
    let exact = units.iter().find(|(unit, _)| amount > 0 && amount.is_multiple_of(*unit));
    let (unit, name) = exact.copied().unwrap_or((1, smallest));
    format!("{}{name}", amount / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_numbers() {
        for (seconds, expected) in [(604_800, "7d"), (7200, "2h"), (5400, "90min"), (61, "61s"), (0, "0s")] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
        for (amount, expected) in [(1 << 41, "2TiB"), (268_435_456, "256MiB"), (1000, "1000B"), (0, "0B")] {
            assert_eq!(bytes(amount), expected);
        }
    }
}
