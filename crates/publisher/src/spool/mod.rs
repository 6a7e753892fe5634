//! The spool: where messages wait, fsynced, while NATS is away.
//!
//! One thread owns the store. It takes all requests that wait, writes them with one fsync, and answers them: the
//! more callbacks arrive at once, the fewer fsyncs each costs.

mod record;
mod salvage;
mod store;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::message::Message;
use writer::Request;

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
    /// The disk does not take it: full, read-only, broken.
    #[error("the spool cannot write: {0}")]
    Disk(String),
    /// Another process has the folder.
    #[error("{0} is in use by another ci-bridge")]
    InUse(String),
}

/// Messages on disk, in the order in which they came. Clones share them.
#[derive(Debug, Clone)]
pub struct Spool {
    requests: mpsc::Sender<Request>,
    level: Arc<Level>,
    max_bytes: u64,
}

/// A message in the spool.
#[derive(Debug, Clone)]
pub(crate) struct Spooled {
    /// Its place; later messages have higher ones.
    pub(crate) place: u64,
    /// Bytes that it takes of `max_bytes`.
    pub(crate) bytes: u64,
    pub(crate) message: Message,
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
        let (requests, waiting) = mpsc::channel(MAX_WAITING);
        writer::start(settings.dir.clone(), Arc::clone(&level), waiting)?;
        Ok(Self { requests, level, max_bytes: settings.max_bytes })
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
        if bytes > self.max_bytes {
            return Err(SpoolError::TooLarge(bytes));
        }
        let full = self.level.bytes.load(Ordering::Relaxed) + bytes > self.max_bytes;
        self.level.refused.store(if full { bytes } else { 0 }, Ordering::Relaxed);
        if full {
            return Err(SpoolError::Full(self.max_bytes));
        }
        let (done, result) = oneshot::channel();
        let gone = || SpoolError::Disk("its writer has ended".to_owned());
        self.requests.send(Request::Append { records, done }).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }

    /// The oldest messages after `place`.
    pub(crate) async fn read(&self, after: Option<u64>, limit: usize) -> Vec<Spooled> {
        let (done, result) = oneshot::channel();
        match self.requests.send(Request::Read { after, limit, done }).await {
            Ok(()) => result.await.unwrap_or_default(),
            Err(_) => Vec::new(),
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
        if self.bytes() + next > self.max_bytes {
            return Some(SpoolError::Full(self.max_bytes).to_string());
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

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = trouble;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageId;
    use crate::message::{Headers, MessageKind};
    use crate::subject::Subject;

    const MAX_BYTES: u64 = 1000;

    fn message(payload_bytes: usize) -> Message {
        Message {
            subject: Subject::parse("ci.x").unwrap(),
            id: MessageId::of_quarantine(b"body"),
            stream: "CI".into(),
            headers: Headers::default(),
            payload: vec![b'x'; payload_bytes].into(),
            kind: MessageKind::Task,
        }
    }

    fn spool() -> (tempfile::TempDir, Spool) {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { dir: folder.path().join("spool"), max_bytes: MAX_BYTES };
        (folder, Spool::open(&settings).unwrap())
    }

    #[tokio::test]
    async fn what_is_larger_than_all_of_it_does_not_fill_it() {
        let (_folder, spool) = spool();
        let (large, small) = (message(1000), message(400));
        let refused = spool.append(&[&large]).await.unwrap_err();
        assert!(matches!(refused, SpoolError::TooLarge(bytes) if bytes > MAX_BYTES), "{refused}");
        assert!(refused.to_string().ends_with("larger than the whole spool: raise spool.max_bytes"));
        assert_eq!(spool.trouble(), None, "an empty spool has room");
        // The messages of one callback are kept together or not at all.
        let together = spool.append(&[&small, &small, &small]).await.unwrap_err();
        assert!(matches!(together, SpoolError::TooLarge(_)), "{together}");
        assert_eq!((spool.trouble(), spool.len()), (None, 0));
        spool.append(&[&small]).await.unwrap();
        assert_eq!(spool.len(), 1);
    }

    #[tokio::test]
    async fn a_spool_that_refused_for_want_of_room_is_full_until_there_is_room() {
        let (_folder, spool) = spool();
        let overhead = record::encode(&message(0), SystemTime::now()).len();
        let whole = message(usize::try_from(MAX_BYTES).unwrap() - overhead);
        spool.append(&[&message(1)]).await.unwrap();
        assert_eq!(spool.append(&[&whole]).await, Err(SpoolError::Full(MAX_BYTES)));
        assert!(spool.trouble().is_some_and(|trouble| trouble.contains("the spool is full")));
        spool.remove(&spool.read(None, 1).await).await;
        assert_eq!(spool.trouble(), None, "it is empty");
        spool.append(&[&whole]).await.unwrap();
        assert!(spool.trouble().is_some(), "not a byte is left");
    }
}
