//! What each version came to, for people. Pure.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;

use super::tally::Tally;

/// One version.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// Empty for one that is left out.
    pub(super) server: PathBuf,
    pub(super) came_to: CameTo,
}

#[derive(Debug)]
pub(super) enum CameTo {
    /// The tests ran to their end, so many seconds later.
    Counted { tally: Tally, seconds: u64 },
    /// The tests did not run, or not to their end, for this reason.
    Broken(String),
    /// There is no server of that version, for this reason.
    LeftOut(String),
}

impl CameTo {
    pub(super) fn of(tally: Option<Tally>, seconds: u64, status: &str) -> Self {
        match tally {
            None => Self::Broken(format!("no result, {status}")),
            // A filter that was typed wrong must not look like success.
            Some(Tally { passed: 0, failed: 0, .. }) => Self::Broken("no test has such a name".to_owned()),
            Some(tally) => Self::Counted { tally, seconds },
        }
    }
}

impl Row {
    pub(super) fn is_left_out(&self) -> bool {
        matches!(self.came_to, CameTo::LeftOut(_))
    }

    /// What to type to see what failed here again.
    pub(super) fn again(&self, words: &[OsString]) -> Option<String> {
        let tests = match &self.came_to {
            CameTo::Counted { tally, .. } if tally.failed == 0 => return None,
            CameTo::LeftOut(_) => return None,
            CameTo::Counted { tally, .. } => tally.failures.join(" "),
            CameTo::Broken(_) => {
                words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
            }
        };
        let server = self.server.display();
        Some(format!(
            "  NATS_SERVER={server} cargo xtask test --package ci-bridge --test integration -- {tests}"
        ))
    }
}

/// A line a version, and under it a line for each test that failed.
pub(super) fn render(rows: &[Row]) -> String {
    let mut table = format!("{:20} {:>6} {:>6} {:>7}\n", "nats-server", "passed", "failed", "seconds");
    for Row { name, came_to, .. } in rows {
        // Writing to a String cannot fail.
        let _ = match came_to {
            CameTo::Counted { tally, seconds } => {
                writeln!(table, "{name:20} {:>6} {:>6} {seconds:>7}", tally.passed, tally.failed)
            }
            CameTo::Broken(reason) => writeln!(table, "{name:20} failed: {reason}"),
            CameTo::LeftOut(reason) => writeln!(table, "{name:20} left out: {reason}"),
        };
        if let CameTo::Counted { tally, .. } = came_to {
            table.extend(tally.failures.iter().map(|test| format!("  {test}\n")));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, came_to: CameTo) -> Row {
        Row { name: name.to_owned(), server: format!("target/{name}").into(), came_to }
    }

    fn rows() -> [Row; 5] {
        let tally = |passed, failures: &[&str]| {
            let failures: Vec<_> = failures.iter().map(|test| (*test).to_owned()).collect();
            Some(Tally { passed, failed: u64::try_from(failures.len()).unwrap_or(0), failures })
        };
        [
            row("2.9.10 (system)", CameTo::of(tally(62, &["outage::a"]), 101, "exit status: 101")),
            row("2.10.26", CameTo::of(tally(63, &[]), 98, "exit status: 0")),
            row("2.12.8", CameTo::of(None, 3, "signal: 9 (SIGKILL)")),
            row("2.15.0", CameTo::of(tally(0, &[]), 0, "exit status: 0")),
            row("2.15.1", CameTo::LeftOut("pip3: no route".to_owned())),
        ]
    }

    #[test]
    fn every_version_has_a_line() {
        let expect = "\
nats-server          passed failed seconds
2.9.10 (system)          62      1     101
  outage::a
2.10.26                  63      0      98
2.12.8               failed: no result, signal: 9 (SIGKILL)
2.15.0               failed: no test has such a name
2.15.1               left out: pip3: no route
";
        assert_eq!(render(&rows()), expect);
    }

    #[test]
    fn only_what_failed_is_seen_again() {
        let words = ["outage::".into(), "endpoints::".into()];
        let again = rows().map(|row| row.again(&words));
        let line = |row: &str, tests: &str| {
            let test = "cargo xtask test --package ci-bridge --test integration";
            Some(format!("  NATS_SERVER=target/{row} {test} -- {tests}"))
        };
        let expect = [
            line("2.9.10 (system)", "outage::a"),
            None,
            line("2.12.8", "outage:: endpoints::"),
            line("2.15.0", "outage:: endpoints::"),
            None,
        ];
        assert_eq!(again, expect);
    }
}
