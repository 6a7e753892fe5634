//! Opens the store under the spool. Of a damaged one the files are kept aside, and the messages that stand before the damage are
//! saved.
//!
//! The journal is written from front to back, so what is cut before the damage opens, and what is cut behind it does
//! not: the place is found by halving.

use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::journal::{self, Tail};
use tracing::error;

use super::SpoolError;
use super::store::{OpenError, Store, explain};

/// Opens the store. One that is damaged is moved aside, and what stands before the damage is taken over;
/// `on_damage` learns of that.
pub(super) fn open(dir: &Path, on_damage: impl FnOnce()) -> Result<Store, SpoolError> {
    let explain = |e: io::Error| explain(dir, &e);
    private_folder(dir).map_err(explain)?;
    sync_folder(dir.parent()).map_err(explain)?;
    let before = Before::look(dir).map_err(explain)?;
    match Store::open_as_it_is(dir) {
        Ok(store) => {
            if let Some(aside) = before.keep_what_was_cut().map_err(explain)? {
                on_damage();
                error!(kept = %aside.display(), "the spool's journal is damaged: what stood behind is kept aside");
            }
            Ok(store)
        }
        Err(OpenError::Damaged(what)) => {
            before.forget();
            on_damage();
            let aside = replace(dir).map_err(explain)?;
            error!(what, kept = %aside.display(), "the spool is damaged: kept aside, what could be read goes on");
            Ok(Store::open_as_it_is(dir)?)
        }
        Err(error) => {
            before.forget();
            Err(error.into())
        }
    }
}

/// Opens a store that is there and sound, and changes nothing of one that is not.
pub(super) fn open_sound(dir: &Path) -> Result<Store, SpoolError> {
    if would_be_cut(dir).map_err(|e| explain(dir, &e))? {
        return Err(SpoolError::Damaged(dir.display().to_string()));
    }
    Store::open_as_it_is(dir).map_err(|error| match error {
        OpenError::Damaged(_) => SpoolError::Damaged(dir.display().to_string()),
        other => other.into(),
    })
}

/// What of the journals will be cut when the store is opened: fjall cuts a journal at the first entry that makes no sense,
/// which is right for a torn tail, and silent loss for damage in front of sound messages. Only that part is copied.
pub(super) struct Before {
    aside: PathBuf,
    copies: Vec<Cut>,
}

/// A part of a journal that was written whole, and is about to be cut.
struct Cut {
    journal: PathBuf,
    copy: PathBuf,
    /// Where its last batch ends.
    last_end: u64,
}

impl Before {
    pub(super) fn look(dir: &Path) -> io::Result<Self> {
        let mut before = Self { aside: beside(dir, "damaged"), copies: Vec::new() };
        for journal in journals(dir)? {
            if let Err(error) = before.copy_tail(journal) {
                before.forget();
                return Err(error);
            }
        }
        Ok(before)
    }

    fn copy_tail(&mut self, journal: PathBuf) -> io::Result<()> {
        let from = journal::sound_end(&journal)?;
        let Tail { last_end: Some(last_end), written_end } = journal::tail(&journal, from)? else {
            return Ok(());
        };
        private_folder(&self.aside)?;
        let mut name = journal.file_name().unwrap_or_default().to_os_string();
        // Where in the journal it stood.
        name.push(format!(".from-{from}"));
        let copy = self.aside.join(name);
        let (mut source, mut target) = (fs::File::open(&journal)?, fs::File::create_new(&copy)?);
        // First, so that a copy that fails half-way is removed.
        self.copies.push(Cut { journal, copy, last_end });
        source.seek(io::SeekFrom::Start(from))?;
        io::copy(&mut source.take(written_end - from), &mut target)?;
        target.sync_all()
    }

    /// Keeps of the copies what the opened store has cut; gives where it is.
    pub(super) fn keep_what_was_cut(mut self) -> io::Result<Option<PathBuf>> {
        let mut kept = Vec::new();
        for cut in std::mem::take(&mut self.copies) {
            match still_ends_at(&cut) {
                true => fs::remove_file(&cut.copy)?,
                false => kept.push(cut),
            }
        }
        if kept.is_empty() {
            self.forget();
            return Ok(None);
        }
        sync_folder(Some(&self.aside))?;
        sync_folder(self.aside.parent())?;
        Ok(Some(self.aside))
    }

