//! Requests that wait for a job: answered with its message from the bucket, at once or when it comes, whichever bridge
//! publishes it.
//!
//! One consumer a bridge says which keys get a value; only of those that somebody waits for is the value fetched. Whoever
//! asks is noted first and looks then, so that nothing that comes between is missed; and all look again whenever the
//! consumer was made anew.

mod answer;
mod bucket;
mod counts;
mod settings;
mod slots;
mod takers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::service::endpoint::Endpoint;
use async_nats::service::{Request, Service};
use futures_util::StreamExt;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::link::Link;
use crate::patterns::Patterns;
use answer::{Refusal, Replies, key_and_time, send};
use bucket::{Bucket, RETRY_INTERVAL};
use counts::{Counts, Outcome};
pub use settings::Await;
use slots::{WaitSlot, WaitSlots};
pub use takers::Taker;
pub(crate) use takers::{of_events, takers};

/// Bridges share the requests.
const QUEUE_GROUP: &str = "ci-bridge";
/// Whoever waits looks this often by itself: a consumer that JetStream has lost is missed only after a while.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// How often streams are looked at that would answer requests.
const TAKERS_INTERVAL: Duration = Duration::from_secs(5);
/// At shutdown: until everybody who waits has been told.
const GOODBYE_TIME: Duration = Duration::from_millis(500);
/// Requests beyond those that may wait: each looks once, and is answered.
const MAX_LOOKS: usize = 64;

/// Who waits for which job.
#[derive(Debug)]
pub(crate) struct Waiting {
    settings: Await,
    slots: Arc<WaitSlots>,
    counts: Counts,
    replies: Replies,
    stopping: AtomicBool,
}

impl Waiting {
    /// `own` are the subjects of the bridge's streams: no reply goes there.
    pub(crate) fn new(
        settings: Await,
        own: Vec<String>,
        patterns: Patterns,
        registry: &mut Registry,
    ) -> Self {
        let counts = Counts::register(registry);
        Self {
            slots: WaitSlots::new(settings.max_waiting, counts.waiting.clone()),
            counts,
            replies: Replies::new(own, patterns),
            stopping: AtomicBool::new(false),
            settings,
        }
    }

    /// Whether the subject is one of requests.
    pub(crate) fn is_request(&self, subject: &str) -> bool {
        subject.strip_prefix(&self.settings.prefix).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Whether somebody was answered there lately.
    pub(crate) fn is_reply(&self, subject: &str) -> bool {
        self.replies.had(subject)
    }

    /// Tells everybody who waits to ask again: another bridge may answer.
    pub(crate) async fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.slots.all_look();
        if timeout(GOODBYE_TIME, self.slots.empty()).await.is_err() {
            debug!("not everybody who waits for a job was told that the bridge stops");
        }
    }

    /// Answers requests for as long as it is polled.
    pub(super) async fn serve(self: Arc<Self>, link: Arc<Link>, service: &Service) {
        let subject = format!("{}.*", self.settings.prefix);
        let endpoint = service.endpoint_builder().name("await").queue_group(QUEUE_GROUP).add(subject).await;
        let requests = match endpoint {
            Ok(requests) => requests,
            Err(error) => {
                warn!(%error, prefix = self.settings.prefix, "nobody can wait for jobs");
                return std::future::pending().await;
            }
        };
        let bucket = Arc::new(Bucket::new(&self.settings, link.client().clone()));
        let mut background = JoinSet::new();
        {
            let (bucket, slots) = (Arc::clone(&bucket), Arc::clone(&self.slots));
            background.spawn(async move { bucket.watch(slots).await });
        }
        background.spawn(Arc::clone(&self).warn_of_takers(link));
        self.answer_all(requests, &bucket).await;
        std::future::pending::<()>().await;
    }

    /// Each in a task of its own, until there are no more.
    async fn answer_all(self: Arc<Self>, mut requests: Endpoint, bucket: &Arc<Bucket>) {
        let mut tasks = JoinSet::new();
        while let Some(request) = requests.next().await {
            while tasks.try_join_next().is_some() {}
            if tasks.len() >= self.settings.max_waiting.saturating_add(MAX_LOOKS) {
                self.answer(&request, Err(self.full())).await;
                continue;
            }
            let (waiting, bucket) = (Arc::clone(&self), Arc::clone(bucket));
            tasks.spawn(async move { waiting.take(&bucket, &request).await });
        }
    }

