//! The spool: where messages wait, fsynced, while NATS is away.
//!
//! One thread owns the store. It takes all requests that wait, writes them with one fsync, and answers them: the
//! more callbacks arrive at once, the fewer fsyncs each costs.

mod entry;
mod journal;
mod look;
mod record;
mod salvage;
mod store;
mod writer;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::warn;

use crate::held_back::HeldBack;
use crate::id::MessageId;
use crate::message::Message;
use crate::spooled::Spooled;
use store::Store;
use writer::{Request, Unreadable};

pub use entry::Entry;
pub use look::{Status, Waiting};

/// Where the spool is and how much it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A folder of the spool's own.
    pub dir: PathBuf,
    /// Bytes of messages. The files may take up to twice as much, and 128 MiB, while they are being compacted.
    pub max_bytes: u64,
}

/// Why the spool does not take messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpoolError {
    /// It holds `max_bytes`.
    #[error("the spool is full ({0} bytes)")]
    Full(u64),
    /// It would not take them even if it were empty.
    #[error("{0} bytes are larger than the whole spool: raise spool.max_bytes")]
    TooLarge(u64),
    /// The disk does not take it: read-only, broken.
    #[error("the spool cannot write: {0}")]
    Disk(String),
    /// The disk, or what its user may have of it, is full.
    #[error("the spool cannot write: {0}")]
    NoRoom(String),
    /// Files that another user made in it could not be opened by its owner again.
    #[error(
        "the spool at {dir} belongs to user {uid}: run this as that user, as in `sudo -u '#{uid}' ci-bridge …`"
    )]
    NotYours {
        /// The folder.
        dir: String,
        /// Its owner.
        uid: u32,
    },
    /// Whoever looks may not.
    #[error("the spool cannot be read: {0}")]
    Unreadable(String),
    /// There is none at that place.
    #[error("no spool at {0}")]
    Missing(String),
    /// The files are damaged, and whoever only looks leaves them as they are.
    #[error("the spool at {0} is damaged: `ci-bridge serve` keeps the files aside and saves what it can")]
    Damaged(String),
    /// Another process has the folder.
    #[error("{0} is in use by another ci-bridge")]
    InUse(String),
}

impl SpoolError {
    /// Why messages were not taken, in a word for a program.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Full(_) => "spool_full",
            Self::TooLarge(_) => "spool_too_small",
            Self::NoRoom(_) => "disk_full",
            _ => "disk",
        }
    }
}

/// Messages on disk, in the order in which they came. Clones share them.
#[derive(Debug, Clone)]
pub struct Spool {
    requests: mpsc::Sender<Request>,
    level: Arc<Level>,
    settings: Arc<Settings>,
}

/// How full the spool is, for whoever asks without waiting.
#[derive(Debug, Default)]
pub(crate) struct Level {
    messages: AtomicU64,
    bytes: AtomicU64,
    /// The bytes of the last append, if there was no room for them.
    refused: AtomicU64,
    /// Seconds since the epoch; 0 when the spool is empty.
    oldest: AtomicU64,
    trouble: std::sync::Mutex<Option<String>>,
    pub(crate) fsyncs: Counter,
    pub(crate) damaged: Counter,
    /// Woken when a message came.
    pub(crate) filled: Notify,
    /// What of it is held back, as the drain last said.
    held: std::sync::Mutex<Arc<HeldBack>>,
    /// Places that were given up, and that the drain has not heard of.
    given_up: std::sync::Mutex<Vec<u64>>,
}

/// Requests that may wait for the writer; each waits for one fsync.
const MAX_WAITING: usize = 4096;

impl Spool {
    /// Opens the spool, and recovers what a crash left in it.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used. Damage is no error: the damaged files are kept aside, and what can be read
    /// of them goes on.
    pub fn open(settings: &Settings) -> Result<Self, SpoolError> {
        let level = Arc::new(Level::default());
        let store = salvage::open(&settings.dir, || {
            level.damaged.inc();
        })?;
        warn_of_readers(&settings.dir);
        Self::over(store, settings, level, Unreadable::Removed)
    }

    /// Opens a spool that is there, and changes nothing when there is none or when it is damaged.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Missing`], [`SpoolError::InUse`] while a bridge has it, [`SpoolError::Damaged`], or the disk's.
    pub fn open_existing(settings: &Settings) -> Result<Self, SpoolError> {
        Self::look_for(settings)?;
        // They may be readable to the program that wrote them.
        Self::over(salvage::open_sound(&settings.dir)?, settings, Arc::default(), Unreadable::Kept)
    }

    /// Whether there is a spool that [`Spool::open_existing`] may open; opens nothing.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Missing`], [`SpoolError::InUse`] while a bridge has it, [`SpoolError::NotYours`], or the disk's.
    pub fn look_for(settings: &Settings) -> Result<(), SpoolError> {
        store::look_for(&settings.dir)
    }

    fn over(
        store: Store,
        settings: &Settings,
        level: Arc<Level>,
        unreadable: Unreadable,
    ) -> Result<Self, SpoolError> {
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        writer::start(store, settings.dir.clone(), Arc::clone(&level), unreadable, waiting)?;
        Ok(Self { requests, level, settings: Arc::new(settings.clone()) })
    }