    /// Removes the copies: the store did not open, and nothing was cut.
    pub(super) fn forget(self) {
        for cut in &self.copies {
            let _ = fs::remove_file(&cut.copy);
        }
        let _ = fs::remove_dir(&self.aside);
    }
}

/// Whether opening the store would cut what was written whole.
pub(super) fn would_be_cut(dir: &Path) -> io::Result<bool> {
    for journal in journals(dir)? {
        let tail = journal::tail(&journal, journal::sound_end(&journal)?)?;
        if tail.last_end.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the journal still has the batch that ended there; one that was written out into a table is gone in order.
fn still_ends_at(cut: &Cut) -> bool {
    let mut now = [0; journal::END_OF_BATCH.len()];
    let at = cut.last_end - now.len() as u64;
    match fs::File::open(&cut.journal) {
        Ok(file) => read_at(file, at, &mut now).is_ok() && now == *journal::END_OF_BATCH,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn read_at(mut file: fs::File, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    file.seek(io::SeekFrom::Start(at))?;
    file.read_exact(buffer)
}

/// A folder for messages: its owner's alone. One that is there stays as it is.
pub(super) fn private_folder(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Moves the folder aside and puts in its place what can be read of it. Gives where the damaged files are.
pub(super) fn replace(dir: &Path) -> io::Result<PathBuf> {
    let aside = beside(dir, "damaged");
    let scratch = beside(dir, "salvage");
    fs::rename(dir, &aside)?;
    let saved = quietly(|| sound_length(&aside, &scratch)).and_then(|sound| match sound {
        Some(length) => copy_cut(&aside, dir, length),
        None => private_folder(dir),
    });
    if let Err(error) = saved {
        // As it was, so that the next attempt finds everything.
        let _ = fs::remove_dir_all(&scratch);
        let _ = fs::remove_dir_all(dir);
        fs::rename(&aside, dir)?;
        return Err(error);
    }
    sync_folder(dir.parent())?;
    Ok(aside)
}

/// Makes what was created or renamed in a folder survive a power failure.
pub(super) fn sync_folder(folder: Option<&Path>) -> io::Result<()> {
    match folder {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
    }
}

/// The longest beginning of the journal that opens; `None` when the damage is elsewhere.
fn sound_length(aside: &Path, scratch: &Path) -> io::Result<Option<u64>> {
    let Some(journal) = journal(aside)? else { return Ok(None) };
    let opens = |length| -> io::Result<bool> {
        copy_cut(aside, scratch, length)?;
        let opens = Store::open_as_it_is(scratch).is_ok();
        fs::remove_dir_all(scratch)?;
        Ok(opens)
    };
    let (mut sound, mut damaged) = (0, journal::tail(&journal, 0)?.written_end + 1);
    if !opens(sound)? {
        return Ok(None);
    }
    while damaged - sound > 1 {
        let middle = sound + (damaged - sound) / 2;
        match opens(middle)? {
            true => sound = middle,
            false => damaged = middle,
        }
    }
    Ok(Some(sound))
}

/// Copies a spool, its journal cut to `length` bytes.
fn copy_cut(from: &Path, to: &Path, length: u64) -> io::Result<()> {
    copy(from, to)?;
    match journal(to)? {
        Some(journal) => {
            let file = fs::OpenOptions::new().write(true).open(journal)?;
            file.set_len(length)?;
            file.sync_all()
        }
        None => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    private_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            fs::File::open(target)?.sync_all()?;
        }
    }
    sync_folder(Some(to))
}

/// The journal that is written to: of several, the one with the highest number.
fn journal(dir: &Path) -> io::Result<Option<PathBuf>> {
    let number = |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
    Ok(journals(dir)?.into_iter().max_by_key(number))
}

fn journals(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            journals.push(path);
        }
    }
    Ok(journals)
}

fn beside(dir: &Path, what: &str) -> PathBuf {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{what}-{nanos}"));
    dir.with_file_name(name)
}

/// fjall meets some damage with an assertion, which is expected here and says nothing to whoever reads the log.
fn quietly<T>(attempts: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = attempts();
    std::panic::set_hook(hook);
    result
}
