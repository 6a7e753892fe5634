//! The stream of quarantine, asked with JetStream's API.

use std::future::Future;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::Event;
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode};
use ci_bridge_publisher::nats::connect;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::entry::Entry;
use crate::config::{Config, Settings};

/// How long NATS may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The stream of quarantine, and how to publish.
pub(super) struct Store {
    pub(super) context: Context,
    stream: Stream<Info>,
    /// The JetStream domain that acknowledgements must name; empty takes any.
    pub(super) domain: String,
    nats: Nats,
}

/// What the server says beside its answers.
struct Nats {
    complaints: mpsc::UnboundedReceiver<String>,
}

impl Store {
    /// `None` when there is no such stream.
    pub(super) async fn open(config: &Config, settings: &Settings) -> io::Result<Option<Self>> {
        let (tell, complaints) = mpsc::unbounded_channel();
        let on_event = move |event| {
            if let Event::ServerError(error) = event {
                // Whoever listened has ended.
                let _ = tell.send(error.to_string());
            }
        };
        let mut nats = Nats { complaints };
        let client = connect(&settings.publisher.connection, on_event).await?;
        let name = &config.jetstream.quarantine.stream;
        // Where `serve` asks JetStream's API: a prefix, a domain's, or the usual one.
        let of_quarantine = settings.publisher.streams.iter().find(|stream| stream.name == *name);
        let context = match of_quarantine {
            Some(stream) => jetstream::with_prefix(client, &stream.api_prefix),
            None => jetstream::new(client),
        };
        let domain = config.jetstream.domain.clone();
        match nats.answer(context.get_stream(name)).await? {
            Ok(stream) => Ok(Some(Self { context, stream, domain, nats })),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
                _ => Err(io::Error::other(format!("stream {name}: {error}"))),
            },
        }
    }

    /// The numbers that there can be. A stream that is new calls its first one 0, which is none.
    pub(super) fn numbers(&self) -> RangeInclusive<u64> {
        let state = &self.stream.cached_info().state;
        state.first_sequence.max(1)..=state.last_sequence
    }

    /// How many entries there were when the command began.
    pub(super) fn len(&self) -> u64 {
        self.stream.cached_info().state.messages
    }

    pub(super) async fn find(&mut self, number: u64) -> io::Result<Option<Entry>> {
        match self.nats.answer(self.stream.get_raw_message(number)).await? {
            Ok(message) => Ok(Some(Entry(message))),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    pub(super) async fn delete(&mut self, number: u64) -> io::Result<()> {
        self.nats.answer(self.stream.delete_message(number)).await?.map_err(io::Error::other)?;
        Ok(())
    }

    /// Deletes everything that was there when the command began; what came since stays.
    pub(super) async fn purge(&mut self) -> io::Result<u64> {
        let behind = self.numbers().end().saturating_add(1);
        let purged = async { self.stream.purge().sequence(behind).await };
        Ok(self.nats.answer(purged).await?.map_err(io::Error::other)?.purged)
    }
}

impl Nats {
    /// What comes of a request. The server answers none that it forbids: it complains, and the request would end in a
    /// timeout that says nothing.
    async fn answer<T>(&mut self, request: impl Future<Output = T>) -> io::Result<T> {
        let forbidden = async {
            while let Some(complaint) = self.complaints.recv().await {
                if complaint.to_ascii_lowercase().contains("permissions violation") {
                    return complaint;
                }
            }
            std::future::pending().await
        };
        let too_late =
            || io::Error::new(io::ErrorKind::TimedOut, "NATS does not answer: see `check --connect`");
        tokio::select! {
            answered = timeout(PATIENCE, request) => answered.map_err(|_| too_late()),
            complaint = forbidden => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("NATS forbids it: {complaint}; docs/operations.md has the permissions that this command needs"),
            )),
        }
    }
}
