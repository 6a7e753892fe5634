//! `ci-bridge reconcile`: jobs and runs that ended and are not on the bus, found and published.

use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ci_bridge_publisher::{Delivery, MessageId, Publisher, Spool, SpoolError, SpoolSettings};
use ci_bridge_tencent::{Bucket, Client};
use clap::Args;
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use super::{healthcheck, or_say};
use crate::config::{LONGEST_SINCE, Search, Settings};
use crate::failure::{Failure, say};
use crate::reconcile::{Account, Line, Outcome, Report, Totals, Wanted};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long ago a job may have ended, over reconcile.since: 6h, 90m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// Where to look, over reconcile.buckets; may be repeated
    #[arg(long = "bucket", value_name = "NAME@REGION")]
    buckets: Vec<Bucket>,
    /// Only jobs of this tag (Workflow: runs), over reconcile.tags; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only jobs of this queue, over reconcile.queues; may be repeated
    #[arg(long = "queue", value_name = "QUEUE_ID")]
    queues: Vec<String>,
    /// Only this job or run, whenever it ended; may be repeated
    #[arg(long = "job", value_name = "ID", conflicts_with_all = ["since", "tags", "queues"])]
    jobs: Vec<String>,
    /// Publish nothing; exit 1 when something is missing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object a job, then one with the totals
    #[arg(long)]
    json: bool,
}

