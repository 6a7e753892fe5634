//! Chunks that nobody reads: of attempts that were broken off, and of objects that were replaced.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::de::IgnoredAny;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::ObjectStore;
use crate::nats::link::Link;

/// So many of each kind are remembered, some 100 bytes each; what is older goes with `max_age`.
const MOST: usize = 256;
/// Times that a purge is asked for: a server that is frozen or elects a leader answers again within seconds.
const TRIES: u32 = 8;
/// Before the next of them.
const PAUSE: Duration = Duration::from_secs(2);

/// What is to be purged, and what may have to be.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    kept: Mutex<Kept>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    /// Chunks that no name leads to.
    chunks: VecDeque<String>,
    /// An attempt whose name was sent and not acknowledged: it may stand, or be written yet.
    unsure: VecDeque<(String, String)>,
}

impl Leftovers {
    /// Nothing leads to these chunks, and nothing ever will.
    pub(super) fn add(&self, nuid: String) {
        self.kept().push(nuid);
        self.added.notify_one();
    }

    /// The attempt's name may be written, or be written yet.
    pub(super) fn add_unsure(&self, name: &str, nuid: String) {
        let mut kept = self.kept();
        if kept.unsure.len() >= MOST {
            kept.unsure.pop_front();
        }
        kept.unsure.push_back((name.to_owned(), nuid));
    }

    /// What stands under a name has been seen since the attempts that were unsure: none of the others can come after it,
    /// because each was to replace what stood there before.
    pub(super) fn settled(&self, name: &str, standing: &str) {
        let mut kept = self.kept();
        let unsure = std::mem::take(&mut kept.unsure);
        for (of, nuid) in unsure {
            match of == name {
                true if nuid == standing => {}
                true => kept.push(nuid),
                false => kept.unsure.push_back((of, nuid)),
            }
        }
        drop(kept);
        self.added.notify_one();
    }

    fn take(&self) -> Option<String> {
        self.kept().chunks.pop_front()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn push(&mut self, nuid: String) {
        if self.chunks.len() >= MOST {
            self.chunks.pop_front();
        }
        self.chunks.push_back(nuid);
    }
}

impl ObjectStore {
    /// Purges what is left over, for ever: no publish waits for it. Without the right to do so, or when the bridge ends
    /// before, it goes with `max_age`.
    pub(crate) async fn tidy(&self, link: &Link) {
        loop {
            match self.leftovers.take() {
                Some(nuid) => self.purge(link, &nuid).await,
                None => self.leftovers.added.notified().await,
            }
        }
    }

    async fn purge(&self, link: &Link, nuid: &str) {
        let request = serde_json::json!({ "filter": self.chunk_subject(nuid) }).to_string();
        let purge = format!("STREAM.PURGE.{}", self.stream);
        let mut tries = 0;
        while tries < TRIES {
            match self.spec.ask_api::<IgnoredAny>(link, &purge, request.clone()).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => {
                    let why = error.description;
                    tracing::debug!(stream = %self.stream, why, "chunks that nobody reads stay until max_age");
                    return;
                }
                // While there is no connection, nothing was asked.
                Err(why) => {
                    tries += u32::from(link.is_connected());
                    tracing::debug!(stream = %self.stream, why, "chunks that nobody reads are not purged yet");
                }
            }
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purged(leftovers: &Leftovers) -> Vec<String> {
        std::iter::from_fn(|| leftovers.take()).collect()
    }

    #[test]
    fn an_attempt_that_may_stand_is_purged_when_another_is_seen_to() {
        let leftovers = Leftovers::default();
        leftovers.add("broken off".to_owned());
        leftovers.add_unsure("a", "a1".to_owned());
        leftovers.add_unsure("b", "b1".to_owned());
        leftovers.add_unsure("a", "a2".to_owned());
        assert_eq!(purged(&leftovers), ["broken off"]);
        leftovers.settled("a", "a2");
        assert_eq!(purged(&leftovers), ["a1"]);
        leftovers.settled("b", "b2");
        assert_eq!(purged(&leftovers), ["b1"]);
        leftovers.settled("a", "a3");
        assert_eq!(purged(&leftovers), [""; 0], "a2 stood, and whoever replaced it has purged it");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let leftovers = Leftovers::default();
        for at in 0..=MOST {
            leftovers.add(at.to_string());
            leftovers.add_unsure("a", at.to_string());
        }
        assert_eq!(purged(&leftovers).len(), MOST);
        leftovers.settled("a", "");
        assert_eq!(purged(&leftovers).len(), MOST);
    }
}
