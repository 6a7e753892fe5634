//! What can be typed after `cargo xtask`. Pure: nothing here runs anything.

use std::ffi::OsString;
use std::fmt;

/// Shown by `cargo xtask help`, and after a command that was not understood.
pub(crate) const HELP: &str = "\
usage: cargo xtask <command>

  demo [ARGS]     see it work: fetch a nats-server if there is none, build ci-bridge, run `ci-bridge demo ARGS`;
                  `demo --reconcile` shows how lost callbacks are made up for, with a fake CI
  test [ARGS]     every test, against a real nats-server; ARGS go to cargo test (`-p NAME`, a filter, `-- --nocapture`)
  chaos [--faults N] [--seed S]
                  the long form of the chaos test, in release: N faults (200) at random from seed S (the clock's)
  chaos --jobs N  the other one: callbacks of N jobs, of which many are lost, and the account that finds these
  flood [--connections N]
                  the long form of the flood test, in release: N slow and idle connections (2000) beside good senders
  page [--minutes N]
                  the long form of the page's flood, in release: N minutes (1) of 10,000 callbacks a second, three pages open
  versions [ARGS] the tests against other people's servers, on several versions of nats-server, fetched once;
                  ARGS go to the tests (a filter instead of the usual ones, `--nocapture`)
  bench [ARGS]    a release build beside floors and peers, in turns (Linux); `bench --help` says more
  instructions    what each stage of a callback costs in instructions, against tests/instructions.txt (valgrind)
  fuzz [--minutes N] [--target T]
                  libFuzzer on stable: N minutes (10) shared by all targets of tests/fuzz, or for T alone; 1 on a find
  conformance [--suite NAME]
                  suites of others that a registry carries, against the bridge, each case held to docs/conformance.md
  lint            rustfmt, clippy and rustdoc, with warnings as errors, and deny
  deny [--advisories]
                  licences, bans, duplicates and sources of dependencies, by deny.toml; or known vulnerabilities, which
                  needs git and the public advisory database
  deploy-check [--write]
                  charts, manifests, containers, systemd unit, Debian package and alerts of deploy/, without a cluster;
                  --write brings the chart's table of values up to date
  release --check [--tag T]
                  what a tag would publish, as far as it can be made here: crates, SBOM, auditable build, workflows, versions
  man             man pages and completions of shells, into target/man and target/completions: packages take them there
  ci              test, then lint
  nats-server     print the path of the nats-server that demo and test use
  help            this text

NATS_SERVER=/path/to/nats-server chooses the server; else the one on PATH, else one is fetched once into target/.
Only `versions` takes no notice of it.";

/// One line a developer can type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Demo { args: Vec<OsString> },
    Test { args: Vec<OsString> },
    Chaos(Chaos),
    Flood(Flood),
    Page { minutes: Option<u64> },
    Versions { args: Vec<OsString> },
    Bench { args: Vec<OsString> },
    Instructions,
    Fuzz(Fuzz),
    Conformance { suite: Option<String> },
    Lint,
    Deny { advisories: bool },
    DeployCheck { write: bool },
    Release { tag: Option<String> },
    Man,
    Ci,
    NatsServer,
    Help,
}

/// What `cargo xtask chaos` is told; the test knows the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chaos {
    pub(crate) faults: Option<u64>,
    pub(crate) seed: Option<u64>,
    /// Instead of faults: callbacks that are lost.
    pub(crate) jobs: Option<u64>,
}

/// What `cargo xtask flood` is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flood {
    pub(crate) connections: Option<u64>,
}

/// What `cargo xtask fuzz` is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fuzz {
    pub(crate) minutes: Option<u64>,
    pub(crate) target: Option<String>,
}

impl Command {
    /// Reads the words after `cargo xtask`; no word at all asks for help.
    ///
    /// # Errors
    /// A word that is no command, or an argument to a command that takes none.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut words = words.into_iter();
        let Some(name) = words.next() else {
            return Ok(Self::Help);
        };
        let args: Vec<OsString> = words.collect();
        let command = match name.to_str() {
            Some("demo") => return Ok(Self::Demo { args }),
            Some("test") => return Ok(Self::Test { args }),
            Some("versions") => return Ok(Self::Versions { args }),
            Some("bench") => return Ok(Self::Bench { args }),
            Some("chaos") => return Chaos::parse(name, args).map(Self::Chaos),
            Some("flood") => return Flood::parse(name, args).map(Self::Flood),
            Some("page") => return parse_page(name, args),
            Some("instructions") => Self::Instructions,
            Some("fuzz") => return Fuzz::parse(name, args).map(Self::Fuzz),
            Some("conformance") => return parse_conformance(name, args),
            Some("deny") => return parse_deny(name, args),
            Some("deploy-check") => return parse_deploy_check(name, args),
            Some("lint") => Self::Lint,
            Some("release") => return parse_release(name, args),
            Some("man") => Self::Man,
            Some("ci") => Self::Ci,
            Some("nats-server") => Self::NatsServer,
            Some("help" | "--help" | "-h") => Self::Help,
            _ => return Err(UsageError::UnknownCommand(name)),
        };
        match args.into_iter().next() {
            None => Ok(command),
            Some(argument) => Err(UsageError::UnexpectedArgument { command: name, argument }),
        }
    }
}

