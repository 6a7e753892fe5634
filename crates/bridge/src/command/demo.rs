//! `ci-bridge demo`: the main job, from nothing: a throwaway nats-server, the bridge, callbacks in, messages out.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::consumer::{DeliverPolicy, push};
use bytes::Bytes;
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, select};
use tokio::time::{sleep, timeout};

use super::answer::Explained;
use super::post::{Answered, Target};
use super::printer::{Form, Printer, StreamPosition};
use super::samples::{SAMPLES, Sample};
use super::serve::Bridge;
use super::{StopSignals, hangup_is_ignored, watchdog::Watchdog};
use crate::config::{self, Overrides};
use crate::failure::Failure;
use crate::local_nats::LocalNats;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// One JSON object a message, and nothing else
    #[arg(long)]
    json: bool,
    /// Leave everything running afterwards, to try `send` and `tail` on it, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Between two callbacks on a terminal, so that a person can follow.
const PAUSE: Duration = Duration::from_millis(400);
/// The broker and the bridge are on this machine: more would mean that something is broken.
const PATIENCE: Duration = Duration::from_secs(10);

type Messages = BoxStream<'static, io::Result<jetstream::Message>>;

pub(crate) fn run(args: &Arguments) -> Result<ExitCode, Failure> {
    end_with_parent(args.keep);
    let nats = LocalNats::start("")?;
    let _watchdog = Watchdog::over(nats.id(), nats.folder());
    let overrides = [
        ("ingress.listen", "127.0.0.1:0".to_owned()),
        ("admin.listen", "127.0.0.1:0".to_owned()),
        ("nats.servers", nats.url()),
        ("nats.context", String::new()),
        ("spool.dir", nats.folder().join("spool").to_string_lossy().into_owned()),
    ];
    let loaded = config::load(None, &Overrides(overrides.into()))?;
    super::runtime()?.block_on(async {
        let mut signals = StopSignals::listen_with_hangup()?;
        tokio::select! {
            result = show(args, &nats, loaded.settings) => result,
            () = signals.next() => Ok(()),
        }
    })?;
    // `nats` goes here, and with it the server and its files; the watchdog before it.
    Ok(ExitCode::SUCCESS)
}

/// With `--keep` it waits for somebody who may have gone: a script that was killed sends no SIGHUP. The kernel does, where it can.
fn end_with_parent(keep: bool) {
    #[cfg(target_os = "linux")]
    if keep && !hangup_is_ignored() {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::HUP));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (keep, hangup_is_ignored);
}

async fn show(args: &Arguments, nats: &LocalNats, settings: config::Settings) -> io::Result<()> {
    let bridge = Bridge::start(settings, None, None).await?;
    let target = Target::at(format!("http://{}/ci/callback", bridge.listen));
    let mut readiness = bridge.readiness();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(bridge.run_until(async move {
        let _ = stopped.await;
    }));
    let ready = timeout(PATIENCE, readiness.wait_for(|readiness| readiness.ready)).await;
    if !matches!(ready, Ok(Ok(_))) {
        return Err(io::Error::other("the bridge did not become ready"));
    }
    drop(ready);
    let mut stage = Stage {
        printer: Printer::new(if args.json { Form::Json } else { Form::Lines }),
        quiet: args.json,
        messages: subscribe(nats).await?,
        target,
    };
    stage.say(&format!("{} on {}, streams in a folder that goes with it", nats.version()?, nats.url()))?;
    stage.say(&format!("ci-bridge on {}", stage.target.url))?;
    for sample in &SAMPLES {
        stage.play(sample).await?;
    }
    stage.say("\nThat was every message. Subscribe to just what concerns you: `ci.task.*.failed`, `ci.workflow.>`, …")?;
    if args.keep {
        // As it was typed: it may not be on the PATH.
        let program = std::env::args().next().unwrap_or_else(|| "ci-bridge".to_owned());
        stage.say(&format!("Still running. In another terminal:\n  {program} send --sample batch --url {}\n  NATS_URL={} {program} tail --last 10\nCtrl-C ends it.", stage.target.url, nats.url()))?;
        std::future::pending::<()>().await;
    }
    let _ = stop.send(());
    running.await.map_err(io::Error::other)
}

struct Stage {
    printer: Printer,
    quiet: bool,
    messages: Messages,
    target: Target,
}

impl Stage {
    async fn play(&mut self, sample: &Sample) -> io::Result<()> {
        if !self.quiet && io::IsTerminal::is_terminal(&io::stdout()) {
            sleep(PAUSE).await;
        }
        self.say(&format!(
            "\n{} {}: {}",
            self.printer.paint("1;36", "POST"),
            self.printer.paint("1", sample.name),
            sample.about
        ))?;
        let started = Instant::now();
        let answered = self.target.post(Bytes::from_static(sample.body.as_bytes())).await?;
        let took = started.elapsed().as_secs_f64() * 1000.0;
        let expected = self.explain(&answered, took)?;
        for _ in 0..expected {
            self.next_message().await?;
        }
        Ok(())
    }

    /// Says what was answered; gives the number of messages that must follow.
    fn explain(&self, answered: &Answered, took: f64) -> io::Result<usize> {
        let explained = Explained::of(answered, &self.printer)?;
        self.say(&format!("  {} ({took:.1} ms)", explained.verdict))?;
        // What cannot be read comes as one message of quarantine.
        Ok(if answered.status == 200 { explained.new } else { 1 })
    }

    async fn next_message(&mut self) -> io::Result<()> {
        let message = match timeout(PATIENCE, self.messages.next()).await {
            Ok(Some(message)) => message?,
            _ => return Err(io::Error::other("a message that was answered for did not arrive")),
        };
        let info = message.info().map_err(io::Error::other)?;
        let place = StreamPosition { stream: info.stream.to_owned(), sequence: info.stream_sequence };
        self.printer.message(&message.message, Some(&place))
    }

    fn say(&self, text: &str) -> io::Result<()> {
        match self.quiet {
            true => Ok(()),
            false => writeln!(io::stdout().lock(), "{text}"),
        }
    }
}

/// Everything that is stored from now on, as a subscriber with a consumer of its own would see it.
async fn subscribe(nats: &LocalNats) -> io::Result<Messages> {
    let client = async_nats::connect(nats.url()).await.map_err(io::Error::other)?;
    let context = jetstream::new(client.clone());
    let mut both: Messages = futures_util::stream::empty().boxed();
    for stream in ["CI", "CI_QUARANTINE"] {
        let stream = context.get_stream(stream).await.map_err(io::Error::other)?;
        let consumer = stream
            .create_consumer(push::OrderedConfig {
                deliver_subject: client.new_inbox(),
                deliver_policy: DeliverPolicy::All,
                ..Default::default()
            })
            .await
            .map_err(io::Error::other)?;
        let messages = consumer.messages().await.map_err(io::Error::other)?;
        both = select(both, messages.map(|message| message.map_err(io::Error::other))).boxed();
    }
    Ok(both)
}
