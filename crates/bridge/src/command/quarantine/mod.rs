//! `ci-bridge quarantine`: what was kept because nobody could read it or JetStream refused it, and another try after a
//! fix. A body goes to the endpoint again that it came to; a refused message, which was routed already, straight to its
//! stream.

mod entry;
mod export;
mod list;
mod replay;
mod store;
mod target;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::or_say;
use crate::config::{Config, Settings};
use crate::examples;
use crate::failure::{Failure, say};
use replay::Replay;
use store::Store;
pub(super) use target::TargetArgs;

/// What the commands that take everything say when there is nothing.
const EMPTY: &str = "nothing is in quarantine";

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Print what was kept, oldest first: number, time, reason, endpoint, size, message id, detail
    #[command(after_help = examples::QUARANTINE_LIST)]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print a body as it came
    #[command(after_help = examples::QUARANTINE_SHOW)]
    Show {
        /// Its number in the list
        number: u64,
    },
    /// Post bodies again to the endpoint that they came to, and publish refused messages again; those that are taken leave
    /// quarantine
    #[command(after_help = examples::QUARANTINE_REPLAY)]
    Replay {
        /// Their numbers in the list; none means all
        numbers: Vec<u64>,
        #[command(flatten)]
        target: TargetArgs,
        /// Keep them in quarantine as well
        #[arg(long)]
        keep: bool,
    },
    /// Delete entries for good
    #[command(after_help = examples::QUARANTINE_DELETE)]
    Delete {
        /// Their numbers in the list
        #[arg(required_unless_present = "all")]
        numbers: Vec<u64>,
        /// Everything that is there now
        #[arg(long, conflicts_with = "numbers", requires = "yes")]
        all: bool,
        /// Do it without a question
        #[arg(long)]
        yes: bool,
    },
    /// Write entries with their headers and their bodies, one JSON object a line; all of them stay
    #[command(after_help = examples::QUARANTINE_EXPORT)]
    Export {
        /// Their numbers in the list; none means all
        numbers: Vec<u64>,
        /// To this file, which must not exist; else to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

pub(crate) fn run(action: Action, config: &Config, settings: &Settings) -> Result<ExitCode, Failure> {
    super::runtime()?.block_on(async {
        let servers = settings.publisher.connection.servers_without_credentials();
        let opening = Store::open(settings);
        match or_say(opening, || format!("asking NATS at {servers} for the stream of quarantine")).await? {
            Some(store) => act(action, &store, config, settings).await,
            // Until the first bridge makes the stream, nothing has been kept.
            None => nothing(&action),
        }
    })
}

async fn act(
    action: Action,
    store: &Store,
    config: &Config,
    settings: &Settings,
) -> Result<ExitCode, Failure> {
    match action {
        Action::List { json } => list::run(store, json).await,
        Action::Show { number } => {
            let entry = store.find(number).await?.ok_or_else(|| missing(number))?;
            io::stdout().lock().write_all(&entry.body())?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Replay { numbers, target, keep } => {
            let replay = Replay { config, limits: &settings.limits.parse, target: &target, keep };
            replay.run(store, numbers).await
        }
        Action::Delete { all: true, .. } => delete_all(store).await,
        Action::Delete { numbers, .. } => delete(store, &numbers).await,
        Action::Export { numbers, output } => export::run(store, &numbers, output.as_deref()).await,
    }
}

fn nothing(action: &Action) -> Result<ExitCode, Failure> {
    let number = match action {
        Action::List { .. } => None,
        Action::Show { number } => Some(number),
        Action::Replay { numbers, .. } | Action::Delete { numbers, .. } | Action::Export { numbers, .. } => {
            numbers.first()
        }
    };
    if let Some(number) = number {
        return Err(missing(*number).into());
    }
    if !matches!(action, Action::List { json: true }) {
        say(EMPTY);
    }
    Ok(ExitCode::SUCCESS)
}

async fn delete(store: &Store, numbers: &[u64]) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for number in numbers {
        if store.find(*number).await?.is_some() {
            store.delete(*number).await?;
            writeln!(io::stdout().lock(), "deleted {number}")?;
        } else {
            say(&missing(*number).to_string());
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

async fn delete_all(store: &Store) -> Result<ExitCode, Failure> {
    let deleted = store.purge().await?;
    let entries = if deleted == 1 { "entry" } else { "entries" };
    writeln!(io::stdout().lock(), "deleted {deleted} {entries}")?;
    Ok(ExitCode::SUCCESS)
}

fn missing(number: u64) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("quarantine has no number {number}"))
}
