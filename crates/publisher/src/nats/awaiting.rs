//! Requests that wait for a job: answered with its message from the bucket, at once or when it comes, whichever bridge
//! publishes it.
//!
//! One consumer a bridge says which keys get a value; only of those that somebody waits for is the value fetched. Whoever
//! asks is noted first and looks then, so that nothing that comes between is missed; and all look again whenever the
//! consumer was made anew.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::service::error::Error as Refusal;
use async_nats::service::{Request, Service};
use async_nats::{Client, HeaderMap};
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, warn};

use crate::publisher::Await;

/// Bridges share the requests.
const QUEUE_GROUP: &str = "ci-bridge";
/// How long JetStream may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Between attempts that JetStream does not answer.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Whoever waits looks this often by itself: a consumer that JetStream has lost is missed only after a while.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// At shutdown: until everybody who waits has been told.
const GOODBYE_TIME: Duration = Duration::from_millis(500);

/// HTTP's, as micro services give them.
const BAD_REQUEST: usize = 400;
const TOO_LATE: usize = 408;
const UNAVAILABLE: usize = 503;

/// By key: the places of those who wait for it, each with a number and what wakes it.
type Places = HashMap<String, Vec<(u64, Arc<Notify>)>>;

/// Who waits for which job.
#[derive(Debug)]
pub(crate) struct Waiting {
    settings: Await,
    keys: Mutex<Places>,
    next: AtomicU64,
    stopping: AtomicBool,
    /// One more has been answered.
    answered: Notify,
}

/// A request's place among those that wait; free again when it is dropped.
struct Place<'w> {
    waiting: &'w Waiting,
    key: &'w str,
    number: u64,
    look: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut keys = self.waiting.keys();
        if let Some(places) = keys.get_mut(self.key) {
            places.retain(|(number, _)| *number != self.number);
            if places.is_empty() {
                keys.remove(self.key);
            }
        }
        drop(keys);
        self.waiting.answered.notify_one();
    }
}

impl Waiting {
    pub(crate) fn new(settings: Await) -> Self {
        Self {
            settings,
            keys: Mutex::default(),
            next: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            answered: Notify::new(),
        }
    }

