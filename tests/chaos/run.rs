//! A run: load, faults one after another, and the accounts at the end, as a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::fault::{Fault, hold};
use crate::load::Load;
use crate::random::Random;
use crate::stage::{Accounts, Stage};

/// How much of everything.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) faults: usize,
    pub(crate) senders: usize,
    /// The run goes on without faults until so many were posted.
    pub(crate) least_callbacks: u64,
}

/// What is left to say.
pub(crate) struct Summary {
    seed: u64,
    faults: BTreeMap<Fault, u64>,
    answers: BTreeMap<String, u64>,
    callbacks: u64,
    unanswered: usize,
    accounts: Accounts,
    slowest_answer: Duration,
    slowest_return: Duration,
    took: Duration,
    violations: Vec<String>,
}

impl Plan {
    /// Runs it, prints the table, and fails for any broken promise.
    pub(crate) fn run(&self) {
        eprintln!("chaos: seed {}, {} faults", self.seed, self.faults);
        let summary = self.summary();
        println!("{summary}");
        assert!(summary.violations.is_empty(), "seed {}: {:#?}", summary.seed, summary.violations);
        let Accounts { lost, twice, altered, .. } = summary.accounts;
        assert_eq!((lost, twice, altered), (0, 0, 0), "seed {}", summary.seed);
    }

    fn summary(&self) -> Summary {
        let started = Instant::now();
        let mut stage = Stage::set(self.seed);
        let load = Load::start(stage.bridge.address, &stage.ledger, self.senders);
        let faults = self.strike(&mut stage);
        while stage.ledger.drawn() < self.least_callbacks {
            std::thread::sleep(Duration::from_millis(100));
        }
        load.stop();
        let (accounts, violations) = stage.settle();
        let book = stage.ledger.book();
        Summary {
            seed: self.seed,
            faults,
            answers: book.answers.clone(),
            callbacks: stage.ledger.drawn(),
            unanswered: book.resets(),
            accounts,
            slowest_answer: book.slowest,
            slowest_return: stage.slowest_return,
            took: started.elapsed(),
            violations,
        }
    }

    fn strike(&self, stage: &mut Stage) -> BTreeMap<Fault, u64> {
        let mut random = Random::new(self.seed);
        let mut counts = BTreeMap::new();
        let sequence = Fault::sequence(random.clone()).take(self.faults);
        for (turn, fault) in sequence.enumerate() {
            eprintln!("chaos: {:3} {}", turn + 1, fault.describe());
            fault.strike(stage, &mut random);
            *counts.entry(fault).or_default() += 1;
            // Every other fault meets a bridge that has not recovered from the one before.
            if random.one_in(2) {
                stage.wait_until_ready();
            }
            hold(&mut random, 50, 300);
        }
        counts
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Accounts { promised, stored, lost, twice, altered, huge } = self.accounts;
        let faults: u64 = self.faults.values().sum();
        writeln!(f, "\n| seed {} | |\n|---|---:|", self.seed)?;
        writeln!(f, "| **faults** | **{faults}** |")?;
        for (fault, count) in &self.faults {
            writeln!(f, "| {} | {count} |", fault.describe())?;
        }
        writeln!(f, "| **callbacks** | **{}** |", self.callbacks)?;
        for (answer, count) in &self.answers {
            writeln!(f, "| answered {answer} | {count} |")?;
        }
        writeln!(f, "| unanswered: the bridge was killed, or had not read them | {} |", self.unanswered)?;
        writeln!(f, "| **messages promised by an answer** | **{promised}** |")?;
        writeln!(f, "| lost | {lost} |\n| stored twice | {twice} |\n| altered | {altered} |")?;
        writeln!(f, "| stored in all, those without an answer included | {stored} |")?;
        writeln!(f, "| of them in the object store, 2 to 4 MiB each | {huge} |")?;
        writeln!(f, "| slowest answer | {:.2} s |", self.slowest_answer.as_secs_f64())?;
        writeln!(f, "| longest time to ready after healing | {:.2} s |", self.slowest_return.as_secs_f64())?;
        write!(f, "| took | {:.0} s |", self.took.as_secs_f64())
    }
}
