//! The command line: what can be asked for, and who does it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::command::reload::Source;
use crate::command::{
    check, demo, healthcheck, init, quarantine, reconcile, render, schema, send, serve, spool, tail,
};
use crate::config::{self, Loaded, Overrides};
use crate::examples;
use crate::failure::{EXIT_CONFIG, EXIT_DATA, Failure, say};

/// Receives callbacks of Tencent Cloud Infinite (CI) and publishes one NATS message per job, stored in JetStream
/// before the callback is answered.
#[derive(Debug, Parser)]
#[command(name = "ci-bridge", version, max_term_width = 100, after_help = examples::PROGRAM)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the sidecar: take callbacks, publish them, answer
    #[command(after_help = examples::SERVE)]
    Serve(ServeArgs),
    /// Check the configuration, and print what is in effect and where each value came from
    #[command(after_help = examples::CHECK)]
    Check(CheckArgs),
    /// Write a configuration to begin with; asks nothing, and writes over nothing
    #[command(after_help = examples::INIT)]
    Init(init::Arguments),
    /// Print the messages that callback bodies would become, one JSON line each; offline
    #[command(after_help = examples::RENDER)]
    Render(RenderArgs),
    /// Post a sample callback, or files, to a running bridge and show the answer
    #[command(after_help = examples::SEND)]
    Send(SendArgs),
    /// Print messages as they are published
    #[command(after_help = examples::TAIL)]
    Tail(TailArgs),
    /// Print what is published, as JSON Schema or AsyncAPI 3
    #[command(after_help = examples::SCHEMA)]
    Schema(SchemaArgs),
    /// Look at what nobody could read or JetStream refused, and try it again after a fix
    #[command(after_help = examples::QUARANTINE)]
    Quarantine(QuarantineArgs),
    /// Look at the messages that wait on disk, or publish them
    #[command(after_help = examples::SPOOL)]
    Spool(SpoolArgs),
    /// Find jobs and workflow runs that ended without a callback, by CI's query API, and publish them
    #[command(after_help = examples::RECONCILE)]
    Reconcile(ReconcileArgs),
    /// Ask a running bridge whether it is alive, for container health checks: exit 0 or 1
    #[command(after_help = examples::HEALTHCHECK)]
    Healthcheck(HealthcheckArgs),
    /// Watch it work: a throwaway nats-server and bridge, sample callbacks posted, their messages printed
    #[command(after_help = examples::DEMO)]
    Demo(demo::Arguments),
    /// Print what a shell needs to complete this command line
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file (TOML); without one, defaults and the environment hold
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The address for callbacks, over ingress.listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The address for /livez, /readyz and /metrics, over admin.listen
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// The NATS servers, over nats.servers; a comma-separated list
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Which log lines are written, over log.level: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    what: check::Arguments,
}

