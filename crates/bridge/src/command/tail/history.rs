//! What a stream holds, and then what comes: read by ordered consumers, which leave nothing behind on the server.

use std::collections::VecDeque;
use std::io;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::push::{OrderedConfig, OrderedErrorKind};
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Info, Stream};
use async_nats::jetstream::{self, ErrorCode};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, select_all};
use time::OffsetDateTime;

use super::Seen;
use crate::command::printer::StreamPosition;

pub(super) type Messages = BoxStream<'static, io::Result<Seen>>;

/// How much further back to look when too few of a window pass the filters.
const WINDOW_GROWTH: u64 = 8;

/// One subject of one stream.
pub(super) struct Source {
    context: Context,
    stream: Stream<Info>,
    subject: String,
}

impl Source {
    /// # Errors
    /// There is no such stream, or NATS does not answer.
    pub(super) async fn open(context: &Context, stream: &str, subject: &str) -> io::Result<Self> {
        let found = context.get_stream(stream).await.map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("there is no stream {stream} yet: `ci-bridge serve` makes it, or name another with --stream"),
                )
            }
            _ => io::Error::other(format!("stream {stream}: {error}: see `ci-bridge check --connect`")),
        })?;
        Ok(Self { context: context.clone(), stream: found, subject: subject.to_owned() })
    }

    /// Everything from then on.
    pub(super) async fn since(&self, start_time: OffsetDateTime) -> io::Result<Messages> {
        let (_, messages) = self.read(DeliverPolicy::ByStartTime { start_time }).await?;
        // Cut off before the first message, the consumer begins again at the stream's beginning.
        let is_meant = move |seen: &io::Result<Seen>| !seen.as_ref().is_ok_and(|seen| seen.time < start_time);
        Ok(messages.filter(move |seen| std::future::ready(is_meant(seen))).boxed())
    }

    /// The last so many that pass, oldest first, and everything that comes after them.
    pub(super) async fn last(
        &self,
        wanted: usize,
        passes: impl Fn(&Seen) -> bool,
    ) -> io::Result<(VecDeque<Seen>, Messages)> {
        let state = &self.stream.cached_info().state;
        let (first, end) = (state.first_sequence.max(1), state.last_sequence + 1);
        let mut window = u64::try_from(wanted).unwrap_or(u64::MAX);
        loop {
            let start_sequence = end.saturating_sub(window).max(first);
            let (pending, messages) = self.read(DeliverPolicy::ByStartSequence { start_sequence }).await?;
            let is_meant = move |seen: &io::Result<Seen>| {
                !seen.as_ref().is_ok_and(|seen| seen.sequence() < start_sequence)
            };
            let mut messages = messages.filter(move |seen| std::future::ready(is_meant(seen))).boxed();
            let kept = newest(&mut messages, pending, wanted, &passes).await?;
            if kept.len() == wanted || start_sequence == first {
                return Ok((kept, messages));
            }
            window = window.saturating_mul(WINDOW_GROWTH);
        }
    }

    /// How many messages wait, and all from there on. A connection that ends is waited for.
    async fn read(&self, deliver_policy: DeliverPolicy) -> io::Result<(u64, Messages)> {
        let config = OrderedConfig {
            deliver_subject: self.context.client().new_inbox(),
            filter_subject: self.subject.clone(),
            deliver_policy,
            ..OrderedConfig::default()
        };
        let consumer: Consumer<OrderedConfig> =
            self.stream.create_consumer(config).await.map_err(|error| {
                let stream = &self.stream.cached_info().config.name;
                io::Error::other(format!(
                    "stream {stream}, {}: {error}; --stream names another",
                    self.subject
                ))
            })?;
        let pending = consumer.cached_info().num_pending;
        let messages = consumer.messages().await.map_err(io::Error::other)?;
        let seen = messages.filter_map(|message| {
            std::future::ready(match message {
                Ok(message) => Some(Seen::stored(message)),
                // It goes on by itself where it stopped.
                Err(error) if error.kind() == OrderedErrorKind::MissingHeartbeat => None,
                Err(error) => Some(Err(io::Error::other(error))),
            })
        });
        Ok((pending, seen.boxed()))
    }
}

/// Reads what waits, and keeps the newest that pass.
async fn newest(
    messages: &mut Messages,
    pending: u64,
    wanted: usize,
    passes: &impl Fn(&Seen) -> bool,
) -> io::Result<VecDeque<Seen>> {
    let mut kept = VecDeque::new();
    for _ in 0..pending {
        let Some(seen) = messages.next().await else { break };
        let seen = seen?;
        // Fewer than there were at first, when some are deleted meanwhile.
        let is_last = seen.pending == 0;
        if passes(&seen) {
            if kept.len() == wanted {
                kept.pop_front();
            }
            kept.push_back(seen);
        }
        if is_last {
            break;
        }
    }
    Ok(kept)
}

/// The last so many of all sources together, and then what comes.
pub(super) async fn last_of_all(
    sources: &[Source],
    wanted: usize,
    passes: impl Fn(&Seen) -> bool + Copy,
) -> io::Result<(Vec<Seen>, Messages)> {
    let (mut kept, mut live) = (Vec::new(), Vec::new());
    for source in sources {
        let (last, messages) = source.last(wanted, passes).await?;
        kept.extend(last);
        live.push(messages);
    }
    kept.sort_by_key(|seen| seen.time);
    kept.drain(..kept.len().saturating_sub(wanted));
    Ok((kept, select_all(live).boxed()))
}

impl Seen {
    fn stored(message: jetstream::Message) -> io::Result<Self> {
        let info = message.info().map_err(io::Error::other)?;
        let place = StreamPosition { stream: info.stream.to_owned(), sequence: info.stream_sequence };
        let (time, pending) = (info.published, info.pending);
        Ok(Self { message: message.message, place: Some(place), time, pending })
    }

    fn sequence(&self) -> u64 {
        self.place.as_ref().map_or(0, |place| place.sequence)
    }
}
