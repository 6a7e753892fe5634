//! What an operator may ask of the spool: how full it is, what waits and why, and to give a message up.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::writer::Request;
use super::{Spool, SpoolError};
use crate::held_back::{HeldBack, Refusal};
use crate::message::Message;
use crate::spooled::Spooled;

/// Messages that are read at a time while one is looked for; callbacks that come meanwhile wait for no more than that.
const PAGE: usize = 256;

/// Messages that are given up with one fsync.
const GIVEN_UP_AT_A_TIME: usize = 1000;

/// How full the spool is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Messages in it.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that it may hold.
    pub max_bytes: u64,
    /// How long the oldest message has waited.
    pub oldest_age: Duration,
    /// Of the messages, those that NATS refuses while it takes others; 0 where no bridge runs that would know.
    pub refused: u64,
    /// Why it would not take a message now.
    pub trouble: Option<String>,
}

/// A message that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its place: later messages have higher ones.
    pub place: u64,
    /// When it came.
    pub since: Option<SystemTime>,
    /// Bytes that it takes of the spool.
    pub bytes: u64,
    /// Why it was not taken when it was tried; `None` when its turn has not come.
    pub refusal: Option<Arc<Refusal>>,
    /// It is the message or its subject that is refused, and not a stream that takes nothing at the moment.
    pub is_refused: bool,
    /// The message itself.
    pub message: Message,
}

impl Spool {
    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// How full it is.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            messages: self.len(),
            bytes: self.bytes(),
            max_bytes: self.settings.max_bytes,
            oldest_age: self.oldest_age(),
            refused: self.held().refused(),
            trouble: self.trouble(),
        }
    }

    /// What the drain holds back.
    #[must_use]
    pub fn held(&self) -> Arc<HeldBack> {
        self.level().held()
    }

    /// The oldest messages after a place, at least one if there is any; fewer than `limit` where they are large. None
    /// also means that the disk does not give them: [`Status::trouble`] says so.
    pub async fn list(&self, after: Option<u64>, limit: usize) -> Vec<Waiting> {
        let held = self.held();
        let waiting = |spooled: Spooled| {
            let Spooled { place, bytes, since, message } = spooled;
            let is_refused = held.refuses(place, &message);
            Waiting { place, since, bytes, refusal: held.why(place, &message), is_refused, message }
        };
        self.read(after, limit).await.into_iter().map(waiting).collect()
    }

    /// The oldest message under an id.
    pub async fn find(&self, id: &str) -> Option<Waiting> {
        let mut after = None;
        loop {
            let page = self.list(after, PAGE).await;
            after = Some(page.last()?.place);
            let found = page.into_iter().find(|waiting| waiting.message.id.as_str() == id);
            if found.is_some() {
                return found;
            }
        }
    }

    /// Every message under an id, without their bodies: the same callback may have come a thousand times.
    pub async fn with_id(&self, id: &str) -> Vec<Waiting> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.list(after, PAGE).await;
            let Some(last) = page.last() else { return found };
            after = Some(last.place);
            for mut waiting in page.into_iter().filter(|waiting| waiting.message.id.as_str() == id) {
                waiting.message.payload = bytes::Bytes::new();
                found.push(waiting);
            }
        }
    }

    /// Behind the newest message that is there now: what comes from now on has this place or a higher one.
    ///
    /// # Errors
    ///
    /// When the disk does not work: then [`Spool::list`] gives nothing, whatever is there.
    pub async fn end(&self) -> Result<u64, SpoolError> {
        let (done, result) = oneshot::channel();
        let gone = || SpoolError::Disk("its writer has ended".to_owned());
        self.requests.send(Request::End { done }).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// Forgets messages for good, fsynced; gives those that were still there. One that is being published at this moment
    /// may be stored all the same.
    ///
    /// # Errors
    ///
    /// When the disk does not take it: then none is given up.
    pub async fn give_up(&self, messages: Vec<Waiting>) -> Result<Vec<Waiting>, SpoolError> {
        let (done, result) = oneshot::channel();
        let places = messages.iter().map(|waiting| (waiting.place, waiting.bytes)).collect();
        let gone = || SpoolError::Disk("its writer has ended".to_owned());
        self.requests.send(Request::GiveUp { places, done }).await.map_err(|_| gone())?;
        let removed = result.await.map_err(|_| gone())??;
        self.level().gave_up(&removed);
        let removed: BTreeSet<_> = removed.into_iter().collect();
        Ok(messages.into_iter().filter(|waiting| removed.contains(&waiting.place)).collect())
    }

    /// Gives up everything before a place, and says so of each batch to `tell`. By place and not by number: meanwhile the
    /// drain takes some away, and callbacks bring others.
    ///
    /// # Errors
    ///
    /// When the disk does not take it: the batches that `tell` knows of are given up.
    pub async fn give_up_before(
        &self,
        end: u64,
        mut tell: impl FnMut(&[Waiting]),
    ) -> Result<u64, SpoolError> {
        let (mut after, mut given_up) = (None, 0);
        loop {
            let mut batch = self.list(after, GIVEN_UP_AT_A_TIME).await;
            batch.retain(|waiting| waiting.place < end);
            let Some(last) = batch.last() else { return Ok(given_up) };
            after = Some(last.place);
            let batch = self.give_up(batch).await?;
            tell(&batch);
            given_up += batch.len() as u64;
        }
    }
}
