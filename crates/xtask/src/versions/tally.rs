//! What a test program says at its end. Pure.

/// How many tests passed and failed, and which failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) failures: Vec<String>,
}

impl Tally {
    /// Nothing when the program did not come to its end.
    pub(super) fn read(said: &str) -> Option<Self> {
        let result = said.lines().rev().find_map(|line| line.strip_prefix("test result: "))?;
        let (passed, failed) = (number_before(result, " passed;")?, number_before(result, " failed;")?);
        Some(Self { passed, failed, failures: failures(said) })
    }
}

fn number_before(result: &str, word: &str) -> Option<u64> {
    let (before, _) = result.split_once(word)?;
    before.rsplit(' ').next()?.parse().ok()
}

/// The names under the last headline; under the one before is what each test wrote.
fn failures(said: &str) -> Vec<String> {
    let (_, list) = said.rsplit_once("\nfailures:\n").unwrap_or_default();
    list.lines().map_while(|line| line.strip_prefix("    ")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
running 2 tests
test outage::a ... ok
test endpoints::b ... ok

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 61 filtered out; finished in 1.53s
";

    const BAD: &str = "
running 3 tests
test outage::a ... ok
test outage::b ... FAILED
test endpoints::c ... FAILED

failures:

---- outage::b stdout ----

thread 'outage::b' panicked at tests/integration/outage.rs:7:5:
    not durable

---- endpoints::c stdout ----
failures:
    of its own


failures:
    outage::b
    endpoints::c

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 60 filtered out; finished in 9.00s
";

    #[test]
    fn both_ends_are_read() {
        assert_eq!(Tally::read(GOOD), Some(Tally { passed: 2, failed: 0, failures: vec![] }));
        let failures = vec!["outage::b".to_owned(), "endpoints::c".to_owned()];
        assert_eq!(Tally::read(BAD), Some(Tally { passed: 1, failed: 2, failures }));
    }

    #[test]
    fn a_program_that_did_not_come_to_its_end_has_no_tally() {
        for said in ["", "\nrunning 3 tests\ntest outage::a ... ok\n", "test result: unheard of"] {
            assert_eq!(Tally::read(said), None, "{said:?}");
        }
    }
}
