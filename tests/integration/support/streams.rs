//! What is in the streams, seen through a connection of the test's own.

use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::LocalNats;

/// How long whoever listens may take to answer.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// A look into JetStream.
pub(crate) struct Streams {
    runtime: Runtime,
    client: async_nats::Client,
    context: jetstream::Context,
}

/// A message as a stream holds it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
}

impl Streams {
    pub(crate) fn of(nats: &LocalNats) -> Self {
        Self::at(&nats.url())
    }

    /// With the user of the URL.
    pub(crate) fn at(url: &str) -> Self {
        let (address, user) = match url.strip_prefix("nats://").and_then(|rest| rest.split_once('@')) {
            Some((user, host)) => (format!("nats://{host}"), user.split_once(':')),
            None => (url.to_owned(), None),
        };
        let options = match user {
            Some((name, password)) => ConnectOptions::with_user_and_password(name.into(), password.into()),
            None => ConnectOptions::new(),
        };
        let runtime = Runtime::new().expect("a runtime");
        let client = runtime.block_on(options.connect(address)).expect("nats-server takes connections");
        let context = runtime.block_on(async { jetstream::new(client.clone()) });
        Self { runtime, client, context }
    }

    /// Everything in a stream, in its order.
    pub(crate) fn messages(&self, stream: &str) -> Vec<Stored> {
        self.runtime.block_on(async {
            let mut stream = self.context.get_stream(stream).await.expect("the stream exists");
            let state = stream.info().await.expect("the stream has a state").state.clone();
            let mut messages = Vec::new();
            for sequence in state.first_sequence..=state.last_sequence {
                let Ok(message) = stream.get_raw_message(sequence).await else {
                    continue;
                };
                let headers = message.headers.iter().map(|(name, values)| {
                    (
                        name.to_string(),
                        values.first().map(|value| value.as_str().to_owned()).unwrap_or_default(),
                    )
                });
                messages.push(Stored {
                    subject: message.subject.to_string(),
                    headers: headers.collect(),
                    payload: message.payload.to_vec(),
                });
            }
            messages
        })
    }

    pub(crate) fn subjects(&self, stream: &str) -> Vec<String> {
        self.messages(stream).into_iter().map(|message| message.subject).collect()
    }

    /// The stream's configuration; `None` when there is no such stream.
    pub(crate) fn config(&self, stream: &str) -> Option<Config> {
        let stream = self.runtime.block_on(self.context.get_stream(stream)).ok()?;
        Some(stream.cached_info().config.clone())
    }

    /// An object, read whole by the client's own object store, which compares its digest.
    pub(crate) fn object(&self, bucket: &str, name: &str) -> Vec<u8> {
        use tokio::io::AsyncReadExt;
        self.runtime.block_on(async {
            let store = self.context.get_object_store(bucket).await.expect("the bucket exists");
            let mut object = store.get(name).await.expect("the object exists");
            let mut content = Vec::new();
            object.read_to_end(&mut content).await.expect("the object is whole");
            content
        })
    }

    /// Asks JetStream's API in its own words.
    pub(crate) fn ask(&self, subject: &str, request: &Value) -> Value {
        let (subject, request) = (subject.to_owned(), request.to_string());
        let answer = self.runtime.block_on(self.client.request(subject, request.into()));
        serde_json::from_slice(&answer.expect("JetStream answers").payload).expect("an answer in JSON")
    }

    /// Asks whoever listens on a subject; `None` when nobody does.
    pub(crate) fn request(&self, subject: &'static str) -> Option<Value> {
        let answer = self.runtime.block_on(self.client.request(subject, "".into())).ok()?;
        serde_json::from_slice(&answer.payload).ok()
    }