impl Chaos {
    fn parse(command: OsString, args: Vec<OsString>) -> Result<Self, UsageError> {
        let mut chaos = Self::default();
        numbers(
            command,
            args,
            &mut [("--faults", &mut chaos.faults), ("--seed", &mut chaos.seed), ("--jobs", &mut chaos.jobs)],
        )?;
        Ok(chaos)
    }
}

impl Flood {
    fn parse(command: OsString, args: Vec<OsString>) -> Result<Self, UsageError> {
        let mut flood = Self::default();
        numbers(command, args, &mut [("--connections", &mut flood.connections)])?;
        Ok(flood)
    }
}

fn parse_page(command: OsString, args: Vec<OsString>) -> Result<Command, UsageError> {
    let mut minutes = None;
    numbers(command, args, &mut [("--minutes", &mut minutes)])?;
    Ok(Command::Page { minutes })
}

/// Reads options that each take a number, and have a place for it.
fn numbers(
    command: OsString,
    args: Vec<OsString>,
    places: &mut [(&str, &mut Option<u64>)],
) -> Result<(), UsageError> {
    let mut args = args.into_iter();
    while let Some(option) = args.next() {
        let Some((_, place)) = places.iter_mut().find(|(name, _)| option == *name) else {
            return Err(UsageError::UnknownOption { command, option });
        };
        let number = args.next().and_then(|text| text.to_str()?.parse().ok());
        **place = Some(number.ok_or(UsageError::NoNumber(option))?);
    }
    Ok(())
}

impl Fuzz {
    fn parse(command: OsString, args: Vec<OsString>) -> Result<Self, UsageError> {
        let mut fuzz = Self::default();
        let mut args = args.into_iter();
        while let Some(option) = args.next() {
            let value = |args: &mut std::vec::IntoIter<OsString>| args.next()?.into_string().ok();
            match option.to_str() {
                Some("--minutes") => {
                    let number = value(&mut args).and_then(|text| text.parse().ok());
                    fuzz.minutes = Some(number.ok_or(UsageError::NoNumber(option))?);
                }
                Some("--target") => {
                    fuzz.target = Some(value(&mut args).ok_or(UsageError::NoName(option))?);
                }
                _ => return Err(UsageError::UnknownOption { command, option }),
            }
        }
        Ok(fuzz)
    }
}

fn parse_conformance(command: OsString, args: Vec<OsString>) -> Result<Command, UsageError> {
    let mut args = args.into_iter();
    let mut suite = None;
    while let Some(option) = args.next() {
        if option != "--suite" {
            return Err(UsageError::UnknownOption { command, option });
        }
        let name = args.next().and_then(|name| name.into_string().ok());
        suite = Some(name.ok_or(UsageError::NoName(option))?);
    }
    Ok(Command::Conformance { suite })
}

fn parse_deny(command: OsString, args: Vec<OsString>) -> Result<Command, UsageError> {
    match args.into_iter().next() {
        None => Ok(Command::Deny { advisories: false }),
        Some(option) if option == "--advisories" => Ok(Command::Deny { advisories: true }),
        Some(option) => Err(UsageError::UnknownOption { command, option }),
    }
}

fn parse_deploy_check(command: OsString, args: Vec<OsString>) -> Result<Command, UsageError> {
    match args.into_iter().next() {
        None => Ok(Command::DeployCheck { write: false }),
        Some(option) if option == "--write" => Ok(Command::DeployCheck { write: true }),
        Some(option) => Err(UsageError::UnknownOption { command, option }),
    }
}

/// Without `--check` there is nothing: the workflow publishes, and nobody by hand.
fn parse_release(command: OsString, args: Vec<OsString>) -> Result<Command, UsageError> {
    let mut args = args.into_iter();
    match args.next() {
        Some(check) if check == "--check" => {}
        Some(option) => return Err(UsageError::UnknownOption { command, option }),
        None => return Err(UsageError::NoCheck),
    }
    let mut tag = None;
    while let Some(option) = args.next() {
        if option != "--tag" {
            return Err(UsageError::UnknownOption { command, option });
        }
        let name = args.next().and_then(|name| name.into_string().ok());
        tag = Some(name.ok_or(UsageError::NoName(option))?);
    }
    Ok(Command::Release { tag })
}