#[derive(Debug, Args)]
struct RenderArgs {
    /// Files with callback bodies; `-` or none reads standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct SendArgs {
    #[command(flatten)]
    send: send::Arguments,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct TailArgs {
    #[command(flatten)]
    tail: tail::Arguments,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct SchemaArgs {
    /// What to describe
    #[arg(value_enum, default_value_t = schema::Document::Asyncapi)]
    document: schema::Document,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct QuarantineArgs {
    #[command(subcommand)]
    action: quarantine::Action,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct SpoolArgs {
    #[command(subcommand)]
    action: spool::Action,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct ReconcileArgs {
    #[command(flatten)]
    what: reconcile::Arguments,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct HealthcheckArgs {
    #[command(flatten)]
    question: healthcheck::Question,
    #[command(flatten)]
    config: ConfigArgs,
}

/// The command line as data, for man pages.
#[must_use]
pub fn definition() -> clap::Command {
    Cli::command()
}

/// Runs the command that the process was called with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(code) => code,
        // Whoever read our output has gone: nothing to say, and nobody to say it to.
        Err(Failure::Other(error)) if is_of_output(&error) => ExitCode::SUCCESS,
        Err(Failure::Config(error)) => {
            say(&error.to_string());
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Data(message)) => {
            say(&message);
            ExitCode::from(EXIT_DATA)
        }
        Err(Failure::Other(error)) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Whether the error is that of a pipe behind standard output. What breaks between us and a server is told in a sentence,
/// and an error with a sentence is none of the system's own.
fn is_of_output(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe && error.raw_os_error().is_some()
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(args) => {
            let overrides = args.overrides();
            let loaded = config::load(args.config.config.as_deref(), &overrides)?;
            let connection = &loaded.settings.publisher.connection;
            let (nats_files, nats_tls) = (connection.credential_files(), connection.tls.clone());
            let (file, report) = (args.config.config, loaded.report());
            let await_prefix = loaded.settings.await_prefix();
            let config = loaded.config;
            let source = Source { file, overrides, report, config, nats_files, nats_tls, await_prefix };
            serve::run(loaded.settings, source)
        }
        Command::Check(args) => check::run(&args.what, args.config.config.as_deref()),
        Command::Render(args) => render::run(&load(&args.config)?.settings, &args.files),
        Command::Send(args) => send::run(&args.send, &load(&args.config)?.config),
        Command::Tail(args) => tail::run(&load(&args.config)?.settings, &args.tail),
        Command::Schema(args) => {
            let loaded = load(&args.config)?;
            schema::run(args.document, &loaded.config, &loaded.settings)
        }
        Command::Quarantine(args) => {
            let loaded = load(&args.config)?;
            quarantine::run(args.action, &loaded.config, &loaded.settings)
        }
        Command::Spool(args) => {
            let loaded = load(&args.config)?;
            spool::run(args.action, &loaded.config, loaded.settings)
        }
        Command::Healthcheck(args) => healthcheck::run(args.config.config.as_deref(), &args.question),
        Command::Reconcile(args) => reconcile::run(&args.what, load(&args.config)?.settings),
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut definition(), "ci-bridge", &mut text);
            io::stdout().lock().write_all(&text)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn load(args: &ConfigArgs) -> Result<Loaded, Failure> {
    Ok(config::load(args.config.as_deref(), &Overrides::default())?)
}

impl ServeArgs {
    fn overrides(&self) -> Overrides {
        let given = [
            ("ingress.listen", &self.listen),
            ("admin.listen", &self.admin_listen),
            ("nats.servers", &self.nats),
            ("log.level", &self.log_level),
        ];
        Overrides(given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_a_pipe_behind_standard_output_ends_quietly() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let broken = ours.write_all(b"x").unwrap_err();
        assert!(is_of_output(&broken), "{broken:?}");
        let of_a_server = io::Error::new(broken.kind(), format!("not posted: {broken}"));
        assert!(!is_of_output(&of_a_server));
        assert!(!is_of_output(&io::Error::other("full")));
    }

    /// The arguments of the calls of `ci-bridge` in a line of a shell.
    fn calls(line: &str) -> Vec<Vec<String>> {
        let line = line.split("   ").next().unwrap_or_default();
        let words = |call: &str| -> Vec<String> {
            let call = call.split(" > ").next().unwrap_or_default();
            call.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect()
        };
        line.split(" | ").map(words).filter(|words| words.first().is_some_and(|w| w == "ci-bridge")).collect()
    }

    #[test]
    fn every_command_has_examples_and_each_is_a_command_line() {
        let program = Cli::command();
        let mut count = 0;
        let nested = program.get_subcommands().flat_map(clap::Command::get_subcommands);
        for command in std::iter::once(&program).chain(program.get_subcommands()).chain(nested) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut own = 0;
            for line in help.lines().filter_map(|line| line.strip_prefix("  ")) {
                for words in calls(line) {
                    Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{line}: {e}"));
                    own += 1;
                }
            }
            assert!(own > 0, "{}: no example", command.get_name());
            count += own;
        }
        assert!(count > 50, "{count}");
    }
}
