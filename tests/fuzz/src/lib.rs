//! The targets as libFuzzer wants them: a promise that is broken is a panic, and so is an input that takes too long.

// `replay/` includes this file as well, without libFuzzer and its clock; so both find the same files beside it.
#[path = "targets.rs"]
mod targets;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// No input of libFuzzer's length may cost more CPU time than this; the usual one costs a ten-thousandth. It is not time
/// on the wall, which an input spends waiting while other programs have the cores.
const SLOWEST: Duration = Duration::from_secs(1);

/// Holds an input to the target of this name, as libFuzzer wants it: a find is a panic.
///
/// # Panics
///
/// When the target's promise is broken, when it took longer than [`SLOWEST`], or when there is no such target.
pub fn insist(name: &str, input: &[u8]) {
    let target = targets::TARGETS.iter().find(|target| target.name == name);
    let before = cpu_time();
    let outcome =
        target.ok_or_else(|| "there is no such target".to_owned()).and_then(|target| (target.check)(input));
    let took = cpu_time().saturating_sub(before);
    assert_eq!(outcome, Ok(()), "{name}: \"{}\"", input.escape_ascii());
    assert!(took <= SLOWEST, "{name}: {took:?} of CPU time for \"{}\"", input.escape_ascii());
}

/// What this thread has used so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // A clock that counts up from nothing is never negative.
    Duration::try_from(time).unwrap_or_default()
}
