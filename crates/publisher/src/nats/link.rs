//! One connection, many publishes in flight: one subscription takes all acknowledgements.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::{Client, HeaderMap, Statistics, Subscriber, client::PublishErrorKind};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::acknowledgement::{Expected, Failure, Stored};
use super::connect::open;
use super::connection::Connection;
use super::events::{LinkEvent, hear};
use super::headers::HeaderMaps;
use super::pending::{Answer, Sent, Waiter, Wanted, subject_hash};
use super::servers::Servers;
use super::version;
use super::wire::Wire;
use crate::message::Message;

/// A connection to NATS for publishing.
pub(crate) struct Link {
    client: Client,
    servers: Arc<Servers>,
    /// Counts connections: each message carries the number of the one that took it.
    statistics: Arc<Statistics>,
    /// Replies come to this, which ends in a dot, and a number.
    inbox: String,
    wire: Arc<Wire>,
    header_maps: HeaderMaps,
    settings: LinkSettings,
    /// What the user's JWT says of `max_payload`, in bytes; read with each connection.
    user_limit: UserLimit,
    /// Whether the present server can be sent `Nats-Expected-Stream`.
    names_stream: AtomicBool,
}

/// What publishing over a link depends on.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkSettings {
    /// The JetStream domain that acknowledgements must name, where one is configured.
    pub(crate) domain: Option<Arc<str>>,
    /// Whether each publish names the stream that must take it.
    pub(crate) expect_stream: ExpectStream,
}

/// Whether `Nats-Expected-Stream` is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectStream {
    /// To servers whose mirrors and sources do not check it a second time: 2.11.5 and later.
    #[default]
    Auto,
    /// To every server.
    Always,
    /// To none. The acknowledgement's stream is compared all the same.
    Never,
}

/// The limit that the user's own JWT names, known before any message proves it.
struct UserLimit {
    connection: Connection,
    read_for: AtomicU64,
    bytes: AtomicUsize,
}

impl UserLimit {
    fn new(connection: Connection) -> Self {
        let bytes = connection.payload_limit().unwrap_or(usize::MAX);
        Self { connection, read_for: AtomicU64::new(0), bytes: AtomicUsize::new(bytes) }
    }

    /// Reads the file again after a connection was made: it may hold another JWT.
    fn refresh(&self, connection: u64) {
        if self.read_for.swap(connection, Ordering::Relaxed) != connection {
            self.bytes.store(self.connection.payload_limit().unwrap_or(usize::MAX), Ordering::Relaxed);
        }
    }
}