/// How long NATS may take until messages can be published.
const READY_TIME: Duration = Duration::from_secs(15);
const CLOSE_TIME: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &Arguments, mut settings: Settings) -> Result<ExitCode, Failure> {
    let search = arguments.search(&settings.reconcile)?;
    if settings.publisher.delivery == Delivery::Core {
        return Err(
            invalid("with delivery = \"core\" nothing is stored that jobs could be compared with").into()
        );
    }
    let client = Client::new(settings.tencent.clone(), settings.limits.parse).map_err(|why| invalid(&why))?;
    // A bridge may be running: it has the spool, and is found by `nats micro`.
    settings.publisher.micro = None;
    let spool = settings.publisher.spool.take();
    super::runtime()?.block_on(async {
        let spooled = match &spool {
            Some(spool) => spooled_ids(spool, settings.admin_listen).await?,
            None => HashSet::new(),
        };
        let streams = settings.publisher.streams.clone();
        let (publisher, tasks) = Publisher::start(settings.publisher, &mut Registry::default()).await?;
        wait_until_ready(&publisher).await?;
        let endpoints: Vec<_> = settings.endpoints.into_iter().map(Arc::new).collect();
        let account = Account {
            client: &client,
            publisher: &publisher,
            endpoints: &endpoints,
            streams: &streams,
            search: &search,
            spooled: &spooled,
            is_dry: arguments.dry_run,
        };
        let mut report = Printed::new(arguments);
        let wanted = match arguments.jobs.as_slice() {
            [] => Wanted::Recent,
            ids => Wanted::Ids(ids),
        };
        let is_watched = report.has_bar;
        let making = account.make(wanted, &mut report);
        let made = match is_watched {
            true => making.await,
            false => or_say(making, || "asking CI for its account".to_owned()).await,
        };
        publisher.close(tasks, CLOSE_TIME).await;
        let totals = made.map_err(io::Error::other)?;
        let is_missing = arguments.dry_run && totals.recovered > 0;
        let is_whole = report.problems.is_empty() && totals.failed == 0 && !is_missing;
        match report.end(totals, &search) {
            // Whoever read the lines has gone; what is missing is missing all the same.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

impl Arguments {
    /// What the flags leave of the configuration.
    fn search(&self, configured: &Search) -> io::Result<Search> {
        let mut search = configured.clone();
        search.since = self.since.unwrap_or(search.since);
        let over = |given: &[String], configured: &mut Vec<String>| {
            if !given.is_empty() {
                *configured = given.to_vec();
            }
        };
        over(&self.tags, &mut search.tags);
        over(&self.queues, &mut search.queues);
        if !self.buckets.is_empty() {
            search.buckets.clone_from(&self.buckets);
        }
        if search.buckets.is_empty() {
            return Err(invalid("where? name a bucket with --bucket NAME@REGION, or in reconcile.buckets"));
        }
        if search.since > LONGEST_SINCE {
            return Err(invalid("--since must be at most 30d: CI keeps jobs about a month"));
        }
        if search.since <= search.grace {
            return Err(invalid(
                "--since must be longer than reconcile.grace, within which callbacks may be on their way",
            ));
        }
        Ok(search)
    }
}

/// The ids in the spool of a bridge that does not run. One that runs publishes them itself, under the same ids.
async fn spooled_ids(settings: &SpoolSettings, admin: SocketAddr) -> io::Result<HashSet<MessageId>> {
    match Spool::open_existing(settings) {
        Ok(spool) => {
            let ids = spool.ids().await;
            spool.close().await;
            Ok(ids)
        }
        Err(SpoolError::Missing(_)) => Ok(HashSet::new()),
        Err(SpoolError::InUse(_)) => {
            let messages = healthcheck::metric(admin, "ci_bridge_spool_messages");
            if messages != Some(0) {
                let how_many =
                    messages.map_or_else(|| "messages may wait".to_owned(), |n| format!("{n} messages wait"));
                say(&format!(
                    "{how_many} in the spool of the bridge that runs here, and cannot be seen: they are stored once, as long \
                     as the spool is published within jetstream.duplicate_window; reconcile.every sees them"
                ));
            }
            Ok(HashSet::new())
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

async fn wait_until_ready(publisher: &Publisher) -> io::Result<()> {
    let mut readiness = publisher.readiness();
    let ready = timeout(READY_TIME, readiness.wait_for(|readiness| readiness.ready));
    let waiting = || format!("waiting for NATS, up to {} s", READY_TIME.as_secs());
    if or_say(ready, waiting).await.is_err() {
        let why = readiness.borrow().reason();
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{why}; see `ci-bridge check --connect`"),
        ));
    }
    Ok(())
}

/// An account as a command prints it: jobs on standard output, all else on standard error.
struct Printed {
    json: bool,
    is_dry: bool,
    has_bar: bool,
    /// A failure to write, of the first line that was lost.
    broken: Option<io::Error>,
    problems: HashSet<String>,
}

impl Printed {
    fn new(arguments: &Arguments) -> Self {
        let has_bar = io::stderr().is_terminal();
        let (json, is_dry) = (arguments.json, arguments.dry_run);
        Self { json, is_dry, has_bar, broken: None, problems: HashSet::new() }
    }

    fn print(&mut self, line: &str) {
        self.clear();
        if let Err(error) = writeln!(io::stdout().lock(), "{line}") {
            self.broken.get_or_insert(error);
        }
    }

    /// Takes the bar away, before something else is written.
    fn clear(&self) {
        if self.has_bar {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    fn end(&mut self, totals: Totals, search: &Search) -> io::Result<()> {
        let text = match self.json {
            true => serde_json::to_string(&totals).map_err(io::Error::other)?,
            false => self.sentence(totals, search),
        };
        self.print(&text);
        self.broken.take().map_or(Ok(()), Err)
    }

    fn sentence(&self, totals: Totals, search: &Search) -> String {
        let Totals { present, recovered, young, foreign, failed } = totals;
        let missing = recovered + failed;
        let all = present + missing;
        let since = humantime::format_duration(search.since);
        let mut text =
            format!("Of {all} jobs and runs that ended in the last {since}, the bus had {present}");
        text.push_str(&match (missing, self.is_dry) {
            (0, _) => ".".to_owned(),
            (_, true) => format!("; {missing} never called back. --dry-run: nothing was published."),
            (_, false) => format!(
                "; {missing} never called back, of which {recovered} were fetched and are stored under the ids that their \
                 callbacks would have had."
            ),
        });
        for (count, what) in [
            (failed, "could not be fetched or published"),
            (young, "ended so shortly ago that their callbacks may be on their way"),
            (foreign, "belong to no endpoint, or are dropped by a rule"),
        ] {
            if count > 0 {
                text.push_str(&format!(" {count} {what}."));
            }
        }
        text
    }
}

impl Report for Printed {
    fn job(&mut self, line: Line) {
        if self.json {
            let text = serde_json::to_string(&line).unwrap_or_default();
            self.print(&text);
        } else if line.result != Outcome::Present {
            let result = match line.result {
                Outcome::Recovered if self.is_dry => "missing",
                other => other.as_str(),
            };
            self.print(&format!("{result:9}  {:<60}  {}", line.id, line.subject));
        }
    }

    fn problem(&mut self, sentence: &str) {
        if self.problems.insert(sentence.to_owned()) {
            self.clear();
            say(sentence);
        }
    }

    fn progress(&mut self, done: usize, of: usize, what: &str) {
        const WIDTH: usize = 24;
        if self.has_bar {
            let filled = done * WIDTH / of.max(1);
            let bar = format!("{}{}", "#".repeat(filled), ".".repeat(WIDTH - filled));
            let _ = write!(io::stderr().lock(), "\r\x1b[K[{bar}] {done}/{of} {what}");
        }
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
