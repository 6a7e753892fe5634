//! `ci-bridge check`: is the configuration good, what is in effect, and does NATS agree.

mod bodies;
mod finding;
mod jobs;
mod print;
mod spool;
mod tencent;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use ci_bridge_publisher::nats::Missing;
use ci_bridge_publisher::{Check, Delivery, Publisher, Readiness};
use clap::Args;
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use crate::certificates::{self, Certificate};
use crate::config::{self, ConfigError, Loaded, Overrides, Settings};
use crate::failure::{EXIT_CONFIG, Failure, say};
use finding::{Finding, Verdict};
use print::{Report, Row};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Also ask NATS whether the streams are there and take every subject
    #[arg(long)]
    connect: bool,
    /// Also ask Tencent CI whether the credentials work, and whom the queues of reconcile.buckets call
    #[arg(long)]
    tencent: bool,
    /// Show only what differs from the defaults
    #[arg(long)]
    changed: bool,
    /// Print one JSON object, for machines
    #[arg(long)]
    json: bool,
}

/// How long NATS may take to answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Arguments, file: Option<&Path>) -> Result<ExitCode, Failure> {
    let loaded = match config::load(file, &Overrides::default()) {
        Ok(loaded) => loaded,
        Err(error) => return refused(&error, file, arguments.json),
    };
    let findings = findings(&loaded, arguments)?;
    let valid = !findings.iter().any(|finding| finding.verdict == Verdict::Failed);
    let rows = rows(&loaded, arguments.changed);
    if arguments.json {
        Report { valid, mistakes: &[], checks: &findings, settings: &rows }.print()?;
    } else {
        let mut stdout = io::stdout().lock();
        // The verdict first: what follows it is long.
        match valid {
            true => writeln!(stdout, "configuration is valid{}", of(file))?,
            false => writeln!(stdout, "configuration is valid{}, but see below", of(file))?,
        }
        for finding in &findings {
            writeln!(stdout, "{}", finding.line())?;
        }
        print::table(&rows, &mut stdout)?;
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) })
}

fn refused(error: &ConfigError, file: Option<&Path>, json: bool) -> Result<ExitCode, Failure> {
    let mistakes = error.mistakes();
    if json {
        Report { valid: false, mistakes, checks: &[], settings: &[] }.print()?;
    } else {
        let count = mistakes.len();
        say(&format!(
            "configuration cannot be used{}: {count} mistake{}",
            of(file),
            if count == 1 { "" } else { "s" }
        ));
        say(&error.to_string());
    }
    Ok(ExitCode::from(EXIT_CONFIG))
}

fn of(file: Option<&Path>) -> String {
    file.map(|file| format!(": {}", file.display())).unwrap_or_default()
}

fn findings(loaded: &Loaded, arguments: &Arguments) -> io::Result<Vec<Finding>> {
    let settings = &loaded.settings;
    let certificates = certificates::check(&Certificate::all(settings), SystemTime::now());
    let mut findings: Vec<_> = certificates.as_ref().map(Finding::from).into_iter().collect();
    if settings.publisher.delivery == Delivery::Jetstream {
        findings.extend(settings.publisher.spool.as_ref().map(spool::check).into_iter().flatten());
    }
    findings.extend(jobs::check(settings));
    findings.extend(bodies::check(&settings.limits));
    if arguments.connect {
        findings.extend(of_nats(settings)?);
    }
    if arguments.tencent {
        say("asking Tencent CI");
        findings.extend(tencent::check(settings)?);
    }
    Ok(findings)
}

fn rows(loaded: &Loaded, only_changed: bool) -> Vec<Row> {
    let rows = loaded.report().into_iter().map(|(key, value, source)| Row { key, value, source });
    rows.filter(|row| !only_changed || row.source != config::DEFAULT).collect()
}

fn of_nats(settings: &Settings) -> io::Result<Vec<Finding>> {
    say(&format!(
        "asking NATS at {}, for up to {} s",
        settings.publisher.connection.servers_without_credentials(),
        CONNECT_TIME.as_secs()
    ));
    let (readiness, further) = super::runtime()?.block_on(ask_nats(settings))?;
    // Nothing was published to find out what writes are answered: the attempts below say more. Whether callbacks are
    // taken is a question to a bridge with its spool.
    let is_told = |check: &&Check| (check.name != "writes" || !check.ok) && check.name != Check::ACCEPTING;
    let checks = readiness.checks.iter().filter(is_told).map(Finding::from);
    let mut findings: Vec<_> = checks.chain(further).collect();
    if !readiness.ready && !findings.iter().any(|finding| finding.verdict == Verdict::Failed) {
        findings.push(Finding::new(Verdict::Failed, "nats: it could not be asked everything in time"));
    }
    Ok(findings)
}

/// What the running bridge would say of itself after a moment; whether each stream that is there takes a message, and whether
/// one takes requests for jobs. Streams are only looked at, never made.
async fn ask_nats(settings: &Settings) -> io::Result<(Readiness, Vec<Finding>)> {
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
    let mut further = Vec::new();
    if let Some(jobs) = settings.publisher.jobs.as_ref().filter(|_| is_connected(&readiness)) {
        further.extend(jobs::of_takers(settings, &publisher.takers(jobs).await));
    }
    if readiness.ready && settings.publisher.delivery == Delivery::Jetstream {
        for stream in settings.publisher.streams.iter().filter(|_| settings.publisher.look_at_streams) {
            further.push(Finding::from(&publisher.try_write(stream).await));
        }
    }
    Ok((readiness, further))
}

fn is_connected(readiness: &Readiness) -> bool {
    readiness.check("nats").is_some_and(|check| check.ok)
}
