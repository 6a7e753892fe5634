//! Why a command failed, the exit codes that tell it, and the words on standard error.

use std::io::{self, Write};

use crate::config;

/// The configuration cannot be used: EX_CONFIG of sysexits.
pub(crate) const EXIT_CONFIG: u8 = 78;
/// A body cannot be read: EX_DATAERR of sysexits.
pub(crate) const EXIT_DATA: u8 = 65;

/// Why a command failed, by the exit code it leads to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error("{0}")]
    Data(String),
    #[error(transparent)]
    Other(#[from] io::Error),
}

/// One message on standard error, with the program's name before each line.
pub(crate) fn say(message: &str) {
    let mut stderr = io::stderr().lock();
    for line in message.lines() {
        let _ = writeln!(stderr, "ci-bridge: {line}");
    }
}
