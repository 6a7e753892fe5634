//! One stream under watch: looked at again and again, made when it is missing, every change told once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::health::Health;
use crate::metrics::{Metrics, StreamChange};
use crate::nats::{
    Finding, Link, QUESTION_TIMEOUT, StreamOrigin, StreamSpec, StreamState, StreamTrouble, Verdict,
};

/// What is wrong is asked for again after this, and after twice as long each time.
const MIN_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause when JetStream does not answer as it should: its return shows within 5 s.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause when a stream is missing and cannot be made. Somebody who makes it waits no longer than that.
const MAX_MISSING_PAUSE: Duration = Duration::from_secs(3);

pub(crate) struct StreamWatch {
    spec: StreamSpec,
    name: Arc<str>,
    /// As it was last seen; `None` while it is not known.
    state: Option<StreamState>,
    /// As it was last told of: it outlives a time in which nothing is known.
    told: Option<StreamState>,
    trouble: Option<StreamTrouble>,
    next_look: Instant,
    pause: Duration,
    connection: u64,
}

impl StreamWatch {
    pub(crate) fn new(spec: StreamSpec) -> Self {
        Self {
            name: spec.name.as_str().into(),
            spec,
            state: None,
            told: None,
            trouble: None,
            next_look: Instant::now(),
            pause: MIN_PAUSE,
            connection: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn state(&self) -> Option<&StreamState> {
        self.state.as_ref()
    }

    /// Looks at the stream, unless it is known to be in trouble and the time for the next look has not come.
    pub(crate) async fn look(&mut self, link: &Link, health: &Health, metrics: &Metrics) {
        let connection = link.connection();
        let is_new_connection = std::mem::replace(&mut self.connection, connection) != connection;
        if self.trouble.is_some() && !is_new_connection && Instant::now() < self.next_look {
            return;
        }
        let started = Instant::now();
        let result = timeout(QUESTION_TIMEOUT, self.spec.ensure(link)).await.unwrap_or_else(|_| {
            health.unanswered(started);
            Err(StreamTrouble::Unknown(
                "JetStream does not answer: frozen, or no permission for $JS.API".to_owned(),
            ))
        });
        match result {
            Ok(state) => {
                health.heard();
                self.seen(state, health, metrics);
            }
            Err(trouble) => self.not_seen(trouble, health, metrics),
        }
    }

    fn seen(&mut self, state: StreamState, health: &Health, metrics: &Metrics) {
        (self.trouble, self.pause) = (None, MIN_PAUSE);
        self.tell(&state, metrics);
        health.set_stream(&self.name, Some(state.clone()));
        self.state = Some(state);
    }

    fn not_seen(&mut self, trouble: StreamTrouble, health: &Health, metrics: &Metrics) {
        let most = match &trouble {
            StreamTrouble::Missing(_) => MAX_MISSING_PAUSE,
            StreamTrouble::Unknown(_) => MAX_PAUSE,
        };
        self.pause = (self.pause * 2).min(most);
        self.next_look = Instant::now() + self.pause;
        if let (StreamTrouble::Missing(why), Some(_)) = (&trouble, &self.told) {
            self.told = None;
            metrics.stream_changed(&self.name, StreamChange::Vanished);
            error!(stream = %self.name, why, "the stream is gone: somebody deleted it, with every message in it");
        }
        let is_missing = matches!(trouble, StreamTrouble::Missing(_));
        self.trouble = Some(trouble);
        if is_missing {
            metrics.set_findings(&self.name, &[]);
            self.state = None;
            health.set_stream(&self.name, None);
        } else {
            // What was found unfit stays so until a look says otherwise: an answer that is late is no better stream.
            health.looked_at(&self.name);
        }
    }

    /// Says once, and again after a change, what the stream promises.
    fn tell(&mut self, state: &StreamState, metrics: &Metrics) {
        let before = self.told.replace(state.clone());
        if before.as_ref().is_some_and(|before| before.is_same(state)) {
            return;
        }
        metrics.set_findings(&self.name, &state.findings);
        match &before {
            _ if state.origin == StreamOrigin::Assumed => {}
            Some(before) if before.created != state.created => {
                metrics.stream_changed(&self.name, StreamChange::Vanished);
                let what = match state.origin {
                    StreamOrigin::Created => "created again, as it is configured",
                    _ => "somebody has made another of the same name",
                };
                error!(stream = %self.name, "the stream was deleted, with every message in it: {what}");
            }
            Some(_) => {
                metrics.stream_changed(&self.name, StreamChange::Changed);
                warn!(stream = %self.name, "somebody has changed the stream's configuration");
            }
            None => {}
        }
        describe(state);
        self.warn_of_short_window(state);
        let old = before.map(|before| before.findings).unwrap_or_default();
        for finding in state.findings.iter().filter(|finding| !old.contains(finding)) {
            say(&self.name, finding);
        }
        if let Some(unfit) = old.iter().find(|old| old.verdict == Verdict::Unfit)
            && state.unfit().is_none()
        {
            info!(stream = %self.name, setting = unfit.setting, "the stream is fit again");
        }
    }

    fn warn_of_short_window(&self, state: &StreamState) {
        if !self.duplicate_window_shortfall_of(state).is_zero() {
            warn!(
                stream = %self.name,
                has_seconds = state.config.duplicate_window.as_secs(),
                wanted_seconds = self.spec.duplicate_window.as_secs(),
                "the stream forgets message ids sooner than jetstream.duplicate_window: a callback repeated later, \
                 or spooled for longer, is stored twice"
            );
        }
    }

    /// By how much the stream forgets message ids sooner than is configured.
    pub(crate) fn duplicate_window_shortfall(&self) -> Duration {
        self.state.as_ref().map(|state| self.duplicate_window_shortfall_of(state)).unwrap_or_default()
    }

    fn duplicate_window_shortfall_of(&self, state: &StreamState) -> Duration {
        self.spec.duplicate_window.saturating_sub(state.config.duplicate_window)
    }

    /// Why nothing published to it is known to be kept.
    pub(crate) fn trouble(&self) -> Option<String> {
        if let Some(trouble) = &self.trouble {
            return Some(trouble.to_string());
        }
        let state = self.state.as_ref()?;
        if let Some(unfit) = state.unfit() {
            return Some(unfit.sentence(&self.name));
        }
        let full = || format!("stream {} is full: delete what was processed, or raise its limits", self.name);
        state.full.then(full)
    }

    /// What `check` should say although all is well: that it is not there yet, and what weakens its promise.
    pub(crate) fn note(&self) -> Option<String> {
        let state = self.state.as_ref()?;
        let assumed = (state.origin == StreamOrigin::Assumed)
            .then(|| format!("stream {} does not exist yet: serve will create it", self.name));
        let weaker = state.findings.iter().filter(|finding| finding.verdict == Verdict::Weaker);
        let weaker = weaker.map(|finding| format!("weaker: {}", finding.sentence(&self.name)));
        let notes: Vec<_> = assumed.into_iter().chain(weaker).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

/// Says what a stream keeps, and what it may lose.
fn describe(state: &StreamState) {
    if state.origin == StreamOrigin::Assumed {
        return;
    }
    let config = &state.config;
    info!(
        stream = config.name,
        subjects = config.subjects.join(" "),
        storage = config.storage,
        replicas = config.num_replicas,
        retention = config.retention,
        discard = config.discard,
        max_age_seconds = config.max_age.as_secs(),
        duplicate_window_seconds = config.duplicate_window.as_secs(),
        "{}",
        if state.origin == StreamOrigin::Created { "stream created" } else { "stream found" },
    );
    let is_weaker = |setting| state.findings.iter().any(|finding: &Finding| finding.setting == setting);
    if config.num_replicas == 1
        && !is_weaker("storage")
        && !is_weaker("persist_mode")
        && state.unfit().is_none()
    {
        info!(
            stream = config.name,
            "durability: one copy; a crash of NATS loses nothing, but a power failure can lose what was acknowledged \
             within its sync_interval, 2 minutes by default (Jepsen, NATS 2.12.1); three replicas, or sync_interval: \
             always, close that gap"
        );
    }
}

fn say(stream: &str, finding: &Finding) {
    let Finding { setting, verdict, effect, remedy } = finding;
    match verdict {
        Verdict::Unfit => {
            error!(stream, setting, remedy, "unfit: the stream {effect}; nothing is published to it");
        }
        Verdict::Weaker => {
            warn!(stream, setting, remedy, "durability: weaker than 200 says: the stream {effect}");
        }
        Verdict::Note => info!(stream, setting, remedy, "note: the stream {effect}"),
    }
}