/// What was typed cannot be run; type something else.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    UnknownCommand(OsString),
    UnexpectedArgument { command: OsString, argument: OsString },
    UnknownOption { command: OsString, option: OsString },
    NoNumber(OsString),
    NoName(OsString),
    NoCheck,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCommand(name) => write!(f, "there is no command '{}'", name.display()),
            Self::UnknownOption { command, option } => {
                write!(f, "'{}' takes no such argument as '{}'", command.display(), option.display())
            }
            Self::NoNumber(option) => write!(f, "a number is needed after '{}'", option.display()),
            Self::NoCheck => {
                f.write_str("type 'release --check': a tag publishes, by .github/workflows/release.yml")
            }
            Self::NoName(option) => write!(f, "a name is needed after '{}'", option.display()),
            Self::UnexpectedArgument { command, argument } => {
                write!(f, "'{}' takes no argument, but got '{}'", command.display(), argument.display())
            }
        }
    }
}

impl std::error::Error for UsageError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn command_lines_that_run() {
        for (line, expect) in [
            ("", Command::Help),
            ("help", Command::Help),
            ("--help", Command::Help),
            ("demo", Command::Demo { args: vec![] }),
            ("demo --json -q", Command::Demo { args: words("--json -q") }),
            ("test", Command::Test { args: vec![] }),
            ("test -- --nocapture", Command::Test { args: words("-- --nocapture") }),
            ("chaos", Command::Chaos(Chaos::default())),
            (
                "chaos --faults 50 --seed 7",
                Command::Chaos(Chaos { faults: Some(50), seed: Some(7), jobs: None }),
            ),
            ("chaos --jobs 20000", Command::Chaos(Chaos { jobs: Some(20_000), ..Chaos::default() })),
            ("flood --connections 500", Command::Flood(Flood { connections: Some(500) })),
            ("page", Command::Page { minutes: None }),
            ("page --minutes 5", Command::Page { minutes: Some(5) }),
            ("versions", Command::Versions { args: vec![] }),
            ("versions truths --nocapture", Command::Versions { args: words("truths --nocapture") }),
            ("bench --quick", Command::Bench { args: words("--quick") }),
            ("instructions", Command::Instructions),
            ("fuzz", Command::Fuzz(Fuzz::default())),
            (
                "fuzz --minutes 5 --target xml",
                Command::Fuzz(Fuzz { minutes: Some(5), target: Some("xml".into()) }),
            ),
            ("conformance", Command::Conformance { suite: None }),
            ("conformance --suite xml", Command::Conformance { suite: Some("xml".into()) }),
            ("deny", Command::Deny { advisories: false }),
            ("deny --advisories", Command::Deny { advisories: true }),
            ("deploy-check", Command::DeployCheck { write: false }),
            ("deploy-check --write", Command::DeployCheck { write: true }),
            ("lint", Command::Lint),
            ("release --check", Command::Release { tag: None }),
            ("release --check --tag v1.0.0", Command::Release { tag: Some("v1.0.0".into()) }),
            ("man", Command::Man),
            ("ci", Command::Ci),
            ("nats-server", Command::NatsServer),
        ] {
            assert_eq!(Command::parse(words(line)), Ok(expect), "{line}");
        }
    }

    #[test]
    fn command_lines_that_do_not() {
        for (line, expect) in [
            ("tset", "there is no command 'tset'"),
            ("--demo", "there is no command '--demo'"),
            ("release", "type 'release --check': a tag publishes, by .github/workflows/release.yml"),
            ("release --check --tag", "a name is needed after '--tag'"),
            ("chaos --fast", "'chaos' takes no such argument as '--fast'"),
            ("chaos --seed", "a number is needed after '--seed'"),
            ("chaos --faults many", "a number is needed after '--faults'"),
            ("flood --fast", "'flood' takes no such argument as '--fast'"),
            ("page --quick", "'page' takes no such argument as '--quick'"),
            ("fuzz --minutes", "a number is needed after '--minutes'"),
            ("fuzz --target", "a name is needed after '--target'"),
            ("fuzz xml", "'fuzz' takes no such argument as 'xml'"),
            ("conformance --suite", "a name is needed after '--suite'"),
            ("conformance xml", "'conformance' takes no such argument as 'xml'"),
            ("deny --all", "'deny' takes no such argument as '--all'"),
            ("deploy-check --fast", "'deploy-check' takes no such argument as '--fast'"),
            ("ci --fast", "'ci' takes no argument, but got '--fast'"),
            ("nats-server 2.9", "'nats-server' takes no argument, but got '2.9'"),
        ] {
            let error = Command::parse(words(line)).expect_err(line);
            assert_eq!(error.to_string(), expect);
        }
    }

    #[test]
    fn help_names_every_command() {
        for name in [
            "demo",
            "test",
            "chaos",
            "flood",
            "page",
            "versions",
            "bench",
            "instructions",
            "fuzz",
            "conformance",
            "lint",
            "deny",
            "deploy-check",
            "release",
            "man",
            "ci",
            "nats-server",
            "help",
        ] {
            assert!(HELP.contains(&format!("\n  {name} ")), "{name}");
        }
    }
}
