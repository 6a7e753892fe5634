//! `ci-bridge tail`: messages as they are published, and those that a stream still has.

mod history;
mod notice;
mod since;
mod tally;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_nats::{Client, jetstream};
use ci_bridge_publisher::Delivery;
use ci_bridge_publisher::nats::{StreamSpec, connect, covers};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::select_all;
use time::OffsetDateTime;
use tokio::sync::watch;

use self::history::{Messages, Source, last_of_all};
use self::notice::Notice;
use self::since::Since;
use self::tally::Tally;
use super::printer::{Form, Printer, StreamPosition};
use super::row::{Filter, Summary};
use super::{StopSignals, or_say};
use crate::config::Settings;
use crate::failure::{Failure, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The subject, with wildcards; without one, those of the stream of events (`ci.>`), or of quarantine with --kind
    subject: Option<String>,
    /// One JSON object a line, for pipes
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// The bodies alone, one a line
    #[arg(long)]
    raw: bool,
    /// Begin with what is stored since then: `10m`, `2h`, or `2026-03-02T09:14:19+08:00`; then live
    #[arg(long, value_name = "TIME", value_parser = Since::parse)]
    since: Option<Since>,
    /// Begin with the last N stored messages that the filters let through; then live
    #[arg(long, value_name = "N", conflicts_with = "since", value_parser = clap::value_parser!(u32).range(1..=MOST_KEPT))]
    last: Option<u32>,
    /// The stream of --since and --last, instead of the one whose subjects cover SUBJECT
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    #[command(flatten)]
    filter: Filter,
}

/// They wait in memory until the last is known; a message may have a megabyte.
const MOST_KEPT: i64 = 10_000;

/// A message, and what is known of it beside.
struct Seen {
    message: async_nats::Message,
    /// Where it stands in its stream, when it comes from one.
    place: Option<StreamPosition>,
    /// When it was stored, or came.
    time: OffsetDateTime,
    /// How many more the stream has.
    pending: u64,
}

pub(crate) fn run(settings: &Settings, args: &Arguments) -> Result<ExitCode, Failure> {
    if args.is_about_the_past() && settings.publisher.delivery == Delivery::Core {
        let why = "delivery = \"core\" stores nothing: leave --since and --last out";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
    }
    let form = match (args.json, args.raw) {
        (true, _) => Form::Json,
        (_, true) => Form::Raw,
        _ => Form::Rows,
    };
    let mut show = Show { printer: Printer::new(form), filter: &args.filter, tally: Tally::default() };
    let started = Instant::now();
    super::runtime()?.block_on(async {
        let mut signals = StopSignals::listen()?;
        let mut link = Link::open(settings).await?;
        tokio::select! {
            watched = follow(settings, args, (&mut link.connected, &link.waiting), &link.client, &mut show) => watched,
            why = link.forbidden.wait_for(Option::is_some) => {
                // The client, which holds the other end, is still there.
                let why = why.ok().and_then(|why| why.clone()).unwrap_or_default();
                Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
            }
            () = signals.next() => Ok(()),
        }
    })?;
    say(&show.tally.summary(started.elapsed()));
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn is_about_the_past(&self) -> bool {
        self.since.is_some() || self.last.is_some()
    }

    /// What is looked at: as it was given, or what the configuration publishes of the wanted kinds.
    fn subjects(&self, settings: &Settings) -> Vec<String> {
        if let Some(subject) = &self.subject {
            return vec![subject.clone()];
        }
        let [events, quarantine] = [0, 1].map(|at| {
            settings.publisher.streams.get(at).map(|stream| stream.subjects.as_slice()).unwrap_or_default()
        });
        let wanted: [&[String]; 2] = match self.filter.of_quarantine() {
            (true, true) => [events, quarantine],
            (true, false) => [events, &[]],
            (false, _) => [&[], quarantine],
        };
        wanted.concat()
    }
}

/// The connection, and what it says of itself.
struct Link {
    client: Client,
    connected: watch::Receiver<bool>,
    forbidden: watch::Receiver<Option<String>>,
    /// That it is waited for has been said.
    waiting: Arc<AtomicBool>,
}