    async fn take(&self, bucket: &Bucket, request: &Request) {
        if !request.message.reply.as_ref().is_some_and(|reply| self.replies.may_go_to(reply)) {
            debug!("a request for a job whose reply subject is none, or one of the bridge's own streams");
            return self.counts.answered(Outcome::Invalid);
        }
        let (key, time) = match key_and_time(request, self.settings.max_wait) {
            Ok(asked) => asked,
            Err(refusal) => return self.answer(request, Err(refusal)).await,
        };
        let deadline = Instant::now() + time;
        // It is held until the answer is sent: a bridge that stops waits for that.
        let slot = self.slots.take(key);
        let found = match &slot {
            Some(slot) => self.wait(bucket, key, slot, deadline).await,
            // What has ended is answered all the same.
            None => bucket.look_up(key).await.ok().flatten().ok_or_else(|| self.full()),
        };
        self.answer(request, found).await;
        drop(slot);
    }

    /// The message of the job.
    async fn wait(
        &self,
        bucket: &Bucket,
        key: &str,
        slot: &WaitSlot,
        deadline: Instant,
    ) -> Result<StreamMessage, Refusal> {
        // A stop that came before the slot was taken has told nobody here.
        while !self.stopping.load(Ordering::SeqCst) {
            let (pause, unreadable) = match bucket.look_up(key).await {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => (LOOK_INTERVAL, None),
                Err(why) => (RETRY_INTERVAL, Some(why)),
            };
            let until = deadline.min(Instant::now() + pause);
            if timeout_at(until, slot.look.notified()).await.is_err() && Instant::now() >= deadline {
                return Err(match unreadable {
                    None => Refusal::new(
                        Outcome::Late,
                        format!("job {key} has not ended in time (jobs.max_wait at most)"),
                    ),
                    Some(why) => {
                        Refusal::new(Outcome::Unreadable, format!("the bucket of jobs cannot be read: {why}"))
                    }
                });
            }
        }
        Err(Refusal::new(Outcome::Stopping, "the bridge stops: ask again".to_owned()))
    }

    fn full(&self) -> Refusal {
        let most = self.settings.max_waiting;
        Refusal::new(Outcome::Full, format!("{most} requests wait already (jobs.max_waiting): ask again"))
    }

    async fn answer(&self, request: &Request, found: Result<StreamMessage, Refusal>) {
        self.counts.answered(found.as_ref().map_or_else(|refusal| refusal.outcome, |_| Outcome::Ended));
        if let Some(reply) = &request.message.reply {
            self.replies.note(reply);
        }
        if let Err(error) = send(request, found).await {
            debug!(%error, "a request for a job is not answered");
        }
    }

    /// Says of each stream that would answer requests what to do about it, once.
    async fn warn_of_takers(self: Arc<Self>, link: Arc<Link>) {
        let mut told = Vec::new();
        // Whoever may not ask for the names of streams is not told so again and again.
        let mut refused_on = None;
        loop {
            let connection = link.connection();
            let found = match refused_on == Some(connection) {
                false => takers(&link, &self.settings).await,
                true => of_events(&link, &self.settings).await.map(Vec::from_iter),
            };
            match found {
                Ok(found) => {
                    self.tell_of(&found, &told);
                    told = found;
                    sleep(TAKERS_INTERVAL).await;
                }
                Err(_) => {
                    refused_on = link.is_connected().then_some(connection);
                    sleep(RETRY_INTERVAL).await;
                }
            }
        }
    }

    fn tell_of(&self, found: &[Taker], told: &[Taker]) {
        let prefix = &self.settings.prefix;
        for Taker { stream, remedy } in found.iter().filter(|taker| !told.contains(taker)) {
            warn!(
                stream,
                prefix, remedy, "the stream takes requests for jobs, and answers them before the bridge can"
            );
        }
        if found.is_empty() && !told.is_empty() {
            info!(prefix, "no stream takes requests for jobs any more");
        }
    }
}
