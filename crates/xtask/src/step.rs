//! The steps that commands consist of: how each is told of, and how it ends.

use std::error::Error;
use std::io;
use std::process::{self, ExitStatus};

/// How the last step ended; an error when a step could not be started at all.
pub(crate) type Outcome = Result<ExitStatus, Box<dyn Error>>;

/// The environment variable that tells `ci-bridge demo` and the tests which server to start, as an absolute path.
pub(crate) const NATS_SERVER: &str = "NATS_SERVER";

/// Says which cargo call comes now.
pub(crate) fn announce(step: &process::Command) {
    let args: Vec<_> = step.get_args().map(|arg| arg.to_string_lossy()).collect();
    eprintln!("==> cargo {}", args.join(" "));
}

/// Replaces this process, so that Ctrl-C, the exit code and the terminal are the child's own affair. Returns only when
/// the child could not be started.
#[cfg(unix)]
pub(crate) fn become_child(child: &mut process::Command) -> Outcome {
    use std::os::unix::process::CommandExt;
    let error: io::Error = child.exec();
    Err(error.into())
}

/// Where a process cannot be replaced, it is waited for.
#[cfg(not(unix))]
pub(crate) fn become_child(child: &mut process::Command) -> Outcome {
    let status: io::Result<ExitStatus> = child.status();
    Ok(status?)
}
