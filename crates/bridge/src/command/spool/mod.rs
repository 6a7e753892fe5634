//! `ci-bridge spool`: look at what waits on disk, give messages up, and publish them. While a bridge has the folder open, it
//! is asked on its admin listener.

mod drain;
mod print;
mod source;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ci_bridge_publisher::SpoolSettings;
use clap::Subcommand;

use super::private_files;
use crate::config::{Config, Settings};
use crate::examples;
use crate::failure::{Failure, say};
use source::Source;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Print how many messages wait, their bytes, and for how long the oldest has
    #[command(after_help = examples::SPOOL_STATUS)]
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print what waits, oldest first: id, subject, stream, age, size, attempts, and why
    #[command(after_help = examples::SPOOL_LIST)]
    List {
        /// Only what NATS refuses while it takes other messages; a running bridge knows
        #[arg(long)]
        refused: bool,
        /// Print so many and no more
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Print a message with its headers and its body, as JSON
    #[command(after_help = examples::SPOOL_SHOW)]
    Show {
        /// The message's id
        id: String,
    },
    /// Give messages up for good: they are published nowhere
    #[command(after_help = examples::SPOOL_DROP)]
    Drop {
        /// The messages' ids
        #[arg(required_unless_present = "all")]
        ids: Vec<String>,
        /// Everything that waits
        #[arg(long, conflicts_with = "ids", requires = "yes")]
        all: bool,
        /// Do it without a question
        #[arg(long)]
        yes: bool,
    },
    /// Write every message with its headers and its body, one JSON object a line; all of them stay
    #[command(after_help = examples::SPOOL_EXPORT)]
    Export {
        /// To this file, which must not exist; else to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Only what NATS refuses while it takes other messages; a running bridge knows
        #[arg(long)]
        refused: bool,
    },
    /// Publish everything, then end; a bridge that runs does so by itself, and is waited for
    #[command(after_help = examples::SPOOL_DRAIN)]
    Drain {
        /// Give up after so many seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

pub(crate) fn run(action: Action, config: &Config, settings: Settings) -> Result<ExitCode, Failure> {
    let Some(spool) = settings.publisher.spool.clone() else {
        return Err(
            io::Error::new(io::ErrorKind::NotFound, "there is no spool: spool.enabled is false").into()
        );
    };
    // Whatever the store writes while it is open.
    private_files::from_now_on();
    super::runtime()?.block_on(async {
        if let Action::Drain { seconds } = action {
            return drain::run(&spool, config, settings, Duration::from_secs(seconds)).await;
        }
        let source = source::open(&spool, config).await?;
        let result = match action {
            Action::Status { json } => status(&source, &spool, json).await,
            Action::List { refused, limit, json } => list(&source, &spool, refused, limit, json).await,
            Action::Show { id } => show(&source, &id).await,
            Action::Drop { all: true, .. } => drop_all(&source).await,
            Action::Drop { ids, .. } => drop_messages(&source, &ids).await,
            Action::Export { output, refused } => export(&source, output, refused).await,
            Action::Drain { .. } => Ok(ExitCode::SUCCESS),
        };
        source.close().await;
        Ok(result?)
    })
}

async fn status(source: &Source, settings: &SpoolSettings, json: bool) -> io::Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match source.status().await? {
        Some(status) if json => writeln!(stdout, "{status}")?,
        Some(status) => print::status(&mut stdout, &status, settings)?,
        None if json => writeln!(stdout, "{{\"messages\":0,\"bytes\":0}}")?,
        None => nothing(&mut stdout, settings)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(
    source: &Source,
    settings: &SpoolSettings,
    refused: bool,
    limit: Option<usize>,
    json: bool,
) -> io::Result<ExitCode> {
    if refused && matches!(source, Source::Files(_)) {
        return Err(io::Error::other(
            "what NATS refuses is known while a bridge runs: without one, leave --refused out",
        ));
    }
    let mut stdout = io::stdout().lock();
    if matches!(source, Source::Nothing) && !json {
        nothing(&mut stdout, settings)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = print::Table::default();
    let (mut after, mut left) = (None, limit.unwrap_or(usize::MAX));
    let mut is_empty = true;
    loop {
        let page = source.page(after, refused, false).await?;
        is_empty &= page.messages.is_empty();
        let messages = &page.messages[..page.messages.len().min(left)];
        match json {
            true => messages.iter().try_for_each(|message| writeln!(stdout, "{message}"))?,
            false => table.print(&mut stdout, messages, &page.why)?,
        }
        left -= messages.len();
        after = page.next;
        if after.is_none() || left == 0 {
            if is_empty && !json {
                say(if refused { "NATS refuses none of what waits" } else { "the spool is empty" });
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
}

async fn show(source: &Source, id: &str) -> io::Result<ExitCode> {
    let message = source.message(id).await?.ok_or_else(|| missing(id))?;
    writeln!(io::stdout().lock(), "{}", serde_json::to_string_pretty(&message)?)?;
    if message.get("headers").is_none() {
        say(
            "headers and body are shown with a token only: the admin listener is not on loopback (admin.token_file)",
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn drop_messages(source: &Source, ids: &[String]) -> io::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        match source.drop_message(id).await? {
            0 => {
                say(&missing(id).to_string());
                code = ExitCode::FAILURE;
            }
            1 => writeln!(io::stdout().lock(), "dropped {id}")?,
            many => writeln!(io::stdout().lock(), "dropped {id}, which waited {many} times")?,
        }
    }
    Ok(code)
}

async fn drop_all(source: &Source) -> io::Result<ExitCode> {
    let dropped = source.drop_all().await?;
    writeln!(io::stdout().lock(), "dropped {}", print::messages(dropped))?;
    Ok(ExitCode::SUCCESS)
}

async fn export(source: &Source, output: Option<PathBuf>, refused: bool) -> io::Result<ExitCode> {
    if refused && matches!(source, Source::Files(_)) {
        return Err(io::Error::other(
            "what NATS refuses is known while a bridge runs: without one, leave --refused out",
        ));
    }
    let mut target: Box<dyn Write> = match &output {
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let explain = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
            Box::new(io::BufWriter::new(file.map_err(explain)?))
        }
        None => Box::new(io::stdout().lock()),
    };
    let (mut after, mut written) = (None, 0_u64);
    loop {
        let page = source.page(after, refused, true).await?;
        for message in &page.messages {
            writeln!(target, "{message}")?;
            written += 1;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    target.flush()?;
    if let Some(path) = output {
        say(&format!("{} written to {}; they still wait", print::messages(written), path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(stdout: &mut impl Write, settings: &SpoolSettings) -> io::Result<()> {
    writeln!(stdout, "no spool at {}: nothing waits", settings.dir.display())
}

fn missing(id: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no message {id:?} waits in the spool"))
}
