//! A damaged spool: keeps its files aside, and saves the messages that stand before the damage.
//!
//! The journal is written from front to back, so what is cut before the damage opens, and what is cut behind it does
//! not: the place is found by halving.

use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::store::Store;

/// What the journals held before the store was opened: fjall cuts a journal at the first entry that makes no sense,
/// which is right for a torn tail, and silent loss for damage in front of sound messages.
pub(super) struct Before(Vec<(PathBuf, Vec<u8>)>);

/// What ends a batch in fjall's journal, version 3.
const END_OF_BATCH: &[u8] = b"FJL\x03";
/// fjall allocates a journal ahead; behind so many zeros nothing was ever written.
const ZEROS: usize = 1 << 20;

impl Before {
    pub(super) fn look(dir: &Path) -> io::Result<Self> {
        let journals = journals(dir)?.into_iter().map(|path| Ok((path.clone(), written(&path)?)));
        journals.collect::<io::Result<_>>().map(Self)
    }

    /// Keeps aside what was cut although it had been written whole; gives where it is.
    pub(super) fn keep_what_was_cut(&self, dir: &Path) -> io::Result<Option<PathBuf>> {
        let mut aside = None;
        for (path, bytes) in &self.0 {
            let end = bytes.windows(END_OF_BATCH.len()).rposition(|window| window == END_OF_BATCH);
            let Some(end) = end else { continue };
            let mut now = [0; END_OF_BATCH.len()];
            let still_there = match fs::File::open(path) {
                Ok(file) => read_at(file, end as u64, &mut now).is_ok() && now == END_OF_BATCH,
                // Written out into a table, and gone in order.
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            };
            if !still_there {
                let folder = aside.get_or_insert_with(|| beside(dir, "damaged"));
                fs::create_dir_all(&*folder)?;
                fs::write(folder.join(path.file_name().unwrap_or_default()), bytes)?;
            }
        }
        Ok(aside)
    }
}

fn read_at(mut file: fs::File, at: u64, buffer: &mut [u8]) -> io::Result<()> {
    file.seek(io::SeekFrom::Start(at))?;
    file.read_exact(buffer)
}

/// The bytes of a journal in front of its zeros.
fn written(journal: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(journal)?;
    let (mut bytes, mut zeros) = (Vec::new(), 0);
    let mut chunk = vec![0; 64 * 1024];
    while zeros < ZEROS {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        let chunk = &chunk[..count];
        zeros = if chunk.iter().all(|&byte| byte == 0) { zeros + count } else { 0 };
        bytes.extend_from_slice(chunk);
    }
    let length = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(length);
    Ok(bytes)
}

/// Moves the folder aside and puts in its place what can be read of it. Gives where the damaged files are.
pub(super) fn replace(dir: &Path) -> io::Result<PathBuf> {
    let aside = beside(dir, "damaged");
    let scratch = beside(dir, "salvage");
    fs::rename(dir, &aside)?;
    let saved = quietly(|| sound_length(&aside, &scratch)).and_then(|sound| match sound {
        Some(length) => copy_cut(&aside, dir, length),
        None => fs::create_dir_all(dir),
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
    let (mut sound, mut damaged) = (0, written(&journal)?.len() as u64 + 1);
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
    fs::create_dir_all(to)?;
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
