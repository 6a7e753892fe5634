//! The thread that owns the store: takes what waits, writes it with one fsync, answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::store::Store;
use super::{Level, SpoolError, record, salvage};
use crate::spooled::Spooled;

/// Bytes written with one fsync; more would make the first of them wait for the last.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// Bytes read at a time.
const MAX_READ_BYTES: usize = 8 << 20;
/// After the disk failed, the store is opened again at most this often.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);
/// After the disk was full, it counts as full until so much is free beside what found no room: a batch. Each attempt
/// frees a little, by cutting what it could not write whole, so that the next small write fits and says nothing.
const ROOM_TO_GO_ON: u64 = MAX_BATCH_BYTES as u64;

pub(super) enum Request {
    Append {
        records: Vec<Vec<u8>>,
        done: oneshot::Sender<Result<(), SpoolError>>,
    },
    /// These are in a stream.
    Remove {
        places: Vec<(u64, u64)>,
        done: oneshot::Sender<()>,
    },
    /// These are given up; gives those that were still there.
    GiveUp {
        places: Vec<(u64, u64)>,
        done: oneshot::Sender<Result<Vec<u64>, SpoolError>>,
    },
    Read {
        after: Option<u64>,
        limit: usize,
        done: oneshot::Sender<Vec<Spooled>>,
    },
    /// Asks for the place of the next message.
    End {
        done: oneshot::Sender<Result<u64, SpoolError>>,
    },
    Probe {
        done: oneshot::Sender<()>,
    },
    Close {
        done: oneshot::Sender<()>,
    },
}

/// What becomes of records that hold no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Nobody will ever publish them.
    Removed,
    /// Whoever only looks passes over them.
    Kept,
}

struct Writer {
    dir: PathBuf,
    level: Arc<Level>,
    unreadable: Unreadable,
    /// `None` while the disk does not work.
    store: Option<Store>,
    next_reopen: Instant,
    /// What the disk said when it failed.
    cause: SpoolError,
    /// Bytes of the largest write that has failed since the disk last took one.
    wanted: usize,
    /// Messages were given up, so the drain may ask for the removal of what is gone.
    gave_up: bool,
    /// The place of the next message.
    next: u64,
    /// No message has a lower place: spares a look through what was removed.
    floor: u64,
}

/// What one round of the writer does with one fsync.
#[derive(Default)]
struct Batch {
    added: Vec<(u64, Vec<u8>)>,
    added_bytes: usize,
    removed: Vec<u64>,
    removed_bytes: u64,
    appends: Vec<oneshot::Sender<Result<(), SpoolError>>>,
    removals: Vec<oneshot::Sender<()>>,
}

/// Starts the thread over an open store; it ends when all senders are gone or with [`Request::Close`].
pub(super) fn start(
    store: Store,
    dir: PathBuf,
    level: Arc<Level>,
    unreadable: Unreadable,
    waiting: mpsc::Receiver<Request>,
) -> Result<(), SpoolError> {
    let mut writer = Writer {
        dir,
        level,
        unreadable,
        store: None,
        next_reopen: Instant::now(),
        cause: SpoolError::Disk(String::new()),
        wanted: 0,
        gave_up: false,
        next: 0,
        floor: 0,
    };
    writer.adopt(store);
    let messages = writer.level.messages.load(Relaxed);
    if messages > 0 {
        info!(messages, "messages found in the spool");
    }
    let spawned = thread::Builder::new().name("spool".to_owned()).spawn(move || writer.run(waiting));
    spawned.map(|_| ()).map_err(|e| SpoolError::Disk(format!("no thread for it: {e}")))
}

