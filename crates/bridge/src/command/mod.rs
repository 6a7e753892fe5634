//! One file a command.

mod admin_api;
pub(crate) mod check;
mod check_tencent;
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
mod samples;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod spool;
pub(crate) mod tail;
mod trust;

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A runtime for commands that wait for the network.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// SIGTERM and SIGINT, which mean the same.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
