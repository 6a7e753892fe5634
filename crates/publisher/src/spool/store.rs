//! The embedded database under the spool.
//!
//! fjall, a log-structured store, was chosen over redb, a copy-on-write B-tree. Measured on two cores with 1.3 KB
//! messages, each batch fsynced: one message a batch 6,500/s against 3,000/s; 64 a batch 39,000/s against 64,000/s,
//! both far above what 64 connections bring; memory 20 MiB against 12 MiB under load, 4 MiB both when idle. What
//! decided is what damage does: fjall appends to a journal, so a torn or cut tail costs the messages in it and no
//! others, while a cut redb file cannot be opened at all.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use tracing::error;

use super::SpoolError;

/// Cached blocks. The drain reads each message once: a cache would only cost memory.
const CACHE_BYTES: u64 = 1 << 20;
/// Messages that are in memory as well as in the journal, before they are written out sorted.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// The smallest that fjall allows.
const JOURNAL_BYTES: u64 = 64 << 20;

pub(super) struct Store {
    database: Database,
    records: Keyspace,
}

impl Store {
    /// Opens the store; one that is damaged beyond its tail is moved aside, and the new one starts empty.
    /// `on_damage` learns of that.
    pub(super) fn open(dir: &Path, on_damage: impl FnOnce()) -> Result<Self, SpoolError> {
        std::fs::create_dir_all(dir).map_err(|e| SpoolError::Disk(format!("{}: {e}", dir.display())))?;
        match Self::try_open(dir) {
            Ok(store) => Ok(store),
            Err(fjall::Error::Locked) => Err(SpoolError::InUse(dir.display().to_string())),
            Err(e) if is_transient(&e) => Err(disk(&e)),
            Err(e) => {
                on_damage();
                let aside =
                    move_aside(dir).map_err(|e| SpoolError::Disk(format!("{}: {e}", dir.display())))?;
                error!(error = %e, kept = %aside.display(), "the spool is damaged: kept aside, a new one starts empty");
                Self::try_open(dir).map_err(|e| disk(&e))
            }
        }
    }

    fn try_open(dir: &Path) -> fjall::Result<Self> {
        let database = Database::builder(dir)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()?;
        let records = database
            .keyspace("messages", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))?;
        Ok(Self { database, records })
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

    /// The records from a place on, oldest first.
    pub(super) fn from(&self, place: u64) -> impl Iterator<Item = Result<(u64, Bytes), SpoolError>> {
        self.records.range(place.to_be_bytes()..).map(|guard| {
            let (key, value) = guard.into_inner().map_err(|e| disk(&e))?;
            let place = key
                .as_ref()
                .try_into()
                .map_err(|_| SpoolError::Disk("a key of another length".to_owned()))?;
            Ok((u64::from_be_bytes(place), Bytes::copy_from_slice(&value)))
        })
    }

    pub(super) fn sync(&self) {
        // Only removals can be unwritten, and those may be lost.
        let _ = self.database.persist(PersistMode::SyncAll);
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
    SpoolError::Disk(match error {
        fjall::Error::Io(e) => e.to_string(),
        fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        other => other.to_string(),
    })
}

fn move_aside(dir: &Path) -> io::Result<PathBuf> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".damaged-{seconds}"));
    let aside = dir.with_file_name(name);
    std::fs::rename(dir, &aside)?;
    std::fs::create_dir_all(dir)?;
    Ok(aside)
}