impl Writer {
    fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        let mut held = None;
        while let Some(request) = held.take().or_else(|| waiting.blocking_recv()) {
            if let Request::Close { done } = request {
                if let Some(store) = self.store.take() {
                    store.sync();
                }
                let _ = done.send(());
                return;
            }
            // Damage that shows while the store is open can be an assertion of fjall's. Whoever waits is told by
            // the end of its channel, and the store is opened again.
            let serving = AssertUnwindSafe(|| self.serve(request, &mut waiting));
            held = catch_unwind(serving).unwrap_or_else(|_| {
                self.fail(&SpoolError::Disk("its files hold what nobody wrote".to_owned()), 0);
                None
            });
        }
    }

    fn serve(&mut self, request: Request, waiting: &mut mpsc::Receiver<Request>) -> Option<Request> {
        match request {
            Request::Read { after, limit, done } => {
                let _ = done.send(self.read(after, limit));
                None
            }
            Request::End { done } => {
                let end = self.reopened().map(drop);
                let _ = done.send(end.map(|()| self.next));
                None
            }
            Request::Probe { done } => {
                self.probe();
                let _ = done.send(());
                None
            }
            Request::GiveUp { places, done } => {
                let _ = done.send(self.give_up(&places));
                None
            }
            write => self.write(write, waiting),
        }
    }

    /// Finds out whether the disk takes as much again as it last refused.
    fn probe(&mut self) {
        let is_full = matches!(self.cause, SpoolError::NoRoom(_)) && self.wanted > 0;
        // What cannot be measured is tried.
        if is_full && free_bytes(&self.dir).is_some_and(|free| free < self.wanted as u64 + ROOM_TO_GO_ON) {
            return;
        }
        let bytes = self.wanted.min(MAX_BATCH_BYTES);
        match self.reopened().and_then(|store| store.probe(bytes)) {
            Ok(()) => self.works(),
            Err(error) => self.fail(&error, 0),
        }
    }

    /// Forgets messages for good: fsynced, or they would come back after a crash.
    fn give_up(&mut self, places: &[(u64, u64)]) -> Result<Vec<u64>, SpoolError> {
        self.gave_up = true;
        match self.reopened().and_then(|store| remove_those_there(store, places)) {
            Ok(batch) => {
                self.committed(&batch);
                Ok(batch.removed)
            }
            Err(error) => {
                self.fail(&error, 0);
                Err(error)
            }
        }
    }

    /// Writes this request and all that wait behind it; gives back the first that is no write.
    fn write(&mut self, first: Request, waiting: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let mut batch = Batch::default();
        let mut request = first;
        let held = loop {
            match request {
                Request::Append { records, done } => {
                    for record in records {
                        batch.added_bytes += record.len();
                        batch.added.push((self.next, record));
                        self.next += 1;
                    }
                    batch.appends.push(done);
                }
                Request::Remove { mut places, done } => {
                    if self.gave_up {
                        // Nothing is counted twice.
                        places.retain(|(place, _)| self.is_there(*place));
                    }
                    batch.removed_bytes += places.iter().map(|(_, bytes)| bytes).sum::<u64>();
                    batch.removed.extend(places.iter().map(|(place, _)| place));
                    batch.removals.push(done);
                }
                other => break Some(other),
            }
            if batch.added_bytes >= MAX_BATCH_BYTES {
                break None;
            }
            match waiting.try_recv() {
                Ok(next) => request = next,
                Err(_) => break None,
            }
        };
        self.commit(batch);
        held
    }

    fn commit(&mut self, batch: Batch) {
        let durable = !batch.added.is_empty();
        let result = self.reopened().and_then(|store| store.write(&batch.added, &batch.removed, durable));
        match &result {
            Ok(()) => self.committed(&batch),
            Err(error) => self.fail(error, batch.added_bytes),
        }
        for done in batch.appends {
            let _ = done.send(result.clone());
        }
        for done in batch.removals {
            let _ = done.send(());
        }
    }

    fn committed(&mut self, batch: &Batch) {
        // That something smaller fits says nothing of what did not.
        if batch.added_bytes > 0 && batch.added_bytes >= self.wanted {
            self.works();
        }
        let level = &self.level;
        level.removed(batch.removed.len() as u64, batch.removed_bytes);
        if let Some((_, first)) = batch.added.first() {
            if level.messages.load(Relaxed) == 0 {
                level.set_oldest(record::since(first));
            }
            level.added(batch.added.len() as u64, batch.added_bytes as u64);
            level.fsyncs.inc();
            level.filled.notify_one();
        } else if level.messages.load(Relaxed) == 0 {
            level.set_oldest(None);
        }
    }

    /// Where that cannot be found out, a removal does no harm.
    fn is_there(&self, place: u64) -> bool {
        self.store.as_ref().is_none_or(|store| store.holds(place).unwrap_or(true))
    }

    fn read(&mut self, after: Option<u64>, limit: usize) -> Vec<Spooled> {
        let from = after.map_or(self.floor, |place| place.saturating_add(1));
        let Ok(store) = self.reopened() else {
            return Vec::new();
        };
        let (mut messages, mut unreadable) = (Vec::new(), Batch::default());
        let mut first = None;
        let mut read = 0;
        for entry in store.from(from).take(limit) {
            // At least one, and of large ones no more than can be in memory at a time.
            if read >= MAX_READ_BYTES {
                break;
            }
            let (place, record) = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    error!(%error, "the spool cannot be read on");
                    break;
                }
            };
            let bytes = record.len() as u64;
            read += record.len();
            let since = record::since(&record);
            first = first.or(Some((place, since)));
            match record::decode(record) {
                Some(message) => messages.push(Spooled { place, bytes, since, message }),
                None => {
                    unreadable.removed.push(place);
                    unreadable.removed_bytes += bytes;
                }
            }
        }
        if let (None, Some((place, since))) = (after, first) {
            self.floor = place;
            self.level.set_oldest(since);
        }
        if !unreadable.removed.is_empty() && self.unreadable == Unreadable::Removed {
            error!(records = unreadable.removed.len(), "records of the spool hold no message: left out");
            self.level.damaged.inc();
            self.commit(unreadable);
        }
        messages
    }

    /// The store, opened again if the disk has failed and it is time.
    fn reopened(&mut self) -> Result<&Store, SpoolError> {
        if self.store.is_none() {
            if Instant::now() < self.next_reopen {
                return Err(self.cause.clone());
            }
            self.next_reopen = Instant::now() + REOPEN_INTERVAL;
            let store = salvage::open(Path::new(&self.dir), || {
                self.level.damaged.inc();
            })?;
            self.adopt(store);
        }
        self.store.as_ref().ok_or_else(|| SpoolError::Disk("closed".to_owned()))
    }

    /// The disk has failed to take so many bytes.
    fn fail(&mut self, error: &SpoolError, bytes: usize) {
        if self.store.take().is_some() {
            self.next_reopen = Instant::now() + REOPEN_INTERVAL;
            self.cause = error.clone();
        }
        self.wanted = self.wanted.max(bytes).max(1);
        if self.level.trouble().is_none() {
            warn!(%error, "the spool takes no messages");
        }
        self.level.set_trouble(Some(error.to_string()));
    }

    fn works(&mut self) {
        self.wanted = 0;
        if self.level.trouble().is_some() {
            info!("the spool takes messages again");
            self.level.set_trouble(None);
        }
    }

    /// Takes a store into use: counts what is in it.
    fn adopt(&mut self, store: Store) {
        let (mut messages, mut bytes, mut first) = (0, 0, None);
        for (place, record) in store.from(0).filter_map(Result::ok) {
            messages += 1;
            bytes += record.len() as u64;
            first = first.or_else(|| Some((place, record::since(&record))));
        }
        // A failed write may have used places that nobody was promised.
        self.next = self.next.max(store.last().map_or(0, |place| place.saturating_add(1)));
        self.floor = first.map_or(self.next, |(place, _)| place);
        self.level.messages.store(messages, Relaxed);
        self.level.bytes.store(bytes, Relaxed);
        self.level.set_oldest(first.and_then(|(_, since)| since));
        self.store = Some(store);
    }
}

/// Bytes that the disk of a folder has left for whoever is not root.
fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Removes those of these places, with the bytes of each, where there is a record.
fn remove_those_there(store: &Store, places: &[(u64, u64)]) -> Result<Batch, SpoolError> {
    let mut batch = Batch::default();
    for (place, bytes) in places {
        if store.holds(*place)? {
            batch.removed.push(*place);
            batch.removed_bytes += bytes;
        }
    }
    store.write(&[], &batch.removed, true)?;
    Ok(batch)
}
