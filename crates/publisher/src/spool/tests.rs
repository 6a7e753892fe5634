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

#[tokio::test]
async fn what_is_given_up_is_gone_and_counted_once() {
    let (folder, spool) = spool();
    let settings = Settings { dir: folder.path().join("spool"), max_bytes: MAX_BYTES };
    for _ in 0..3 {
        spool.append(&[&message(10)]).await.unwrap();
    }
    // As the drain has it in flight, while an operator gives it up.
    let in_flight = spool.read(None, 1).await;
    let all = spool.with_id(message(0).id.as_str()).await;
    assert_eq!((all.len(), spool.with_id("task:other:Success").await.len()), (3, 0));
    let mut first = all.clone();
    first.truncate(1);
    assert_eq!(spool.give_up(first.clone()).await.unwrap().len(), 1);
    assert_eq!(spool.give_up(first).await.unwrap().len(), 0, "it is not there any more");
    spool.remove(&in_flight).await;
    assert_eq!((spool.len(), spool.bytes()), (2, all[1].bytes + all[2].bytes));
    assert_eq!(spool.level().take_given_up(), [all[0].place]);
    spool.close().await;
    drop(spool);
    let spool = eventually_open(&settings);
    assert_eq!(spool.list(None, 9).await.len(), 2);
}

#[tokio::test]
async fn what_comes_while_all_is_given_up_stays() {
    let (_folder, spool) = spool();
    for _ in 0..2 {
        spool.append(&[&message(10)]).await.unwrap();
    }
    let end = spool.end().await.unwrap();
    // Meanwhile the drain takes one away, and a callback brings another: as many wait as before.
    spool.remove(&spool.read(None, 1).await).await;
    spool.append(&[&message(10)]).await.unwrap();
    let mut told = Vec::new();
    let given_up = spool.give_up_before(end, |batch| told.extend(batch.iter().map(|waiting| waiting.place)));
    assert_eq!(given_up.await, Ok(1));
    assert_eq!(told, [end - 1]);
    let left = spool.list(None, 9).await;
    assert_eq!(left.iter().map(|waiting| waiting.place).collect::<Vec<_>>(), [end]);
}

/// The lock goes with the thread that has it, a moment after the spool is closed.
fn eventually_open(settings: &Settings) -> Spool {
    loop {
        match Spool::open_existing(settings) {
            Ok(spool) => return spool,
            Err(error) => assert!(matches!(error, SpoolError::InUse(_)), "{error}"),
        }
    }
}

#[tokio::test]
async fn whoever_only_looks_makes_no_spool() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { dir: folder.path().join("spool"), max_bytes: MAX_BYTES };
    let missing = Spool::open_existing(&settings).unwrap_err();
    assert!(matches!(missing, SpoolError::Missing(_)), "{missing}");
    assert!(!settings.dir.exists());
    let spool = Spool::open(&settings).unwrap();
    assert!(matches!(Spool::open_existing(&settings).unwrap_err(), SpoolError::InUse(_)));
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&settings.dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else may look");
    drop(spool);
}
