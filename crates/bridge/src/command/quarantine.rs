//! `ci-bridge quarantine`: what was kept because nobody could read it or JetStream refused it, and another try after a
//! fix. A body goes to the bridge again; a refused message, which was routed already, straight to its stream.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::{Info, RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode, message::PublishMessage, message::StreamMessage};
use ci_bridge_publisher::nats::connect;
use ci_bridge_publisher::{HeaderName, MessageId, REFUSED};
use clap::Subcommand;
use tokio::time::timeout;

use super::post::Target;
use crate::cli::Failure;
use crate::config::{Config, Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// One line each: its number, its message id, when it came, why it is here, its size
    List,
    /// Print a body as it came
    Show {
        /// Its number in the list
        number: u64,
    },
    /// Post bodies to the bridge again, and publish refused messages again; those that are taken leave quarantine
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
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(action: Action, config: &Config, settings: &Settings) -> Result<ExitCode, Failure> {
    super::runtime()?.block_on(async {
        let quarantine = timeout(PATIENCE, open(config, settings)).await;
        let timed_out =
            || io::Error::new(io::ErrorKind::TimedOut, "NATS does not answer: see `check --connect`");
        let quarantine = quarantine.map_err(|_| timed_out())??;
        match (action, quarantine) {
            (Action::List, Some(quarantine)) => quarantine.list().await,
            (Action::Show { number }, Some(quarantine)) => quarantine.show(number).await,
            (Action::Replay { numbers, target, keep }, Some(quarantine)) => {
                quarantine.replay(numbers, &target, keep).await
            }
            // Until the first bridge makes the stream, nothing has been kept.
            (Action::Show { number }, None) => Err(missing(number).into()),
            (Action::Replay { numbers, .. }, None) => match numbers.first() {
                Some(number) => Err(missing(*number).into()),
                None => Ok(ExitCode::SUCCESS),
            },
            (Action::List, None) => Ok(ExitCode::SUCCESS),
        }
    })
}

/// The stream of quarantine, and how to publish.
struct Quarantine {
    context: Context,
    stream: Stream<Info>,
    /// The JetStream domain that acknowledgements must name; empty takes any.
    domain: String,
}

/// `None` when there is no such stream.
async fn open(config: &Config, settings: &Settings) -> io::Result<Option<Quarantine>> {
    let client = connect(&settings.publisher.connection, |_| {}).await?;
    let name = &config.jetstream.quarantine.stream;
    // Where `serve` asks JetStream's API: a prefix, a domain's, or the usual one.
    let of_quarantine = settings.publisher.streams.iter().find(|stream| stream.name == *name);
    let context = match of_quarantine {
        Some(stream) => jetstream::with_prefix(client, &stream.api_prefix),
        None => jetstream::new(client),
    };
    let domain = config.jetstream.domain.clone();
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(Quarantine { context, stream, domain })),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            _ => Err(io::Error::other(format!("stream {name}: {error}"))),
        },
    }
}

