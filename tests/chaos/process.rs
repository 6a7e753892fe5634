//! Signals and waiting: what every process under test needs.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What takes this long has failed, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` gives a value.
pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, condition).ok_or(what).expect("within the patience of a test")
}

/// What `condition` gives, if it does in time.
pub(crate) fn within<T>(time: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + time;
    loop {
        let value = condition();
        if value.is_some() || Instant::now() >= deadline {
            return value;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Sends a signal to a process that the test started and has not waited for.
pub(crate) fn signal(name: &str, id: u32) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status();
    assert!(status.expect("kill runs").success(), "kill -{name} {id}");
}

/// A process that does not run while this lives.
pub(crate) struct Frozen(u32);

impl Frozen {
    pub(crate) fn new(id: u32) -> Self {
        signal("STOP", id);
        Self(id)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-CONT").arg(self.0.to_string()).status();
    }
}