impl Link {
    async fn open(settings: &Settings) -> io::Result<Self> {
        let connection = &settings.publisher.connection;
        let (is_connected, connected) = watch::channel(false);
        let (is_forbidden, forbidden) = watch::channel(None);
        let servers = connection.servers_without_credentials();
        // Each attempt fails with the same words; once is enough, until it has been connected again.
        let waiting = Arc::new(AtomicBool::new(false));
        let said = Arc::clone(&waiting);
        let client = connect(connection, move |event| match Notice::of(&event) {
            Some(Notice::Forbidden(why)) => {
                is_forbidden.send_replace(Some(why));
            }
            Some(Notice::Away(why)) if !said.swap(true, Ordering::Relaxed) => {
                say(&format!("waiting for NATS at {servers}: {why}"));
            }
            Some(Notice::Connected) => {
                said.store(false, Ordering::Relaxed);
                is_connected.send_replace(true);
            }
            Some(Notice::Away(_)) | None => {}
        });
        Ok(Self { client: client.await?, connected, forbidden, waiting })
    }
}

async fn follow(
    settings: &Settings,
    args: &Arguments,
    (connected, waiting): (&mut watch::Receiver<bool>, &AtomicBool),
    client: &Client,
    show: &mut Show<'_>,
) -> io::Result<()> {
    let servers = settings.publisher.connection.servers_without_credentials();
    let subjects = args.subjects(settings);
    // Before the connection stands: nothing that comes with it is missed.
    let mut messages = match args.is_about_the_past() {
        true => futures_util::stream::empty().boxed(),
        false => live(client, &subjects).await?,
    };
    or_say(connected.wait_for(|connected| *connected), || match waiting.swap(true, Ordering::Relaxed) {
        // Nothing more to say.
        true => String::new(),
        false => format!("waiting for NATS at {servers}"),
    })
    .await
    .map_err(io::Error::other)?;
    if args.is_about_the_past() {
        messages = stored(settings, args, client, &subjects, show).await?;
    }
    say(&format!("{} at {servers}: new messages appear as they come; Ctrl-C ends it", subjects.join(", ")));
    while let Some(seen) = messages.next().await {
        show.message(&seen?)?;
    }
    Ok(())
}

/// What comes from now on, from whichever stream, or none.
async fn live(client: &Client, subjects: &[String]) -> io::Result<Messages> {
    let mut all: Vec<Messages> = Vec::new();
    for subject in subjects {
        let messages = client.subscribe(subject.clone()).await.map_err(io::Error::other)?;
        let seen = |message| Ok(Seen { message, place: None, time: OffsetDateTime::now_utc(), pending: 0 });
        all.push(messages.map(seen).boxed());
    }
    Ok(select_all(all).boxed())
}

/// What the streams hold, shown as far as `--last` asks for it, and everything after it.
async fn stored(
    settings: &Settings,
    args: &Arguments,
    client: &Client,
    subjects: &[String],
    show: &mut Show<'_>,
) -> io::Result<Messages> {
    let mut sources = Vec::new();
    for subject in subjects {
        let covering = |stream: &&StreamSpec| stream.subjects.iter().any(|filter| covers(filter, subject));
        let streams = &settings.publisher.streams;
        let Some(stream) = streams.iter().find(covering).or(streams.first()) else { continue };
        let context = jetstream::with_prefix(client.clone(), &stream.api_prefix);
        let name = args.stream.as_deref().unwrap_or(&stream.name);
        let opened = Source::open(&context, name, subject);
        sources.push(or_say(opened, || format!("asking NATS for stream {name}")).await?);
    }
    if let Some(since) = args.since {
        let start = since.before(OffsetDateTime::now_utc());
        let mut all = Vec::new();
        for source in &sources {
            all.push(source.since(start).await?);
        }
        return Ok(select_all(all).boxed());
    }
    let wanted = args.last.map_or(0, |last| last as usize);
    let filter = show.filter;
    let reading = last_of_all(&sources, wanted, |seen| filter.passes(&Summary::of(&seen.message)));
    let (kept, live) = or_say(reading, || "looking for the last messages that pass".to_owned()).await?;
    for seen in &kept {
        show.message(seen)?;
    }
    Ok(live)
}

/// Prints what passes, and counts it.
struct Show<'f> {
    printer: Printer,
    filter: &'f Filter,
    tally: Tally,
}

impl Show<'_> {
    fn message(&mut self, seen: &Seen) -> io::Result<()> {
        let summary = Summary::of(&seen.message);
        if !self.filter.passes(&summary) {
            return Ok(());
        }
        self.tally.count(&summary.state);
        self.printer.seen(&seen.message, &summary, seen.place.as_ref(), seen.time)
    }
}