    /// Tells everybody who waits to ask again: another bridge may answer.
    pub(crate) async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.all_look();
        let all_told = async {
            while !self.keys().is_empty() {
                self.answered.notified().await;
            }
        };
        if timeout(GOODBYE_TIME, all_told).await.is_err() {
            debug!("not everybody who waits for a job was told that the bridge stops");
        }
    }

    /// Answers requests for as long as it is polled.
    pub(super) async fn serve(self: Arc<Self>, client: Client, service: &Service) {
        let subject = format!("{}.*", self.settings.prefix);
        let endpoint = service.endpoint_builder().name("await").queue_group(QUEUE_GROUP).add(subject).await;
        let mut requests = match endpoint {
            Ok(requests) => requests,
            Err(error) => {
                warn!(%error, prefix = self.settings.prefix, "nobody can wait for jobs");
                return std::future::pending().await;
            }
        };
        let context = jetstream::with_prefix(client.clone(), &self.settings.stream.api_prefix);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).watch(client, context.clone()));
        while let Some(request) = requests.next().await {
            while tasks.try_join_next().is_some() {}
            if tasks.len() > self.settings.max_waiting {
                let full = format!("{} requests wait already (jobs.max_waiting)", self.settings.max_waiting);
                answer(&request, Err(refusal(UNAVAILABLE, full))).await;
                continue;
            }
            let (waiting, context) = (Arc::clone(&self), context.clone());
            tasks.spawn(async move {
                let found = waiting.wait(&context, &request).await;
                answer(&request, found).await;
            });
        }
        std::future::pending::<()>().await;
    }

    /// The message of the job that a request names.
    async fn wait(&self, context: &Context, request: &Request) -> Result<StreamMessage, Refusal> {
        let key = request.message.subject.rsplit('.').next().unwrap_or_default();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)) {
            let why = "an id is letters, digits, '-' and '_'; any other byte of it is '=' and two digits";
            return Err(refusal(BAD_REQUEST, why.to_owned()));
        }
        let place = self.place(key);
        let deadline = Instant::now() + self.settings.max_wait;
        // A stop that came before the place was noted has told nobody here.
        while !self.stopping.load(Ordering::SeqCst) {
            let pause = match self.look_up(context, key).await {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => LOOK_INTERVAL,
                Err(why) => {
                    debug!(key, why, "the bucket of jobs cannot be read");
                    RETRY_INTERVAL
                }
            };
            let until = deadline.min(Instant::now() + pause);
            if timeout_at(until, place.look.notified()).await.is_err() && Instant::now() >= deadline {
                let late = self.settings.max_wait;
                return Err(refusal(
                    TOO_LATE,
                    format!("job {key} has not ended within {late:?} (jobs.max_wait)"),
                ));
            }
        }
        Err(refusal(UNAVAILABLE, "the bridge stops: ask again".to_owned()))
    }

    async fn look_up(&self, context: &Context, key: &str) -> Result<Option<StreamMessage>, String> {
        let subject = format!("$KV.{}.{key}", self.settings.bucket);
        let looking = async {
            // The leader's word: a replica may be behind what the consumer has told.
            let stream = self.stream(context).await?;
            match stream.get_last_raw_message_by_subject(&subject).await {
                // A key that somebody has deleted has a marker of that.
                Ok(message) if message.headers.get("KV-Operation").is_none() => Ok(Some(message)),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        };
        timeout(ANSWER_TIME, looking).await.map_err(|_| "no answer".to_owned())?
    }

    async fn stream(&self, context: &Context) -> Result<Stream<()>, String> {
        context.get_stream_no_info(&self.settings.stream.name).await.map_err(|error| error.to_string())
    }

    /// Follows the bucket, for ever.
    async fn watch(self: Arc<Self>, client: Client, context: Context) {
        loop {
            if let Err(why) = self.follow(&client, &context).await {
                debug!(why, "the bucket of jobs cannot be watched at the moment");
            }
            // Whoever waits asks for itself meanwhile.
            self.all_look();
            sleep(RETRY_INTERVAL).await;
        }
    }

    async fn follow(&self, client: &Client, context: &Context) -> Result<(), String> {
        let connection = || client.statistics().connects.load(Ordering::Relaxed);
        let first = connection();
        let config = OrderedConfig {
            headers_only: true,
            deliver_policy: DeliverPolicy::New,
            ..OrderedConfig::default()
        };
        let opening = async {
            let stream = self.stream(context).await?;
            let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
            consumer.messages().await.map_err(|error| error.to_string())
        };
        let mut values = timeout(ANSWER_TIME, opening).await.map_err(|_| "no answer".to_owned())??;
        // What came before the consumer was made it does not tell.
        self.all_look();
        // The server that comes back need not have the consumer.
        while connection() == first {
            let Ok(value) = timeout(RETRY_INTERVAL, values.next()).await else { continue };
            let value = value.ok_or("the consumer has ended")?.map_err(|error| error.to_string())?;
            let key = value.subject.rsplit('.').next().unwrap_or_default();
            for (_, look) in self.keys().get(key).into_iter().flatten() {
                look.notify_one();
            }
        }
        Err("it is another connection".to_owned())
    }

    fn place<'w>(&'w self, key: &'w str) -> Place<'w> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let look = Arc::new(Notify::new());
        self.keys().entry(key.to_owned()).or_default().push((number, Arc::clone(&look)));
        Place { waiting: self, key, number, look }
    }

    fn all_look(&self) {
        self.keys().values().flatten().for_each(|(_, look)| look.notify_one());
    }

    fn keys(&self) -> MutexGuard<'_, Places> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(code: usize, status: String) -> Refusal {
    Refusal { code, status }
}

/// The job's message with its headers, or `Nats-Service-Error` and its code.
async fn answer(request: &Request, found: Result<StreamMessage, Refusal>) {
    let sent = match found {
        Ok(message) => request.respond_with_headers(Ok(message.payload), message.headers).await,
        Err(refusal) => request.respond_with_headers(Err(refusal), HeaderMap::new()).await,
    };
    if let Err(error) = sent {
        debug!(%error, "a request for a job is not answered");
    }
}
