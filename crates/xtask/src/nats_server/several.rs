//! Servers of several versions, for `cargo xtask versions`: the system's package, Debian's being the oldest that is
//! supported, and every version that is pinned. Whichever server is on the path may be anything, and is left alone.

use std::path::PathBuf;

use super::store::{SYSTEM_PACKAGE, Store};
use super::{Attempt, installed, pin, pypi, system_package};
use crate::cargo;

/// A server of one version, or why there is none.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) server: Result<PathBuf, String>,
}

/// Each of them, oldest first, fetched if need be.
pub(crate) fn several() -> Vec<Version> {
    let store = Store::new(cargo::target_dir().join("nats-server"));
    let mut versions = vec![of_the_system(&store)];
    versions.extend(pin::VERSIONS.map(|version| pinned(&store, version)));
    versions
}

/// Its version shows only when it is there.
fn of_the_system(store: &Store) -> Version {
    let server = kept_or_fetched(store, SYSTEM_PACKAGE, || system_package::fetch(store));
    let version = server.as_ref().ok().and_then(|server| installed::version(server).ok());
    let name = version.map_or_else(|| "system package".to_owned(), |version| format!("{version} (system)"));
    Version { name, server }
}

fn pinned(store: &Store, version: &str) -> Version {
    let server = kept_or_fetched(store, version, || pypi::fetch(store, version));
    Version { name: version.to_owned(), server }
}

fn kept_or_fetched(
    store: &Store,
    name: &str,
    fetch: impl FnOnce() -> Result<PathBuf, Vec<Attempt>>,
) -> Result<PathBuf, String> {
    store.kept(name).or_else(|damaged| {
        fetch().map_err(|tried| in_one_line(&damaged.into_iter().chain(tried).collect::<Vec<_>>()))
    })
}

fn in_one_line(attempts: &[Attempt]) -> String {
    // Only the system's package has nothing to say: each of its managers is tried where it is there.
    if attempts.is_empty() {
        return "neither apt-get nor brew is on PATH".to_owned();
    }
    attempts.iter().map(Attempt::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_said_in_one_line() {
        let tried = [Attempt::new("pip3", "no route"), Attempt::new("python3 -m venv", "no such module")];
        assert_eq!(in_one_line(&tried), "pip3: no route; python3 -m venv: no such module");
        assert_eq!(in_one_line(&[]), "neither apt-get nor brew is on PATH");
    }

    #[test]
    fn a_server_that_was_damaged_is_fetched_again() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::new(dir.path().to_path_buf());
        let place = dir.path().join(pin::VERSION);
        std::fs::create_dir_all(&place).expect("its folder");
        std::fs::write(place.join(installed::program()), "half of it").expect("a damaged server");
        let fetched = kept_or_fetched(&store, pin::VERSION, || Ok("fetched".into()));
        assert_eq!(fetched, Ok("fetched".into()));
        let offline = || Err(vec![Attempt::new("pip3", "no route")]);
        let said = kept_or_fetched(&store, pin::VERSION, offline).expect_err("neither");
        assert!(said.contains(&place.display().to_string()) && said.ends_with("; pip3: no route"), "{said}");
    }
}
