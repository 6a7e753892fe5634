//! A damaged spool: keeps its files aside, and saves the messages that stand before the damage.
//!
//! The journal is written from front to back, so what is cut before the damage opens, and what is cut behind it does
//! not: the place is found by halving.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::store::Store;

/// Moves the folder aside and puts in its place what can be read of it. Gives where the damaged files are.
pub(super) fn replace(dir: &Path) -> io::Result<PathBuf> {
    let aside = beside(dir, "damaged");
    fs::rename(dir, &aside)?;
    let scratch = beside(dir, "salvage");
    let sound = quietly(|| sound_length(&aside, &scratch));
    fs::create_dir_all(dir)?;
    if let Some(length) = sound? {
        copy_cut(&aside, dir, length)?;
    }
    Ok(aside)
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
    // fjall allocates a journal ahead, in zeros.
    let bytes = fs::read(journal)?;
    let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1);
    let (mut sound, mut damaged) = (0, written + 1);
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
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The journal that is written to: of several, the one with the highest number.
fn journal(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            journals.push(path);
        }
    }
    let number = |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
    Ok(journals.into_iter().max_by_key(number))
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