impl Link {
    /// Connects in the background; `on_event` is called on every change. The future that comes with the link takes
    /// acknowledgements and events: somebody must run it.
    pub(crate) async fn open<F>(
        connection: &Connection,
        settings: LinkSettings,
        on_event: F,
    ) -> io::Result<(Self, impl Future<Output = ()> + Send + use<F>)>
    where
        F: Fn(LinkEvent) + Send + Sync + 'static,
    {
        let (events, happened) = mpsc::unbounded_channel();
        let (client, servers) = open(connection, move |event| {
            // Nobody listens any more when the bridge ends.
            let _ = events.send(event);
        })
        .await?;
        let wire = Arc::new(Wire::default());
        let inbox = client.new_inbox() + ".";
        let answers = client.subscribe(format!("{inbox}*")).await.map_err(io::Error::other)?;
        let take_answers = take_answers(answers, Arc::clone(&wire), inbox.len());
        let hear = hear(happened, client.clone(), Arc::clone(&wire), on_event);
        let background = async {
            join(take_answers, hear).await;
        };
        let link = Self {
            statistics: client.statistics(),
            names_stream: AtomicBool::new(settings.expect_stream == ExpectStream::Always),
            client,
            servers,
            inbox,
            wire,
            header_maps: HeaderMaps::default(),
            settings,
            user_limit: UserLimit::new(connection.clone()),
        };
        Ok((link, background))
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The number of the connection in use, or of the last one; 0 before the first.
    pub(crate) fn connection(&self) -> u64 {
        self.statistics.connects.load(Ordering::Relaxed)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Takes in what the present server says of itself. async-nats tells of it a moment after the connection.
    pub(crate) fn refresh(&self) {
        self.wire.payload_limit.refresh();
        self.user_limit.refresh(self.connection());
        if self.settings.expect_stream == ExpectStream::Auto && self.is_connected() {
            let names_stream = version::may_name_stream(&self.client.server_info().version);
            self.names_stream.store(names_stream, Ordering::Relaxed);
        }
    }

    /// Moves to another server, if there is one: async-nats would stay until this one closes the connection.
    pub(crate) async fn leave_server(&self) {
        if self.servers.has_other(&self.client.server_info()) {
            self.servers.avoid_current();
            if self.client.force_reconnect().await.is_err() {
                tracing::debug!("the connection is closed already");
            }
        }
    }

    /// Connects anew if the files of credentials have changed since the last connect; gives whether it did. While
    /// there is no connection, every attempt reads them anyway.
    pub(crate) async fn renew_credentials(&self) -> bool {
        let servers = Arc::clone(&self.servers);
        let new = tokio::task::spawn_blocking(move || servers.has_new_credentials()).await.unwrap_or(false);
        new && self.is_connected() && self.client.force_reconnect().await.is_ok()
    }

    /// What is known of the servers: why there is no connection, and whether there is another.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The largest message that is taken, as far as is known, in bytes with its headers: the limit of the last
    /// connection, or NATS's default before the first, or what has been learned since.
    pub(crate) fn max_payload(&self) -> usize {
        let learned = self.wire.payload_limit.learned().min(self.user_limit.bytes.load(Ordering::Relaxed));
        self.client.max_payload().min(learned)
    }

    /// The size that is likely to be taken, where any will do.
    pub(crate) fn likely_payload(&self) -> usize {
        self.max_payload().min(self.wire.payload_limit.likely())
    }

    /// Whether a message is larger than is taken, as far as is known.
    pub(crate) fn too_large(&self, message: &Message) -> Option<Failure> {
        self.exceeded_by(message.encoded_bytes())
    }

    fn exceeded_by(&self, bytes: usize) -> Option<Failure> {
        let limit = self.max_payload();
        (bytes > limit).then(|| {
            let whose =
                if limit < self.client.max_payload() { "the account or the user" } else { "the server" };
            Failure::TooLarge(format!("{whose} takes {limit} bytes"))
        })
    }

    /// Publishes to JetStream and waits for the acknowledgement of the message's stream.
    pub(crate) async fn publish(&self, message: &Message, within: Duration) -> Result<Stored, Failure> {
        let bytes = message.encoded_bytes();
        if let Some(failure) = self.exceeded_by(bytes) {
            return Err(failure);
        }
        let stream = self.names_stream.load(Ordering::Relaxed).then_some(&message.stream);
        let mut headers = self.header_maps.of(message, stream);
        if message.leaves_what_stands() {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        }
        let expected = Expected { stream: Arc::clone(&message.stream), domain: self.settings.domain.clone() };
        let sent = Sent { bytes, ..self.carried(message.subject.as_str()) };
        let mut waiter = self.wire.pending.wait(Wanted::Acknowledgement(expected), sent);
        // Where it stands: a timeout would move it.
        let answered = timeout(
            within,
            pin!(async {
                self.send(message, Some(&waiter), headers).await?;
                waiter.answer().await
            }),
        )
        .await;
        match answered {
            Ok(Ok(Answer::Stored(stored))) => {
                self.wire.payload_limit.taken(sent.bytes);
                Ok(stored)
            }
            Ok(Ok(Answer::Payload(_) | Answer::NoResponders)) => Err(Failure::NoStream),
            Ok(Err(Failure::Standing(sequence))) if message.leaves_what_stands() => {
                Ok(Stored { stream: Arc::clone(&message.stream), sequence, duplicate: true })
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(waiter.given_up()),
        }
    }

    /// Publishes without acknowledgement. See [`Link::round_trip`].
    pub(crate) async fn publish_core(&self, message: &Message) -> Result<(), Failure> {
        if let Some(failure) = self.too_large(message) {
            return Err(failure);
        }
        self.send(message, None, self.header_maps.of(message, None)).await
    }

    /// Returns when the server has taken everything that was sent before: a message to ourselves has come back.
    /// `flush` of async-nats only empties a buffer into the socket. Fails when the server says meanwhile that `behind`
    /// may not be published to.
    pub(crate) async fn round_trip(&self, behind: Option<&Message>) -> Result<(), Failure> {
        let subject = behind.map_or("", |message| message.subject.as_str());
        let bytes = behind.map_or(0, Message::encoded_bytes);
        let mut waiter = self.wire.pending.wait(Wanted::Echo, Sent { bytes, ..self.carried(subject) });
        let subject = self.reply_subject(&waiter);
        self.client.publish(subject, Bytes::new()).await.map_err(|_| Failure::Disconnected)?;
        waiter.answer().await.map(|_| ())
    }

    /// Asks JetStream's API.
    pub(crate) async fn request(&self, subject: String, payload: Bytes) -> Result<Bytes, Failure> {
        if !self.is_connected() {
            return Err(Failure::Disconnected);
        }
        let mut waiter = self.wire.pending.wait(Wanted::Api, self.carried(&subject));
        let reply = self.reply_subject(&waiter);
        self.client.publish_with_reply(subject, reply, payload).await.map_err(|_| Failure::Disconnected)?;
        match waiter.answer().await? {
            Answer::Payload(payload) => Ok(payload),
            Answer::NoResponders | Answer::Stored(_) => Err(Failure::NoStream),
        }
    }

    /// Sends something that a stream must acknowledge, on a subject that is not for events.
    pub(super) async fn send_to<'l>(
        &'l self,
        subject: &str,
        stream: &Arc<str>,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<InFlight<'l>, Failure> {
        let expected = Expected { stream: Arc::clone(stream), domain: self.settings.domain.clone() };
        let sent = Sent { bytes: payload.len(), ..self.carried(subject) };
        let waiter = self.wire.pending.wait(Wanted::Acknowledgement(expected), sent);
        self.hand_over(subject.to_owned(), Some(&waiter), headers, payload).await?;
        Ok(InFlight(waiter))
    }

    async fn send(
        &self,
        message: &Message,
        waiter: Option<&Waiter<'_>>,
        headers: HeaderMap,
    ) -> Result<(), Failure> {
        let subject = message.subject.as_str().to_owned();
        self.hand_over(subject, waiter, headers, message.payload.clone()).await
    }

    /// Hands something to the client, which sends it in its turn.
    async fn hand_over(
        &self,
        subject: String,
        waiter: Option<&Waiter<'_>>,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), Failure> {
        if !self.is_connected() {
            return Err(Failure::Away);
        }
        let sent = match waiter {
            Some(waiter) => {
                let reply = self.reply_subject(waiter);
                self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
            None => self.client.publish_with_headers(subject, headers, payload).await,
        };
        sent.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                Failure::TooLarge(format!("the server takes {} bytes", self.client.max_payload()))
            }
            PublishErrorKind::InvalidSubject => Failure::Refused("the subject is not one of NATS".to_owned()),
            _ => Failure::Disconnected,
        })
    }

