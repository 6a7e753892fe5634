//! `cargo xtask instructions`: what a callback costs in the pure stages, in instructions, and whether that is within its
//! budget. Unlike time, instructions are the same on a busy machine.
//!
//! | file | holds |
//! |---|---|
//! | `budget.rs` | reading `tests/instructions.txt` |
//! | `valgrind.rs` | callgrind, found or fetched |

mod budget;
mod valgrind;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitStatus;

use crate::cargo::{cargo, root, target_dir};
use crate::step::{Outcome, announce};
use budget::{Budget, Verdict};
use valgrind::Valgrind;

/// What a callback goes through, in order; the program includes those before the one it is told.
const STAGES: [&str; 3] = ["parse", "normalise", "route"];
/// A program is run this many times less, and more, so that what it does besides cancels out.
const FEW: u64 = 2;
/// Enough callbacks that what differs between two runs, such as hashing with random keys, is spread thin.
const MORE_BYTES: u64 = 2_000_000;

/// Counts, prints, and compares.
///
/// # Errors
///
/// No valgrind, a program that does not run, or a budget that is exceeded.
pub(crate) fn run() -> Outcome {
    let valgrind = Valgrind::provision()?;
    check(&valgrind)
}

/// As [`run`]; where there is no valgrind, a sentence. The allocations of the same stages are held to account by an
/// ordinary test everywhere.
pub(crate) fn run_if_possible() -> Outcome {
    match Valgrind::provision() {
        Ok(valgrind) => check(&valgrind),
        Err(reason) => {
            eprintln!("instruction budgets: {reason}");
            Ok(ExitStatus::default())
        }
    }
}

fn check(valgrind: &Valgrind) -> Outcome {
    let mut build = cargo(&[
        "build",
        "--locked",
        "--profile",
        "budget",
        "--package",
        "ci-bridge-publisher",
        "--example",
        "stages",
    ]);
    announce(&build);
    let status = build.status()?;
    if !status.success() {
        return Ok(status);
    }
    let program = target_dir().join("budget/examples/stages");
    println!(
        "{:20}{}{:>12}{:>12}",
        "instructions",
        STAGES.map(|stage| format!("{stage:>12}")).concat(),
        "all",
        "budget"
    );
    let (mut slack, mut exceeded) = (Vec::new(), Vec::new());
    for budget in Budget::read(&fs::read_to_string(root().join("tests/instructions.txt"))?)? {
        let counts = counts(valgrind, &program, &budget)?;
        println!("{}", row(&budget, &counts));
        match budget.verdict(counts.last().copied().unwrap_or_default()) {
            Verdict::Kept => {}
            Verdict::Slack(what) => slack.push(what),
            Verdict::Exceeded(what) => exceeded.push(what),
        }
    }
    slack.iter().for_each(|what| eprintln!("{what}"));
    if exceeded.is_empty() { Ok(status) } else { Err(exceeded.join("\n").into()) }
}

/// Instructions a callback up to each stage.
fn counts(valgrind: &Valgrind, program: &Path, budget: &Budget) -> Result<Vec<u64>, Box<dyn Error>> {
    // A budget is about proportional to the bytes of the body.
    let more = (MORE_BYTES * 20 / budget.instructions).max(10);
    let count = |stage: &&str| -> Result<u64, Box<dyn Error>> {
        let times = |times: u64| valgrind.count(program, &[&budget.body, stage, &times.to_string()]);
        Ok(times(FEW + more)?.saturating_sub(times(FEW)?) / more)
    };
    STAGES.iter().map(count).collect()
}

fn row(budget: &Budget, counts: &[u64]) -> String {
    let mut before = 0;
    let mut row = format!("{:20}", budget.body);
    for count in counts {
        row.push_str(&format!("{:>12}", count.saturating_sub(before)));
        before = *count;
    }
    format!("{row}{before:>12}{:>12}", budget.instructions)
}
