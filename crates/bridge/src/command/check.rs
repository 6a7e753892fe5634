//! `ci-bridge check`: is the configuration good, what is in effect, and does NATS agree.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use ci_bridge_publisher::nats::{Missing, WriteCheck};
use ci_bridge_publisher::{Check, Delivery, Publisher, Readiness};
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use super::check_tencent;
use crate::certificates::{self, Certificate};
use crate::cli::Failure;
use crate::config::{Loaded, Settings};

/// How long NATS may take to answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);

pub(crate) fn run(loaded: &Loaded, connect: bool, tencent: bool) -> Result<ExitCode, Failure> {
    print(loaded)?;
    let certificates = certificates::check(&Certificate::all(&loaded.settings), SystemTime::now());
    if let Some(check) = &certificates {
        tell(&mut io::stdout().lock(), check)?;
    }
    let are_valid = certificates.is_none_or(|check| check.ok);
    let is_connected = !connect || check_nats(loaded)?;
    let is_called = !tencent || check_tencent::run(&loaded.settings)?;
    Ok(if are_valid && is_connected && is_called { ExitCode::SUCCESS } else { ExitCode::from(78) })
}

fn check_nats(loaded: &Loaded) -> io::Result<bool> {
    let (readiness, writes) = super::runtime()?.block_on(ask_nats(&loaded.settings))?;
    let mut stdout = io::stdout().lock();
    // Nothing was published to find out what writes are answered: the attempts below say more. Whether callbacks are
    // taken is a question to a bridge with its spool.
    let is_told = |check: &Check| (check.name != "writes" || !check.ok) && check.name != Check::ACCEPTING;
    for check in readiness.checks.iter().filter(|check| is_told(check)) {
        tell(&mut stdout, check)?;
    }
    for write in &writes {
        let (verdict, text) = match write {
            WriteCheck::Written(text) => ("ok    ", text),
            WriteCheck::NotTried(text) => ("?     ", text),
            WriteCheck::Failed(text) => ("FAILED", text),
        };
        let not_tried = if matches!(write, WriteCheck::NotTried(_)) { "not tried: " } else { "" };
        writeln!(stdout, "{verdict} writes: {not_tried}{text}")?;
    }
    let failed = writes.iter().any(|write| matches!(write, WriteCheck::Failed(_)));
    Ok(readiness.ready && !failed)
}

fn tell(out: &mut impl Write, check: &Check) -> io::Result<()> {
    writeln!(out, "{} {}: {}", if check.ok { "ok    " } else { "FAILED" }, check.name, check.detail)
}

fn print(loaded: &Loaded) -> io::Result<()> {
    let rows = loaded.report();
    let width = |column: fn(&(String, String, String)) -> usize, most| {
        rows.iter().map(column).max().unwrap_or(0).min(most)
    };
    let (keys, values) = (width(|row| row.0.len(), 44), width(|row| row.1.len(), 44));
    let mut stdout = io::stdout().lock();
    for (key, value, source) in &rows {
        writeln!(stdout, "{key:keys$} = {value:values$}  # {source}")?;
    }
    writeln!(stdout, "configuration is valid")
}

/// What the running bridge would say of itself after a moment, and whether each stream that is there takes a message.
/// Streams are only looked at, never made.
async fn ask_nats(settings: &Settings) -> io::Result<(Readiness, Vec<WriteCheck>)> {
    let mut config = settings.publisher.clone();
    // A running bridge has it.
    config.spool = None;
    // A look, not a service.
    config.micro = None;
    for stream in &mut config.streams {
        if stream.missing == Missing::Create {
            stream.missing = Missing::Assume;
        }
    }
    let (publisher, _tasks) = Publisher::start(config, &mut Registry::default()).await?;
    let mut readiness = publisher.readiness();
    // There is something to say of writes as soon as there is a connection.
    let settled =
        timeout(CONNECT_TIME, readiness.wait_for(|readiness| readiness.check("writes").is_some())).await;
    drop(settled);
    let readiness = readiness.borrow().clone();
    let mut writes = Vec::new();
    if readiness.ready && settings.publisher.delivery == Delivery::Jetstream {
        for stream in settings.publisher.streams.iter().filter(|_| settings.publisher.look_at_streams) {
            writes.push(publisher.try_write(stream).await);
        }
    }
    Ok((readiness, writes))
}
