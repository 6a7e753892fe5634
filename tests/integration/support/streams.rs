//! What is in the streams, seen through a connection of the test's own.

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::LocalNats;

/// A look into JetStream.
pub struct Streams {
    runtime: Runtime,
    context: jetstream::Context,
}

/// A message as a stream holds it.
#[derive(Debug, Clone)]
pub struct Stored {
    pub sequence: u64,
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
}

impl Streams {
    pub fn of(nats: &LocalNats) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let client = runtime
            .block_on(async_nats::connect(nats.url()))
            .expect("nats-server takes connections");
        let context = runtime.block_on(async { jetstream::new(client) });
        Self { runtime, context }
    }

    /// Everything in a stream, in its order.
    pub fn messages(&self, stream: &str) -> Vec<Stored> {
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
                        values
                            .first()
                            .map(|value| value.as_str().to_owned())
                            .unwrap_or_default(),
                    )
                });
                messages.push(Stored {
                    sequence,
                    subject: message.subject.to_string(),
                    headers: headers.collect(),
                    payload: message.payload.to_vec(),
                });
            }
            messages
        })
    }

    pub fn subjects(&self, stream: &str) -> Vec<String> {
        self.messages(stream)
            .into_iter()
            .map(|message| message.subject)
            .collect()
    }

    /// The stream's configuration; `None` when there is no such stream.
    pub fn config(&self, stream: &str) -> Option<Config> {
        let stream = self.runtime.block_on(self.context.get_stream(stream)).ok()?;
        Some(stream.cached_info().config.clone())
    }

    pub fn create(&self, config: Config) {
        self.runtime
            .block_on(self.context.create_stream(config))
            .expect("the stream can be created");
    }

    pub fn update(&self, config: Config) {
        self.runtime
            .block_on(self.context.update_stream(config))
            .expect("the stream can be changed");
    }

    pub fn delete(&self, stream: &str) {
        self.runtime
            .block_on(self.context.delete_stream(stream))
            .expect("the stream can be deleted");
    }
}

impl Stored {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn id(&self) -> &str {
        self.header("Nats-Msg-Id").unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).expect("the message is JSON")
    }
}
