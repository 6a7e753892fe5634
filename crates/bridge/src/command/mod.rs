//! One file a command.

mod admin_api;
mod answer;
pub(crate) mod check;
pub(crate) mod demo;
mod file_limit;
pub(crate) mod healthcheck;
pub(crate) mod init;
mod post;
mod printer;
mod private_files;
mod progress;
pub(crate) mod quarantine;
pub(crate) mod reconcile;
pub(crate) mod reload;
pub(crate) mod render;
mod row;
mod samples;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod spool;
mod start_line;
pub(crate) mod tail;
mod watchdog;

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A runtime for commands that wait for the network, on this thread.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Silence for longer than this looks like a program that hangs.
const SILENCE: Duration = Duration::from_secs(2);

/// Waits for something, and says on standard error what it is when that takes longer than a moment.
async fn or_say<F: Future>(wait: F, what: impl FnOnce() -> String) -> F::Output {
    tokio::pin!(wait);
    match tokio::time::timeout(SILENCE, &mut wait).await {
        Ok(done) => done,
        Err(_) => {
            crate::failure::say(&what());
            wait.await
        }
    }
}

/// SIGTERM and SIGINT, which mean the same.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal, or the process that started this one, has gone; only where somebody asked.
    hangup: Option<Signal>,
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, hangup: None })
    }

    /// SIGHUP as well, unless whoever started us ignores it (`nohup`).
    fn listen_with_hangup() -> io::Result<Self> {
        let hangup = (!hangup_is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self { hangup, ..Self::listen()? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            Some(()) = async { self.hangup.as_mut()?.recv().await } => {}
        }
    }
}

/// Listening to a signal ends its being ignored, so this is asked before. Linux tells; elsewhere nobody does.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The first bit is that of signal 1, SIGHUP.
    mask.is_some_and(|mask| mask & 1 != 0)
}
