//! The bucket with each job's last message, as those who wait for jobs see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::settings::Await;
use super::slots::WaitSlots;
use crate::key_value;

/// How long JetStream may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Between attempts that JetStream does not answer.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Trouble is told of when it has happened so often in a row: an election passes by itself.
const TOLD_AFTER: u32 = 3;

pub(super) struct Bucket {
    name: String,
    stream: String,
    client: Client,
    context: Context,
    reading: Trouble,
    following: Trouble,
}

/// Attempts that have failed since one succeeded.
#[derive(Default)]
struct Trouble(AtomicU32);

impl Trouble {
    /// Whether it should be told of now.
    fn failed(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) + 1 == TOLD_AFTER
    }

    /// Whether it was told of, and is over.
    fn over(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0 && self.0.swap(0, Ordering::Relaxed) >= TOLD_AFTER
    }
}

impl Bucket {
    pub(super) fn new(settings: &Await, client: Client) -> Self {
        Self {
            name: settings.bucket.clone(),
            stream: settings.stream.name.clone(),
            context: jetstream::with_prefix(client.clone(), &settings.stream.api_prefix),
            client,
            reading: Trouble::default(),
            following: Trouble::default(),
        }
    }

    /// The message of a job that has ended.
    ///
    /// # Errors
    ///
    /// The bucket cannot be read; the reason is a sentence.
    pub(super) async fn look_up(&self, key: &str) -> Result<Option<StreamMessage>, String> {
        let subject = key_value::subject(&self.name, key);
        let looking = async {
            // The leader's word: a replica may be behind what the consumer has told.
            let stream = self.stream().await?;
            match stream.get_last_raw_message_by_subject(&subject).await {
                // A key that somebody has deleted has a marker of that.
                Ok(message) if message.headers.get("KV-Operation").is_none() => Ok(Some(message)),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        };
        let found = timeout(ANSWER_TIME, looking).await.unwrap_or_else(|_| Err(NO_ANSWER.to_owned()));
        if let Err(why) = &found {
            debug!(key, why, "the bucket of jobs cannot be read");
        }
        match &found {
            Ok(_) if self.reading.over() => {
                info!(stream = self.stream, "requests for jobs are answered again");
            }
            Err(why) if self.is_connected() && self.reading.failed() => {
                warn!(
                    stream = self.stream,
                    why, "requests for jobs are not answered: the bucket cannot be read"
                );
            }
            _ => {}
        }
        found
    }

    /// Follows the bucket, for ever: whoever waits for a key is told when it has a value.
    pub(super) async fn watch(&self, slots: Arc<WaitSlots>) {
        loop {
            if let Err(why) = self.follow(&slots).await {
                debug!(stream = self.stream, why, "the bucket of jobs is not followed at the moment");
                if self.is_connected() && self.following.failed() {
                    let seconds = super::LOOK_INTERVAL.as_secs();
                    warn!(
                        stream = self.stream,
                        why,
                        seconds,
                        "requests for jobs may wait longer, by so much: the bucket cannot be followed"
                    );
                }
            }
            // Whoever waits asks for itself meanwhile.
            slots.all_look();
            sleep(RETRY_INTERVAL).await;
        }
    }

    async fn follow(&self, slots: &WaitSlots) -> Result<(), String> {
        let statistics = self.client.statistics();
        let connection = || statistics.connects.load(Ordering::Relaxed);
        let first = connection();
        let config = OrderedConfig {
            headers_only: true,
            deliver_policy: DeliverPolicy::New,
            ..OrderedConfig::default()
        };
        let opening = async {
            let stream = self.stream().await?;
            let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
            consumer.messages().await.map_err(|error| error.to_string())
        };
        let mut values = timeout(ANSWER_TIME, opening).await.map_err(|_| NO_ANSWER.to_owned())??;
        if self.following.over() {
            info!(stream = self.stream, "the bucket of jobs is followed again");
        }
        // What came before the consumer was made it does not tell.
        slots.all_look();
        // The server that comes back need not have the consumer.
        while connection() == first {
            let Ok(value) = timeout(RETRY_INTERVAL, values.next()).await else { continue };
            let value = value.ok_or("the consumer has ended")?.map_err(|error| error.to_string())?;
            slots.look(value.subject.rsplit('.').next().unwrap_or_default());
        }
        Ok(())
    }

    async fn stream(&self) -> Result<Stream<()>, String> {
        self.context.get_stream_no_info(&self.stream).await.map_err(|error| error.to_string())
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

const NO_ANSWER: &str = "JetStream does not answer, or the NATS user may not ask it";
