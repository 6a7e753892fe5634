//! `ci-bridge spool drain`: publishes what waits without taking callbacks, or waits until the bridge that runs has.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use ci_bridge_publisher::{Publisher, Spool, SpoolError, SpoolSettings};
use indicatif::ProgressBar;
use prometheus_client::registry::Registry;
use tokio::time::{sleep, timeout};

use super::super::{or_say, progress};
use super::source;
use crate::config::{Config, Settings};
use crate::failure::{Failure, say};
use crate::telemetry;

const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const CLOSE_TIME: Duration = Duration::from_secs(5);

pub(super) async fn run(
    spool: &SpoolSettings,
    config: &Config,
    settings: Settings,
    within: Duration,
) -> Result<ExitCode, Failure> {
    match Spool::look_for(spool) {
        Ok(()) => publish(settings, within).await,
        Err(SpoolError::InUse(_)) => wait(spool, config, within).await,
        Err(SpoolError::Missing(_)) => {
            super::nothing(&mut io::stdout().lock(), spool)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(io::Error::other(error).into()),
    }
}

/// Nobody has it open: everything of a bridge but its listeners.
async fn publish(mut settings: Settings, within: Duration) -> Result<ExitCode, Failure> {
    let bar = progress::bar(0, "published");
    if !bar.is_hidden() {
        // Where a bar is watched, a line for each usual step would tear it.
        "warn".clone_into(&mut settings.log_level);
    }
    telemetry::start(&settings)?;
    // It takes no callbacks, so it must not be found as a bridge.
    settings.publisher.micro = None;
    let (publisher, tasks) = Publisher::start(settings.publisher, &mut Registry::default()).await?;
    let total = publisher.spooled();
    bar.set_length(total);
    let until_empty = async {
        loop {
            let left = publisher.spooled();
            bar.set_position(total.saturating_sub(left));
            if left == 0 {
                return;
            }
            sleep(LOOK_INTERVAL).await;
        }
    };
    let waiting = || {
        let messages = super::print::messages(total);
        format!("publishing {messages}, for up to {} s", within.as_secs())
    };
    let emptied = match bar.is_hidden() {
        true => or_say(timeout(within, until_empty), waiting).await,
        false => timeout(within, until_empty).await,
    };
    let left = publisher.spooled();
    let refused = publisher.spool().and_then(|spool| spool.held().summary());
    publisher.close(tasks, CLOSE_TIME).await;
    let refused = refused.map(|refused| format!(": {}", refused.sentence())).unwrap_or_default();
    finish(&bar, emptied.is_ok(), left, &refused)
}

/// A bridge has it open, and publishes it as soon as NATS takes it.
async fn wait(spool: &SpoolSettings, config: &Config, within: Duration) -> Result<ExitCode, Failure> {
    let api = source::running(spool, config).await?;
    say(&format!("the bridge at {} runs and publishes its spool by itself: waiting for it", api.address()));
    let level = async || -> io::Result<(u64, u64)> {
        let status = api.get("spool").await?.unwrap_or_default();
        let number = |name: &str| status[name].as_u64().unwrap_or_default();
        Ok((number("messages"), number("refused")))
    };
    let (total, mut refused) = level().await?;
    let mut left = total;
    let bar = progress::bar(total, "published");
    let until_empty = async {
        while left > 0 {
            sleep(LOOK_INTERVAL).await;
            (left, refused) = level().await?;
            bar.set_position(total.saturating_sub(left));
        }
        Ok::<_, io::Error>(())
    };
    let emptied = timeout(within, until_empty).await.ok().transpose()?;
    let refused = match refused {
        0 => String::new(),
        refused => format!(", {refused} of them refused: `ci-bridge spool list --refused` says why"),
    };
    finish(&bar, emptied.is_some(), left, &refused)
}

fn finish(bar: &ProgressBar, is_empty: bool, left: u64, refused: &str) -> Result<ExitCode, Failure> {
    bar.finish_and_clear();
    match is_empty {
        true => {
            writeln!(io::stdout().lock(), "the spool is empty")?;
            Ok(ExitCode::SUCCESS)
        }
        false => {
            let left = format!("{} still in the spool{refused}", super::print::messages(left));
            Err(io::Error::new(io::ErrorKind::TimedOut, left).into())
        }
    }
}