    /// One reply to each request, a subject and perhaps a blank and a body, sent before `meanwhile`; `None` for what nobody
    /// answers in time.
    pub(crate) fn replies_while(
        &self,
        subjects: &[&str],
        within: Duration,
        meanwhile: impl FnOnce(),
    ) -> Vec<Option<Stored>> {
        let asked: Vec<_> = subjects
            .iter()
            .map(|subject| {
                self.runtime.block_on(async {
                    let inbox = self.client.new_inbox();
                    let replies = self.client.subscribe(inbox.clone()).await.expect("subscribed");
                    let (subject, body) = subject.split_once(' ').unwrap_or((subject, ""));
                    let (subject, body) = (subject.to_owned(), body.to_owned().into());
                    self.client.publish_with_reply(subject, inbox, body).await.expect("asked");
                    self.client.flush().await.expect("flushed");
                    replies
                })
            })
            .collect();
        meanwhile();
        let deadline = std::time::Instant::now() + within;
        let reply = async |mut replies: async_nats::Subscriber| {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let reply = tokio::time::timeout(left, replies.next()).await.ok()??;
            let is_answered = reply.status != Some(async_nats::StatusCode::NO_RESPONDERS);
            is_answered.then(|| Stored {
                subject: reply.subject.to_string(),
                headers: headers_of(reply.headers.as_ref()),
                payload: reply.payload.to_vec(),
            })
        };
        asked.into_iter().map(|replies| self.runtime.block_on(reply(replies))).collect()
    }

    /// Asks, and wants the answer at a subject of its choice.
    pub(crate) fn ask_to_answer_at(&self, subject: &'static str, reply: &'static str) {
        self.runtime.block_on(async {
            self.client.publish_with_reply(subject, reply, "".into()).await.expect("asked");
            self.client.flush().await.expect("flushed");
        });
    }

    /// What `count` of those who listen on a subject answer; `None` when fewer do.
    pub(crate) fn request_all(&self, subject: &'static str, count: usize) -> Option<Vec<Value>> {
        self.runtime.block_on(async {
            let inbox = self.client.new_inbox();
            let answers = self.client.subscribe(inbox.clone()).await.ok()?;
            self.client.publish_with_reply(subject, inbox, "".into()).await.ok()?;
            let answers =
                tokio::time::timeout(ANSWER_TIME, answers.take(count).collect::<Vec<_>>()).await.ok()?;
            // Where nobody listens the server answers, with an empty body.
            answers.iter().map(|answer| serde_json::from_slice(&answer.payload).ok()).collect()
        })
    }

    /// The server that leads the stream.
    pub(crate) fn leader(&self, stream: &str) -> Option<String> {
        let stream = self.runtime.block_on(self.context.get_stream(stream)).ok()?;
        stream.cached_info().cluster.as_ref()?.leader.clone()
    }

    /// Puts a message into the stream that takes the subject.
    pub(crate) fn publish(&self, subject: &str, body: &str) {
        self.publish_with(subject, &[], body);
    }

    pub(crate) fn publish_with(&self, subject: &str, headers: &[(&'static str, &str)], body: &str) {
        let (subject, body) = (subject.to_owned(), body.to_owned());
        let mut all = async_nats::HeaderMap::new();
        headers.iter().for_each(|(name, value)| all.insert(*name, *value));
        let publishing = async { self.context.publish_with_headers(subject, all, body.into()).await?.await };
        self.runtime.block_on(publishing).expect("the stream takes it");
    }

    pub(crate) fn create(&self, config: Config) {
        self.runtime.block_on(self.context.create_stream(config)).expect("the stream can be created");
    }

    pub(crate) fn update(&self, config: Config) {
        self.runtime.block_on(self.context.update_stream(config)).expect("the stream can be changed");
    }
}

fn headers_of(headers: Option<&async_nats::HeaderMap>) -> Vec<(String, String)> {
    let all = headers.into_iter().flat_map(async_nats::HeaderMap::iter);
    all.map(|(name, values)| (name.to_string(), values.first().map(ToString::to_string).unwrap_or_default()))
        .collect()
}

impl Stored {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn id(&self) -> &str {
        self.header("Nats-Msg-Id").unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).expect("the message is JSON")
    }
}
