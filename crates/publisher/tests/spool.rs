//! The spool against damage: whatever a crash leaves of its files, what is read back is what was written.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use ci_bridge_publisher::{
    Headers, Message, MessageId, MessageKind, Spool, SpoolError, SpoolSettings, Subject,
};
use tempfile::TempDir;

const MESSAGES: u64 = 12;

fn message(number: u64) -> Message {
    let payload = format!("{{\"number\":{number}}}");
    Message {
        subject: Subject::parse("ci.task.x.success").unwrap(),
        id: MessageId::of_quarantine(payload.as_bytes()),
        stream: "CI".into(),
        headers: Headers::default(),
        payload: payload.into(),
        kind: MessageKind::Task,
    }
}

fn settings(dir: &Path) -> SpoolSettings {
    SpoolSettings { dir: dir.to_owned(), max_bytes: 1 << 20 }
}

/// A spool of some messages, each with an fsync of its own, as a crash leaves it.
async fn crashed_spool() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&settings(&folder.path().join("spool"))).unwrap();
    for number in 0..MESSAGES {
        spool.append(&[&message(number)]).await.unwrap();
    }
    // Copied while it is open: nothing has been closed in order.
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&folder.path().join("spool"), &copy.path().join("spool"));
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path() {
            path if path.is_dir() => copy_folder(&path, &target),
            path => fs::copy(path, target).map(|_| ()).unwrap(),
        }
    }
}

/// A copy of a spool with one byte of its journal changed; and that journal, with what it holds now.
fn with_a_changed_byte(original: &Path, at: u64) -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(original, folder.path());
    let path = journal(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 0x5A;
    fs::write(&path, &bytes).unwrap();
    (folder, path, bytes)
}

/// The journal holds the messages; it is the largest file by far.
fn journal(folder: &Path) -> PathBuf {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => files.push(path),
            }
        }
    }
    files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "jnl")).max().expect("a journal")
}

#[tokio::test]
async fn messages_survive_a_crash_in_their_order() {
    let folder = crashed_spool().await;
    let spool = Spool::open(&settings(&folder.path().join("spool"))).unwrap();
    assert_eq!(spool.len(), MESSAGES);
    assert_eq!(numbers(&spool).await, (0..MESSAGES).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_journal_cut_anywhere_costs_its_tail_and_no_more() {
    let original = crashed_spool().await;
    let length = fs::metadata(journal(original.path())).unwrap().len();
    // Beyond what was written the journal is preallocated; a cut there must cost nothing.
    let mut survivors_before = 0;
    let step = 97;
    let written = written_bytes(&journal(original.path()));
    for cut in (0..written + step).step_by(usize::try_from(step).unwrap()).chain([length]) {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(original.path(), folder.path());
        fs::OpenOptions::new().write(true).open(journal(folder.path())).unwrap().set_len(cut).unwrap();
        let spool = Spool::open(&settings(&folder.path().join("spool"))).unwrap();
        let survivors = numbers(&spool).await;
        assert_eq!(survivors, (0..survivors.len() as u64).collect::<Vec<_>>(), "cut at {cut}");
        assert!(survivors.len() >= survivors_before, "cut at {cut}");
        survivors_before = survivors.len();
        spool.append(&[&message(99)]).await.unwrap();
        assert_eq!(numbers(&spool).await.last(), Some(&99), "it goes on after a cut at {cut}");
    }
    assert_eq!(survivors_before as u64, MESSAGES);
}

#[tokio::test]
async fn whoever_only_looks_leaves_damage_as_it_is() {
    let original = crashed_spool().await;
    let written = written_bytes(&journal(original.path()));
    let mut damaged = 0;
    for at in (0..written).step_by(191) {
        let (folder, path, bytes) = with_a_changed_byte(original.path(), at);
        match Spool::open_existing(&settings(&folder.path().join("spool"))) {
            // The end of the last message, which a crash may leave so, or a byte that says nothing.
            Ok(spool) => assert!(spool.len() + 1 >= MESSAGES, "changed at {at}: {}", spool.len()),
            Err(error) => {
                assert!(matches!(error, SpoolError::Damaged(_)), "changed at {at}: {error}");
                assert!(fs::read(&path).unwrap() == bytes, "changed at {at}, and then by looking");
                damaged += 1;
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "changed at {at}");
    }
    assert!(damaged > 5, "{damaged}");
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_never_taken_for_a_message() {
    let original = crashed_spool().await;
    let written = written_bytes(&journal(original.path()));
    for at in (0..written).step_by(191) {
        let (folder, ..) = with_a_changed_byte(original.path(), at);
        let spool = Spool::open(&settings(&folder.path().join("spool"))).unwrap();
        let survivors = numbers(&spool).await;
        assert_eq!(survivors, (0..survivors.len() as u64).collect::<Vec<_>>(), "changed at {at}");
        // What was written before the damage is there: a message takes less than a twelfth of the journal.
        let before = at * MESSAGES / written;
        assert!(survivors.len() as u64 + 2 > before, "changed at {at}: {} of {before}", survivors.len());
        spool.append(&[&message(99)]).await.unwrap();
        let lost = MESSAGES - survivors.len() as u64;
        let kept_aside = fs::read_dir(folder.path()).unwrap().count() > 1;
        assert!(lost == 0 || kept_aside, "changed at {at}: {lost} lost, and nothing kept aside");
    }
}

/// Where the journal's zeros begin.
fn written_bytes(journal: &Path) -> u64 {
    let bytes = fs::read(journal).unwrap();
    bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last as u64 + 1)
}

async fn numbers(spool: &Spool) -> Vec<u64> {
    let messages = spool.peek(1000).await;
    let number = |message: &Message| {
        let text = String::from_utf8(message.payload.to_vec()).unwrap();
        text.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
    };
    messages.iter().map(number).collect()
}
