//! The embedded database under the spool.
//!
//! fjall, a log-structured store, was chosen over redb, a copy-on-write B-tree. Measured on two cores with 1.3 KB
//! messages, each batch fsynced: one message a batch 6,500/s against 3,000/s; 64 a batch 39,000/s against 64,000/s,
//! both far above what 64 connections bring; memory 20 MiB against 12 MiB under load, 4 MiB both when idle. What
//! decided is what damage does: fjall appends to a journal, so a torn or cut tail costs the messages in it and no
//! others, while a cut redb file cannot be opened at all.

use std::path::Path;
use std::{fs, io};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::SpoolError;

/// Cached blocks. The drain reads each message once: a cache would only cost memory.
const CACHE_BYTES: u64 = 1 << 20;
/// Messages that are in memory as well as in the journal, before they are written out sorted. With 2 MiB the process
/// is 12 MiB smaller under load, but appends wait for tables to be written: p99 390 ms instead of 10 ms.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// The smallest that fjall allows.
const JOURNAL_BYTES: u64 = 64 << 20;

/// The file that makes a folder a store: fjall writes it last.
const MARKER: &str = "version";
/// The file that whoever has the store open has locked.
const LOCK: &str = "lock";

/// A place that no message will ever have.
const PROBE: u64 = u64::MAX;
/// About three messages.
const PROBE_BYTES: usize = 4096;

pub(super) struct Store {
    database: Database,
    records: Keyspace,
}

impl Store {
    pub(super) fn open_as_it_is(dir: &Path) -> Result<Self, OpenError> {
        let opening = || {
            let database = Database::builder(dir)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(1)
                .open()?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            let records = database.keyspace("messages", options)?;
            Ok(Self { database, records })
        };
        // Some damage fjall meets with an assertion.
        match std::panic::catch_unwind(opening) {
            Ok(Ok(store)) => Ok(store),
            Ok(Err(fjall::Error::Locked)) => Err(OpenError::InUse(dir.display().to_string())),
            Ok(Err(error)) if is_transient(&error) => Err(OpenError::Disk(disk(&error))),
            Ok(Err(error)) => Err(OpenError::Damaged(error.to_string())),
            Err(_) => Err(OpenError::Damaged("its files hold what nobody wrote".to_owned())),
        }
    }

    /// Writes records and removals at once; fsynced when `durable`.
    pub(super) fn write(
        &self,
        added: &[(u64, Vec<u8>)],
        removed: &[u64],
        durable: bool,
    ) -> Result<(), SpoolError> {
        let mut batch = self.database.batch().durability(durable.then_some(PersistMode::SyncData));
        for (place, record) in added {
            batch.insert(&self.records, place.to_be_bytes(), record.as_slice());
        }
        for place in removed {
            batch.remove(&self.records, place.to_be_bytes());
        }
        batch.commit().map_err(|e| disk(&e))
    }

    /// Writes so many bytes and forgets them: whether the disk takes them.
    pub(super) fn probe(&self, bytes: usize) -> Result<(), SpoolError> {
        self.write(&[(PROBE, vec![0; bytes.max(PROBE_BYTES)])], &[], true)?;
        self.write(&[], &[PROBE], false)
    }

    /// Whether there is a record at the place.
    pub(super) fn holds(&self, place: u64) -> Result<bool, SpoolError> {
        self.records.contains_key(place.to_be_bytes()).map_err(|e| disk(&e))
    }

    /// The records from a place on, oldest first.
    pub(super) fn from(&self, place: u64) -> impl Iterator<Item = Result<(u64, Bytes), SpoolError>> {
        self.records.range(place.to_be_bytes()..PROBE.to_be_bytes()).map(|guard| {
            let (key, value) = guard.into_inner().map_err(|e| disk(&e))?;
            let place = key
                .as_ref()
                .try_into()
                .map_err(|_| SpoolError::Disk("a key of another length".to_owned()))?;
            Ok((u64::from_be_bytes(place), Bytes::copy_from_slice(&value)))
        })
    }

    /// The place of the newest record, readable or not.
    pub(super) fn last(&self) -> Option<u64> {
        let key = self.records.last_key_value()?.key().ok()?;
        key.as_ref().try_into().ok().map(u64::from_be_bytes)
    }

    pub(super) fn sync(&self) {
        // Only removals can be unwritten, and those may be lost.
        let _ = self.database.persist(PersistMode::SyncAll);
    }
}

/// Whether there is a store, and whether it may be opened by this process.
pub(super) fn look_for(dir: &Path) -> Result<(), SpoolError> {
    use std::os::unix::fs::MetadataExt;
    let name = || dir.display().to_string();
    match fs::metadata(dir.join(MARKER)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SpoolError::Missing(name())),
        Err(error) => return Err(SpoolError::Unreadable(format!("{}: {error}", dir.display()))),
    }
    // Before its owner: a bridge that has it can be asked by anybody.
    if let Ok(lock) = fs::File::open(dir.join(LOCK))
        && matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock))
    {
        return Err(SpoolError::InUse(name()));
    }
    let uid = fs::metadata(dir).map_err(|e| explain(dir, &e))?.uid();
    if uid == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(SpoolError::NotYours { dir: name(), uid })
    }
}

/// Why a store cannot be opened.
pub(super) enum OpenError {
    InUse(String),
    Disk(SpoolError),
    Damaged(String),
}

impl From<OpenError> for SpoolError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::InUse(dir) => Self::InUse(dir),
            OpenError::Disk(error) => error,
            OpenError::Damaged(what) => Self::Disk(what),
        }
    }
}

/// Whether the files may be sound and it is the disk that does not work.
fn is_transient(error: &fjall::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData);
        }
        cause = error.source();
    }
    false
}

fn disk(error: &fjall::Error) -> SpoolError {
    match error {
        fjall::Error::Io(e) => of_io(e, e.to_string()),
        fjall::Error::Poisoned => SpoolError::Disk("an earlier write failed".to_owned()),
        other => SpoolError::Disk(other.to_string()),
    }
}

pub(super) fn explain(dir: &Path, error: &io::Error) -> SpoolError {
    of_io(error, format!("{}: {error}", dir.display()))
}

fn of_io(error: &io::Error, what: String) -> SpoolError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpoolError::NoRoom(what),
        _ => SpoolError::Disk(what),
    }
}