impl Quarantine {
    async fn list(&self) -> Result<ExitCode, Failure> {
        for number in self.numbers() {
            let Some(entry) = self.find(number).await? else { continue };
            let header = |name| header(&entry.headers, name).unwrap_or("-");
            let (id, reason, detail) = (
                header(MESSAGE_ID),
                header(HeaderName::CiReason.as_str()),
                header(HeaderName::CiDetail.as_str()),
            );
            let (time, bytes) = (entry.time, entry.payload.len());
            let mut stdout = io::stdout().lock();
            writeln!(stdout, "{number}\t{id}\t{time}\t{reason}\t{bytes} bytes\t{detail}")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn show(&self, number: u64) -> Result<ExitCode, Failure> {
        let entry = self.find(number).await?.ok_or_else(|| missing(number))?;
        io::stdout().lock().write_all(&entry.payload)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn replay(&self, numbers: Vec<u64>, target: &Target, keep: bool) -> Result<ExitCode, Failure> {
        let all = numbers.is_empty();
        let numbers = if all { self.numbers().collect() } else { numbers };
        let mut accepted = true;
        for number in numbers {
            let entry = match self.find(number).await? {
                Some(entry) => entry,
                None if all => continue,
                None => return Err(missing(number).into()),
            };
            let id = header(&entry.headers, MESSAGE_ID).unwrap_or("-").to_owned();
            let (taken, report) = self.try_again(entry, target).await?;
            writeln!(io::stdout().lock(), "{number} {id}: {report}")?;
            accepted &= taken;
            if taken && !keep {
                self.stream.delete_message(number).await.map_err(io::Error::other)?;
            }
        }
        Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Whether the entry was taken this time, and what there is to say.
    async fn try_again(&self, entry: StreamMessage, target: &Target) -> io::Result<(bool, String)> {
        if header(&entry.headers, HeaderName::CiReason.as_str()) != Some(REFUSED) {
            let answered = target.post(entry.payload).await?;
            let report = format!("{} {}", answered.status, String::from_utf8_lossy(&answered.body));
            return Ok((answered.status == 200, report));
        }
        let Some(refused) = Refused::read(&entry.headers) else {
            return Ok((false, "its headers do not say where it belongs: publish it by hand".to_owned()));
        };
        Ok(match self.publish(&refused, entry.payload).await {
            Ok(report) => (true, report),
            Err(why) => (false, format!("not taken by {}, {why}", refused.stream)),
        })
    }

    /// Publishes a message as it was first published, and waits until its stream has it.
    async fn publish(&self, refused: &Refused, payload: bytes::Bytes) -> Result<String, String> {
        let Refused { subject, stream, id, headers } = refused;
        let message = PublishMessage::build().payload(payload).headers(headers.clone());
        // Without the stream's name, as `serve` publishes to servers whose mirrors would refuse it: the acknowledgement is
        // compared instead.
        let message = message.message_id(id);
        let published = async { self.context.send_publish(subject.clone(), message).await?.await };
        let unanswered =
            |_| format!("no acknowledgement within {PATIENCE:?}: may the user publish to {subject}?");
        let stored = timeout(PATIENCE, published).await.map_err(unanswered)?.map_err(|e| e.to_string())?;
        if stored.stream != *stream || (!self.domain.is_empty() && stored.domain != self.domain) {
            return Err(format!("stream {} of domain {:?} stored it instead", stored.stream, stored.domain));
        }
        // Up to 2.10 a replicated stream says so when the first copy is still in flight; sequence 0 is no message.
        if stored.sequence == 0 {
            return Err("a copy with the same id is in flight: try again".to_owned());
        }
        let before = if stored.duplicate { ", where it was already" } else { "" };
        Ok(format!("{id} on {subject}, {stream} #{}{before}", stored.sequence))
    }

    /// The numbers that there can be. A stream that is new calls its first one 0, which is none.
    fn numbers(&self) -> RangeInclusive<u64> {
        let state = &self.stream.cached_info().state;
        state.first_sequence.max(1)..=state.last_sequence
    }

    async fn find(&self, number: u64) -> io::Result<Option<StreamMessage>> {
        match self.stream.get_raw_message(number).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// A message that JetStream refused, as it was before it came to quarantine.
#[derive(Debug, PartialEq)]
struct Refused {
    subject: String,
    stream: String,
    id: String,
    headers: HeaderMap,
}

const MESSAGE_ID: &str = "Nats-Msg-Id";

impl Refused {
    /// `None` when the headers are not all there.
    fn read(kept: &HeaderMap) -> Option<Self> {
        let text = |name: HeaderName| header(kept, name.as_str()).map(str::to_owned);
        let mut headers = HeaderMap::new();
        for (name, values) in kept.iter() {
            let text: &str = name.as_ref();
            let is_added = HeaderName::OF_REFUSED.iter().any(|added| added.as_str() == text);
            // As they are: what could not stand in a header was encoded when the message was first made.
            if !is_added && !text.starts_with("Nats-") {
                values.iter().for_each(|value| headers.append(name.clone(), value.clone()));
            }
        }
        Some(Self {
            subject: text(HeaderName::CiSubject)?,
            stream: text(HeaderName::CiStream)?,
            id: MessageId::before_quarantine(header(kept, MESSAGE_ID)?)?.to_owned(),
            headers,
        })
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &'static str) -> Option<&'h str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

fn missing(number: u64) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("quarantine has no number {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        rows.iter().for_each(|(name, value)| headers.insert(*name, *value));
        headers
    }

    #[test]
    fn a_refused_message_becomes_what_it_was() {
        let own = [("ce-subject", "a%20%22b%22"), ("Content-Type", "application/json"), ("Ci-Endpoint", "b")];
        let added = [
            ("Ci-Reason", "refused"),
            ("Ci-Detail", "the message is too large"),
            ("Ci-Subject", "ci.task.%2A.success"),
            ("Ci-Stream", "CI"),
            ("Nats-Msg-Id", "quarantine:task:j1:Success@ci.x"),
            ("Nats-Expected-Stream", "CI_QUARANTINE"),
        ];
        let kept = [&own[..], &added].concat();
        let expected = Refused {
            subject: "ci.task.%2A.success".to_owned(),
            stream: "CI".to_owned(),
            id: "task:j1:Success@ci.x".to_owned(),
            headers: headers(&own),
        };
        assert_eq!(Refused::read(&headers(&kept)), Some(expected));
        for needed in ["Ci-Subject", "Ci-Stream", "Nats-Msg-Id"] {
            let without: Vec<_> = kept.iter().copied().filter(|(name, _)| *name != needed).collect();
            assert_eq!(Refused::read(&headers(&without)), None, "{needed}");
        }
    }
}
