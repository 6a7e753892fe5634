//! `ci-bridge quarantine`: the bodies that nobody could read, and another try after a fix.

use std::io::{self, Write};
use std::process::ExitCode;

use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, message::StreamMessage};
use ci_bridge_publisher::nats::connect;
use clap::Subcommand;
use tokio::time::timeout;

use super::post::Target;
use crate::cli::Failure;
use crate::config::{Config, Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// One line a body: its number, when it came, why it is here, its size
    List,
    /// Print a body as it came
    Show {
        /// Its number in the list
        number: u64,
    },
    /// Post bodies to the bridge again; those that are answered 200 leave quarantine
    Replay {
        /// Their numbers in the list; none means all
        numbers: Vec<u64>,
        #[command(flatten)]
        target: Target,
        /// Keep them in quarantine as well
        #[arg(long)]
        keep: bool,
    },
}

/// How long NATS may take to answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

pub(crate) fn run(action: Action, config: &Config, settings: &Settings) -> Result<ExitCode, Failure> {
    super::runtime()?.block_on(async {
        let stream = timeout(PATIENCE, quarantine(config, settings)).await;
        let timed_out =
            || io::Error::new(io::ErrorKind::TimedOut, "NATS does not answer: see `check --connect`");
        let stream = stream.map_err(|_| timed_out())??;
        match action {
            Action::List => list(stream).await,
            Action::Show { number } => {
                io::stdout().lock().write_all(&get(&stream, number).await?.payload)?;
                Ok(ExitCode::SUCCESS)
            }
            Action::Replay { numbers, target, keep } => replay(stream, numbers, &target, keep).await,
        }
    })
}

async fn quarantine(config: &Config, settings: &Settings) -> io::Result<Stream<Info>> {
    let client = connect(&settings.publisher.connection, |_| {}).await?;
    let context = match config.jetstream.domain.as_str() {
        "" => jetstream::new(client),
        domain => jetstream::with_domain(client, domain),
    };
    let name = &config.jetstream.quarantine.stream;
    context.get_stream(name).await.map_err(|e| io::Error::other(format!("stream {name}: {e}")))
}

async fn list(stream: Stream<Info>) -> Result<ExitCode, Failure> {
    let state = &stream.cached_info().state;
    for number in state.first_sequence..=state.last_sequence {
        let Some(message) = find(&stream, number).await? else { continue };
        let header = |name| message.headers.get(name).map_or("", async_nats::HeaderValue::as_str);
        let mut stdout = io::stdout().lock();
        let (reason, detail, bytes) = (header("Ci-Reason"), header("Ci-Detail"), message.payload.len());
        writeln!(stdout, "{number}\t{}\t{reason}\t{bytes} bytes\t{detail}", message.time)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(
    stream: Stream<Info>,
    numbers: Vec<u64>,
    target: &Target,
    keep: bool,
) -> Result<ExitCode, Failure> {
    let state = &stream.cached_info().state;
    let all = numbers.is_empty();
    let numbers = if all { (state.first_sequence..=state.last_sequence).collect() } else { numbers };
    let mut accepted = true;
    for number in numbers {
        let message = match find(&stream, number).await? {
            Some(message) => message,
            None if all => continue,
            None => return Err(missing(number).into()),
        };
        let answered = target.post(message.payload).await?;
        writeln!(
            io::stdout().lock(),
            "{number}: {} {}",
            answered.status,
            String::from_utf8_lossy(&answered.body)
        )?;
        match answered.status {
            200 if !keep => stream.delete_message(number).await.map(|_| ()).map_err(io::Error::other)?,
            200 => {}
            _ => accepted = false,
        }
    }
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn get(stream: &Stream<Info>, number: u64) -> io::Result<StreamMessage> {
    find(stream, number).await?.ok_or_else(|| missing(number))
}

async fn find(stream: &Stream<Info>, number: u64) -> io::Result<Option<StreamMessage>> {
    match stream.get_raw_message(number).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn missing(number: u64) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("quarantine has no number {number}"))
}