    /// Returns when all of these messages are on disk, fsynced.
    ///
    /// # Errors
    ///
    /// When the spool is full or too small, or the disk does not take them. Some may be on disk all the same.
    pub async fn append(&self, messages: &[&Message]) -> Result<(), SpoolError> {
        let now = SystemTime::now();
        let records: Vec<_> = messages.iter().map(|message| record::encode(message, now)).collect();
        let bytes: u64 = records.iter().map(|record| record.len() as u64).sum();
        // It says nothing of the messages that come after it, so it must not make the spool count as full.
        if bytes > self.settings.max_bytes {
            return Err(SpoolError::TooLarge(bytes));
        }
        let full = self.level.bytes.load(Ordering::Relaxed) + bytes > self.settings.max_bytes;
        self.level.refused.store(if full { bytes } else { 0 }, Ordering::Relaxed);
        if full {
            return Err(SpoolError::Full(self.settings.max_bytes));
        }
        let (done, result) = oneshot::channel();
        let gone = || SpoolError::Disk("its writer has ended".to_owned());
        self.requests.send(Request::Append { records, done }).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// Bytes of messages that it may hold.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.settings.max_bytes
    }

    /// The oldest messages after `place`.
    pub(crate) async fn read(&self, after: Option<u64>, limit: usize) -> Vec<Spooled> {
        let (done, result) = oneshot::channel();
        match self.requests.send(Request::Read { after, limit, done }).await {
            Ok(()) => result.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// The ids of all messages that wait.
    pub async fn ids(&self) -> HashSet<MessageId> {
        /// Messages at a time: they are read whole, and may be large.
        const AT_A_TIME: usize = 32;
        let (mut ids, mut after) = (HashSet::new(), None);
        loop {
            let batch = self.read(after, AT_A_TIME).await;
            let Some(last) = batch.last() else { return ids };
            after = Some(last.place);
            ids.extend(batch.into_iter().map(|spooled| spooled.message.id));
        }
    }

    /// The oldest messages, for whoever wants to look.
    pub async fn peek(&self, limit: usize) -> Vec<Message> {
        self.read(None, limit).await.into_iter().map(|spooled| spooled.message).collect()
    }

    /// Forgets messages that are in a stream. Not fsynced: after a crash they are published again under the same id.
    pub(crate) async fn remove(&self, messages: &[Spooled]) {
        let (done, removed) = oneshot::channel();
        let places = messages.iter().map(|spooled| (spooled.place, spooled.bytes)).collect();
        if self.requests.send(Request::Remove { places, done }).await.is_ok() {
            let _ = removed.await;
        }
    }

    /// After the disk failed: finds out whether it takes writes again. A spool that is merely full is not written to.
    pub(crate) async fn probe(&self) {
        if self.level.trouble().is_none() {
            return;
        }
        let (done, probed) = oneshot::channel();
        if self.requests.send(Request::Probe { done }).await.is_ok() {
            let _ = probed.await;
        }
    }

    /// Writes everything out and closes the files.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.requests.send(Request::Close { done }).await.is_ok() {
            let _ = closed.await;
        }
    }

    /// Messages in the spool.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.level.messages.load(Ordering::Relaxed)
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the messages in the spool.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.level.bytes.load(Ordering::Relaxed)
    }

    /// How much of `max_bytes` its messages take, in percent.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let percent = u128::from(self.bytes()) * 100 / u128::from(self.settings.max_bytes.max(1));
        u64::try_from(percent).unwrap_or(u64::MAX)
    }

    /// How long the oldest message has waited.
    #[must_use]
    pub fn oldest_age(&self) -> Duration {
        match self.level.oldest.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            seconds => {
                let since = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
                SystemTime::now().duration_since(since).unwrap_or_default()
            }
        }
    }

    pub(crate) fn level(&self) -> &Arc<Level> {
        &self.level
    }

    /// Why the spool would not take a message now.
    pub(crate) fn trouble(&self) -> Option<String> {
        // What was refused may be tried again once there is room for all of it; one byte is the least that can come.
        let next = self.level.refused.load(Ordering::Relaxed).max(1);
        if self.bytes() + next > self.settings.max_bytes {
            return Some(SpoolError::Full(self.settings.max_bytes).to_string());
        }
        self.level.trouble()
    }
}

impl Level {
    fn added(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn removed(&self, messages: u64, bytes: u64) {
        // A store that was opened again meanwhile may have been counted without them.
        let less = |counter: &AtomicU64, by: u64| {
            let _ =
                counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(by)));
        };
        less(&self.messages, messages);
        less(&self.bytes, bytes);
    }

    fn set_oldest(&self, oldest: Option<SystemTime>) {
        let seconds = oldest.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        self.oldest.store(seconds.map_or(0, |since| since.as_secs().max(1)), Ordering::Relaxed);
    }

    /// What the disk last failed with, until it takes writes again.
    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// What of the spool is held back.
    pub(crate) fn held(&self) -> Arc<HeldBack> {
        Arc::clone(&self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn set_held(&self, held: HeldBack) {
        *self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(held);
    }

    fn gave_up(&self, places: &[u64]) {
        let mut given_up = self.given_up.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        given_up.extend_from_slice(places);
        drop(given_up);
        self.filled.notify_one();
    }

    /// The places that were given up since it was last asked.
    pub(crate) fn take_given_up(&self) -> Vec<u64> {
        std::mem::take(&mut self.given_up.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = trouble;
    }
}

/// A folder that somebody else made is theirs to open or close; a group may be meant, as a volume in Kubernetes has one.
fn warn_of_readers(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(dir).map(|metadata| metadata.permissions().mode()).unwrap_or_default();
    if mode & 0o007 != 0 {
        let mode = format!("{:o}", mode & 0o7777);
        warn!(dir = %dir.display(), mode, "every user of this machine may look into the spool's folder: chmod 700 it");
    }
}

#[cfg(test)]
mod tests;
