//! What is left when `demo` is killed (SIGKILL): a shell that waits for it to end, then ends its nats-server and removes the folder.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Its standard input is a pipe of ours. Reading it ends when we do, however that comes about.
const SCRIPT: &str = "read -r _; kill -9 \"$1\"; n=0; \
    while kill -0 \"$1\" && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done; rm -rf -- \"$2\"";

/// The shell; dropped before the server is, it has nothing to do.
pub(super) struct Watchdog(Option<Child>);

impl Watchdog {
    /// Without a shell the demo works as well; it only leaves more behind when it is killed.
    pub(super) fn over(server: u32, folder: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "ci-bridge-demo"]).arg(server.to_string()).arg(folder);
        // Ctrl-C goes to the whole foreground group; this must outlive it.
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(shell.spawn().ok())
    }

    fn dismiss(&mut self) -> io::Result<()> {
        let Some(shell) = &mut self.0 else { return Ok(()) };
        shell.kill()?;
        shell.wait().map(drop)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // It may have gone already, and there is nobody to tell if it will not.
        let _ = self.dismiss();
    }
}
