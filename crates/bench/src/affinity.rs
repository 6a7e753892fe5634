//! Which core each process runs on. With two or more, the contender has one to itself, and nats-server shares another
//! with the load generator: then a contender's figures are its own, and those of a core.

use std::process::{Child, Command};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Failure;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Contender,
    /// nats-server and the load generator.
    Others,
}

/// The cores that this process may use.
pub(crate) fn cores() -> Vec<usize> {
    let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

/// Starts a program on its core. A child inherits the cores of the thread that starts it, so this thread goes there
/// for that moment: unlike moving the child afterwards, the child never sees, and never counts, more than its one.
pub(crate) fn spawn(command: &mut Command, side: Side) -> Result<Child, Failure> {
    let program = command.get_program().display().to_string();
    let start = |command: &mut Command| command.spawn().map_err(|error| format!("{program}: {error}").into());
    let (Some(core), Ok(before)) = (core_of(side), sched_getaffinity(None)) else {
        return start(command);
    };
    let mut alone = CpuSet::new();
    alone.set(core);
    sched_setaffinity(None, &alone)?;
    let child = start(command);
    sched_setaffinity(None, &before)?;
    child
}

/// None where there is nothing to choose.
fn core_of(side: Side) -> Option<usize> {
    match (cores().as_slice(), side) {
        ([] | [_], _) => None,
        ([first, ..], Side::Others) => Some(*first),
        ([.., last], Side::Contender) => Some(*last),
    }
}
