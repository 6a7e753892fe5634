//! What can be typed after `cargo xtask`. Nothing here runs anything.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask",
    max_term_width = 110,
    after_help = "NATS_SERVER=/path/to/nats-server chooses the server; else the one on PATH, else one is fetched once into \
                  target/.\nOnly `versions` takes no notice of it."
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// One line a developer can type.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// See it work: fetch a nats-server if there is none, build ci-bridge, run `ci-bridge demo ARGS`; `demo --reconcile` shows
    /// how lost callbacks are made up for, with a fake CI
    #[command(disable_help_flag = true)]
    Demo(PassedOn),
    /// Every test, against a real nats-server; ARGS go to cargo test (`-p NAME`, a filter, `-- --nocapture`)
    Test(TestArgs),
    /// The long form of the chaos tests, in release
    Chaos(Chaos),
    /// The long form of the flood test, in release: slow and idle connections beside good senders
    Flood(Flood),
    /// The long form of the page's flood, in release: 10,000 callbacks a second with three pages open
    Page {
        /// How long it lasts
        #[arg(long, value_name = "N", default_value_t = 1)]
        minutes: u64,
    },
    /// The tests against other people's servers, on several versions of nats-server, fetched once; ARGS go to the tests (a
    /// filter instead of the usual ones, `--nocapture`)
    #[command(disable_help_flag = true)]
    Versions(PassedOn),
    /// A release build beside floors and peers, in turns (Linux); `bench --help` says more
    #[command(disable_help_flag = true)]
    Bench(PassedOn),
    /// What each stage of a callback costs in instructions, against tests/instructions.txt (valgrind)
    Instructions,
    /// libFuzzer on stable, on what any bytes are held to; ends with 1 on a find
    Fuzz(Fuzz),
    /// Suites of others that a registry carries, against the bridge, each case held to docs/conformance.md
    Conformance {
        /// This one alone
        #[arg(long, value_name = "NAME")]
        suite: Option<String>,
    },
    /// Rustfmt, clippy and rustdoc, with warnings as errors, and deny
    Lint,
    /// Licences, bans, duplicates and sources of dependencies, by deny.toml
    Deny {
        /// Known vulnerabilities instead, which needs git and the public advisory database
        #[arg(long)]
        advisories: bool,
    },
    /// Charts, manifests, containers, systemd unit, Debian package and alerts of deploy/, without a cluster
    DeployCheck {
        /// Bring the chart's table of values up to date
        #[arg(long)]
        write: bool,
    },
    /// What a tag would publish, as far as it can be made here: crates, SBOM, auditable build, workflows, versions
    Release(Release),
    /// Man pages and completions of shells, into target/man and target/completions: packages take them there
    Man,
    /// Test, then lint
    Ci,
    /// Print the path of the nats-server that demo and test use
    NatsServer,
}

/// What goes to another program as it is.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct PassedOn {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<OsString>,
}

#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct TestArgs {
    /// For cargo: `-p NAME`, or a filter
    #[arg(value_name = "ARGS", allow_hyphen_values = true)]
    cargo: Vec<OsString>,
    /// For the test programs: `--nocapture`
    #[arg(last = true, value_name = "ARGS")]
    programs: Vec<OsString>,
}

#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Chaos {
    /// Faults at random, while callbacks come
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) faults: u64,
    /// What chance begins with; else the clock decides
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Callbacks of so many jobs instead, of which many are lost, and the account that finds these
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Flood {
    /// Slow and idle ones
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(crate) connections: u64,
}

#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Fuzz {
    /// Shared by all targets of tests/fuzz
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) minutes: u64,
    /// For this one alone
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Release {
    /// Publish nothing: that is done by a tag and .github/workflows/release.yml, and by nobody by hand
    #[arg(long, required = true)]
    check: bool,
    /// The tag that it would be
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
}

impl TestArgs {
    /// As `cargo test` takes them.
    pub(crate) fn all(&self) -> Vec<OsString> {
        let separator = (!self.programs.is_empty()).then(|| OsString::from("--"));
        self.cargo.iter().cloned().chain(separator).chain(self.programs.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Option<Command>, clap::Error> {
        CommandLine::try_parse_from(["xtask"].into_iter().chain(line.split_whitespace()))
            .map(|line| line.command)
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_definition_holds() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_is_for_others_goes_on_as_it_is() {
        for (line, expected) in [
            ("demo --json -q", Command::Demo(PassedOn { args: words("--json -q") })),
            ("bench --help", Command::Bench(PassedOn { args: words("--help") })),
            (
                "versions endpoints --nocapture",
                Command::Versions(PassedOn { args: words("endpoints --nocapture") }),
            ),
        ] {
            assert_eq!(parse(line).expect(line), Some(expected), "{line}");
        }
        for args in
            ["", "endpoints", "-p xtask", "-- --nocapture", "-p ci-bridge endpoints -- --nocapture -q"]
        {
            let Ok(Some(Command::Test(test))) = parse(&format!("test {args}")) else { panic!("{args}") };
            assert_eq!(test.all(), words(args), "{args}");
        }
    }

    #[test]
    fn options_have_values_of_their_own_or_the_usual_ones() {
        for (line, expected) in [
            ("chaos", Command::Chaos(Chaos { faults: 200, seed: None, jobs: None })),
            ("chaos --faults 50 --seed 7", Command::Chaos(Chaos { faults: 50, seed: Some(7), jobs: None })),
            ("flood", Command::Flood(Flood { connections: 2_000 })),
            ("page --minutes 5", Command::Page { minutes: 5 }),
            ("fuzz --target xml", Command::Fuzz(Fuzz { minutes: 10, target: Some("xml".into()) })),
            ("conformance", Command::Conformance { suite: None }),
            ("deny --advisories", Command::Deny { advisories: true }),
            (
                "release --check --tag v1.0.0",
                Command::Release(Release { check: true, tag: Some("v1.0.0".into()) }),
            ),
        ] {
            assert_eq!(parse(line).expect(line), Some(expected), "{line}");
        }
        assert_eq!(parse("").expect("the help"), None);
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for (line, kind) in [
            ("tset", ErrorKind::InvalidSubcommand),
            ("release", ErrorKind::MissingRequiredArgument),
            ("release --check --tag", ErrorKind::InvalidValue),
            ("chaos --fast", ErrorKind::UnknownArgument),
            ("chaos --faults many", ErrorKind::ValueValidation),
            ("fuzz xml", ErrorKind::UnknownArgument),
            ("nats-server 2.9", ErrorKind::UnknownArgument),
        ] {
            assert_eq!(parse(line).expect_err(line).kind(), kind, "{line}");
        }
    }
}