    fn carried(&self, subject: &str) -> Sent {
        Sent { connection: self.connection(), subject: subject_hash(subject), bytes: 0 }
    }

    fn reply_subject(&self, waiter: &Waiter<'_>) -> String {
        let number = waiter.number.to_string();
        // Half of what `format!` takes.
        let mut subject = String::with_capacity(self.inbox.len() + number.len());
        subject.push_str(&self.inbox);
        subject.push_str(&number);
        subject
    }
}

/// Something sent, and not yet acknowledged.
pub(super) struct InFlight<'l>(Waiter<'l>);

impl InFlight<'_> {
    pub(super) async fn acknowledged(mut self, deadline: Instant) -> Result<Stored, Failure> {
        match timeout_at(deadline, self.0.answer()).await {
            Ok(Ok(Answer::Stored(stored))) => Ok(stored),
            Ok(Ok(Answer::Payload(_) | Answer::NoResponders)) => Err(Failure::NoStream),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(self.0.given_up()),
        }
    }
}

async fn take_answers(mut answers: Subscriber, wire: Arc<Wire>, prefix_bytes: usize) {
    while let Some(answer) = answers.next().await {
        let number = answer.subject.as_str().get(prefix_bytes..).and_then(|number| number.parse().ok());
        if let Some(number) = number
            && !wire.pending.answer(number, &answer)
        {
            tracing::trace!(number, "a reply that nobody waits for, or that is no answer");
        }
    }
}
