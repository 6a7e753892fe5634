//! `ci-bridge spool`: look at what waits on disk, and publish it without taking callbacks.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use ci_bridge_publisher::{Publisher, Spool, SpoolSettings};
use clap::Subcommand;
use prometheus_client::registry::Registry;
use tokio::time::{sleep, timeout};

use crate::cli::Failure;
use crate::config::Settings;
use crate::telemetry;

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Action {
    /// Print how many messages wait, their bytes, and for how long the oldest has
    Status,
    /// Publish everything, then end; the bridge itself must not be running
    Drain {
        /// Give up after so many seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const CLOSE_TIME: Duration = Duration::from_secs(5);

pub(crate) fn run(action: Action, settings: Settings) -> Result<ExitCode, Failure> {
    let Some(spool) = settings.publisher.spool.clone() else {
        return Err(
            io::Error::new(io::ErrorKind::NotFound, "there is no spool: spool.enabled is false").into()
        );
    };
    match action {
        Action::Status => status(&spool),
        Action::Drain { seconds } => drain(settings, Duration::from_secs(seconds)),
    }
}

fn status(settings: &SpoolSettings) -> Result<ExitCode, Failure> {
    let spool = open(settings)?;
    let (messages, bytes, age) = (spool.len(), spool.bytes(), spool.oldest_age().as_secs());
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "messages {messages}\nbytes {bytes} of {}\noldest {age} s", settings.max_bytes)?;
    Ok(ExitCode::SUCCESS)
}

fn open(settings: &SpoolSettings) -> io::Result<Spool> {
    let explain = |e| {
        io::Error::other(format!("{e}; while the bridge runs, its /metrics has ci_bridge_spool_messages"))
    };
    Spool::open(settings).map_err(explain)
}

fn drain(mut settings: Settings, within: Duration) -> Result<ExitCode, Failure> {
    telemetry::start(&settings)?;
    // It takes no callbacks, so it must not be found as a bridge.
    settings.publisher.micro = None;
    super::runtime()?.block_on(async {
        let (publisher, tasks) = Publisher::start(settings.publisher, &mut Registry::default()).await?;
        let until_empty = async {
            while publisher.spooled() > 0 {
                sleep(LOOK_INTERVAL).await;
            }
        };
        let emptied = timeout(within, until_empty).await;
        let left = publisher.spooled();
        publisher.close(tasks, CLOSE_TIME).await;
        match emptied {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{left} messages are still in the spool"),
            )
            .into()),
        }
    })
}
