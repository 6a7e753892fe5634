//! One connection, many publishes in flight: one subscription takes all acknowledgements.
//!
//! async-nats' own request machinery keeps some 350 bytes for every publish that is never answered, for the life of
//! a client (nats.rs#1617), and lets publishes in flight wait for their timeout when the connection ends. Here an
//! unanswered publish leaves nothing behind, and all of them fail the moment the connection does.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Subscriber, client::PublishErrorKind};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::acknowledgement::{self, Failure, Stored};
use super::connection::{Connection, connect};
use super::headers::HeaderMaps;
use crate::message::Message;

/// A connection to NATS for publishing.
pub(crate) struct Link {
    client: Client,
    /// Replies come to this, which ends in a dot, and a number.
    inbox: String,
    pending: Arc<Pending>,
    header_maps: HeaderMaps,
}

/// What the owner of a link is told.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Connected,
    Disconnected,
    /// What the server or the client complains of.
    Complaint(String),
    /// The server is about to go: move to another.
    LameDuck,
}

/// Publishes that wait for their answer.
#[derive(Default)]
struct Pending {
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

type Waiting = HashMap<u64, oneshot::Sender<async_nats::Message>, BuildHasherDefault<NumberHasher>>;

/// Spreads numbers that are handed out in sequence. Nobody outside chooses them, so nothing stronger is needed.
#[derive(Default)]
struct NumberHasher(u64);

/// One publish's place among the pending; dropping it gives the place up.
struct Waiter<'a> {
    pending: &'a Pending,
    number: u64,
    answer: oneshot::Receiver<async_nats::Message>,
    answered: bool,
}

impl Link {
    /// Connects in the background; `on_event` is called on every change. The future that comes with the link takes
    /// acknowledgements: somebody must run it.
    pub(crate) async fn open<F>(
        connection: &Connection,
        on_event: F,
    ) -> io::Result<(Self, impl Future<Output = ()> + Send + use<F>)>
    where
        F: Fn(LinkEvent) + Send + Sync + 'static,
    {
        let pending = Arc::new(Pending::default());
        let in_flight = Arc::clone(&pending);
        let client = connect(connection, move |event| {
            if matches!(event, async_nats::Event::Disconnected) {
                in_flight.fail_all();
            }
            if let Some(event) = translate(event) {
                on_event(event);
            }
        })
        .await?;
        let inbox = client.new_inbox() + ".";
        let answers = client.subscribe(format!("{inbox}*")).await.map_err(io::Error::other)?;
        let take_answers = take_answers(answers, Arc::clone(&pending), inbox.len());
        Ok((Self { client, inbox, pending, header_maps: HeaderMaps::default() }, take_answers))
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Moves to another server, if there is one: async-nats would stay until this one closes the connection.
    pub(crate) async fn leave_server(&self) {
        let others = self.client.server_info().connect_urls.len() > 1;
        if others && self.client.force_reconnect().await.is_err() {
            tracing::debug!("no other server to move to");
        }
    }

    /// Whether a message is larger than the server takes, as far as is known: the limit of the last connection, or
    /// NATS's default before the first.
    pub(crate) fn too_large(&self, message: &Message) -> Option<Failure> {
        // As the wire has them: `name: value` and a line's end each, and a first and a last line.
        let headers: usize =
            message.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let own = message.id.as_str().len()
            + message.stream.len()
            + "Nats-Msg-Id: Nats-Expected-Stream: ".len()
            + 18;
        let limit = self.client.max_payload();
        (message.payload.len() + headers + own > limit).then(|| too_large(limit))
    }

    /// Publishes to JetStream and waits for the acknowledgement of the message's stream, without a limit in time.
    pub(crate) async fn publish(&self, message: &Message) -> Result<Stored, Failure> {
        let headers = self.header_maps.of(message, Some(&message.stream));
        let waiter = self.pending.wait();
        self.send(message, Some(&waiter), headers).await?;
        acknowledgement::read(&waiter.answer().await?, &message.stream)
    }

    /// Publishes without acknowledgement. See [`Link::round_trip`].
    pub(crate) async fn publish_core(&self, message: &Message) -> Result<(), Failure> {
        self.send(message, None, self.header_maps.of(message, None)).await
    }

    /// Returns when the server has taken everything that was sent before: a message to ourselves has come back.
    /// `flush` of async-nats only empties a buffer into the socket.
    pub(crate) async fn round_trip(&self) -> Result<(), Failure> {
        let waiter = self.pending.wait();
        let subject = self.reply_subject(&waiter);
        self.client.publish(subject, Bytes::new()).await.map_err(|_| Failure::Disconnected)?;
        waiter.answer().await.map(|_| ())
    }

    /// Asks JetStream's API.
    pub(crate) async fn request(&self, subject: String, payload: Bytes) -> Result<Bytes, Failure> {
        if !self.is_connected() {
            return Err(Failure::Disconnected);
        }
        let waiter = self.pending.wait();
        let reply = self.reply_subject(&waiter);
        self.client.publish_with_reply(subject, reply, payload).await.map_err(|_| Failure::Disconnected)?;
        let answer = waiter.answer().await?;
        match answer.status {
            Some(async_nats::StatusCode::NO_RESPONDERS) => Err(Failure::NoStream),
            _ => Ok(answer.payload),
        }
    }

    async fn send(
        &self,
        message: &Message,
        waiter: Option<&Waiter<'_>>,
        headers: HeaderMap,
    ) -> Result<(), Failure> {
        if !self.is_connected() {
            return Err(Failure::Disconnected);
        }
        let (subject, payload) = (message.subject.as_str().to_owned(), message.payload.clone());
        let sent = match waiter {
            Some(waiter) => {
                let reply = self.reply_subject(waiter);
                self.client.publish_with_reply_and_headers(subject, reply, headers, payload).await
            }
            None => self.client.publish_with_headers(subject, headers, payload).await,
        };
        sent.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => too_large(self.client.max_payload()),
            PublishErrorKind::InvalidSubject => {
                Failure::Refused(format!("invalid subject {}", message.subject))
            }
            _ => Failure::Disconnected,
        })
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

fn too_large(limit: usize) -> Failure {
    Failure::TooLarge(format!("the server takes {limit} bytes"))
}

impl Pending {
    fn wait(&self) -> Waiter<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.lock().insert(number, sender);
        Waiter { pending: self, number, answer, answered: false }
    }

    fn answer(&self, number: u64, answer: async_nats::Message) {
        let waiting = self.lock().remove(&number);
        if let Some(waiting) = waiting {
            // Whoever waited may have given up in this instant.
            let _ = waiting.send(answer);
        }
    }

    /// Ends every wait: those who waited see [`Failure::Disconnected`].
    fn fail_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Every critical section is one call of the map's: a panic leaves no half-done change behind.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    async fn answer(mut self) -> Result<async_nats::Message, Failure> {
        let answer = (&mut self.answer).await;
        // Whoever answers, or fails all, has taken it off the list.
        self.answered = true;
        answer.map_err(|_| Failure::Disconnected)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.pending.lock().remove(&self.number);
        }
    }
}

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u64(self.0 ^ u64::from(b)));
    }

    fn write_u64(&mut self, number: u64) {
        /// 2^64 over the golden ratio: neighbours land far apart.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        self.0 = number.wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

async fn take_answers(mut answers: Subscriber, pending: Arc<Pending>, prefix_bytes: usize) {
    while let Some(answer) = answers.next().await {
        let number = answer.subject.as_str().get(prefix_bytes..).and_then(|number| number.parse().ok());
        if let Some(number) = number {
            pending.answer(number, answer);
        }
    }
}

fn translate(event: async_nats::Event) -> Option<LinkEvent> {
    use async_nats::Event;
    match event {
        Event::Connected => Some(LinkEvent::Connected),
        Event::Disconnected => Some(LinkEvent::Disconnected),
        Event::LameDuckMode => Some(LinkEvent::LameDuck),
        Event::ServerError(error) => Some(LinkEvent::Complaint(error.to_string())),
        Event::ClientError(error) => Some(LinkEvent::Complaint(error.to_string())),
        Event::SlowConsumer(_) => {
            Some(LinkEvent::Complaint("acknowledgements arrive faster than they are read".to_owned()))
        }
        Event::Draining | Event::Closed => None,
    }
}
