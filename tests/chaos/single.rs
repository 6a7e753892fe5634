//! One fault at a time, with claims that a random run cannot make.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use crate::bridge::{Bridge, Disk, has_small_disks};
use crate::broker::SMALL_PAYLOAD;
use crate::callback::Callback;
use crate::load::{Load, send};
use crate::process::{eventually, within};
use crate::proxy::Mode;
use crate::stage::{Accounts, Stage};

const SPOOL_MESSAGES: &str = "ci_bridge_spool_messages";

/// Fails for any promise that was not kept; gives the accounts.
fn settled(stage: &mut Stage) -> Accounts {
    let (accounts, violations) = stage.settle();
    assert!(violations.is_empty(), "{violations:#?}");
    assert_eq!((accounts.lost, accounts.twice, accounts.altered), (0, 0, 0));
    accounts
}

#[test]
fn an_acknowledgement_lost_after_the_store_leaves_one_message() {
    let mut stage = Stage::set(1);
    stage.broker.proxy.set(Mode::LoseAnswers);
    let mut client = stage.client();
    for _ in 0..20 {
        send(&mut client, &stage.ledger, &stage.ledger.draw());
    }
    assert!(stage.ledger.answers("200 spooled") >= 20, "{:?}", stage.ledger.book().answers);
    stage.broker.proxy.set(Mode::Pass);
    stage.broker.proxy.cut();
    settled(&mut stage);
    let duplicates = stage.bridge.metric("ci_bridge_messages_total{kind=\"task\",outcome=\"duplicate\"}");
    assert!(duplicates > 0, "the first was stored, and the drain found it there");
}

#[test]
fn rolling_restarts_under_load_lose_nothing() {
    let mut stage = Stage::set(2);
    let load = Load::start(stage.bridge.address, &stage.ledger, 4);
    for round in 1..=8 {
        let answered = stage.ledger.drawn();
        eventually("load", || (stage.ledger.drawn() > answered + 20).then_some(()));
        let frozen = (round % 4 == 0).then(|| stage.broker.freeze());
        if frozen.is_some() {
            // Requests that SIGTERM finds waiting for NATS.
            std::thread::sleep(Duration::from_millis(300));
        }
        stage.terminate_bridge();
        drop(frozen);
        stage.restart_bridge(&[]);
    }
    load.stop();
    settled(&mut stage);
}

#[test]
fn callbacks_outlive_a_kill_while_nats_was_never_there() {
    let mut stage = Stage::set(3);
    stage.broker.kill();
    stage.bridge = Bridge::start(&stage.broker);
    let mut client = stage.client();
    for _ in 0..200 {
        send(&mut client, &stage.ledger, &stage.ledger.draw());
    }
    assert_eq!(stage.ledger.answers("200 published"), 0);
    stage.kill_bridge();
    stage.restart_bridge(&[]);
    stage.broker.restart("");
    let accounts = settled(&mut stage);
    assert!(accounts.promised >= 200, "{accounts:?}");
}

#[test]
fn what_is_too_large_for_a_while_is_kept_whole() {
    let mut stage = Stage::set(4);
    stage.broker.kill();
    let mut client = stage.client();
    let large =
        std::iter::repeat_with(|| stage.ledger.draw()).find(Callback::is_large).expect("one is large");
    send(&mut client, &stage.ledger, &large);
    for _ in 0..20 {
        send(&mut client, &stage.ledger, &stage.ledger.draw());
    }
    assert!(stage.ledger.answers("200 spooled") > 1, "{:?}", stage.ledger.book().answers);
    stage.broker.restart(SMALL_PAYLOAD);
    // The oldest is the large one: who finds the others gone has been past it.
    eventually("the rest is drained", || (stage.bridge.metric(SPOOL_MESSAGES) <= 1).then_some(()));
    stage.broker.restart("");
    settled(&mut stage);
}

#[test]
fn a_full_disk_is_said_and_survived() {
    if !has_small_disks() {
        eprintln!("SKIPPED: no namespaces here, so no disk that a test could fill");
        return;
    }
    let mut stage = Stage::set(5);
    stage.broker.kill();
    stage.bridge = Bridge::start_on(Disk::Small, &stage.broker);
    let mut client = stage.client();
    let mut until = |answer: &str| {
        let before = stage.ledger.answers(answer);
        eventually(answer, || {
            send(&mut client, &stage.ledger, &stage.ledger.draw());
            (stage.ledger.answers(answer) > before).then_some(())
        });
    };
    until("200 spooled");
    let filler = stage.bridge.on_disk("filler");
    let mut file = File::create(&filler).expect("a file on the small disk");
    fill(&mut file);
    until("503");
    let bridge = &stage.bridge;
    let is_said = || bridge.get("/readyz").contains(r#""name":"spool","ok":false"#);
    eventually("the full disk is said", || is_said().then_some(()));
    // It opens the spool again every second, which frees a little: what fits then says nothing of what comes next.
    let mut client = stage.client();
    let unsaid = within(Duration::from_secs(3), || {
        send(&mut client, &stage.ledger, &stage.ledger.draw());
        if is_said() {
            return None;
        }
        // Opening it can also give back a journal of many megabytes: then there is room indeed, until it is filled.
        let had_room = fill(&mut file) >= ENOUGH_ROOM;
        eventually("the full disk is said again", || {
            send(&mut client, &stage.ledger, &stage.ledger.draw());
            fill(&mut file);
            is_said().then_some(())
        });
        (!had_room).then_some(())
    });
    assert_eq!(unsaid, None, "a full disk is said for as long as it is full");
    drop(file);
    fs::remove_file(filler).expect("the disk is emptied");
    eventually("that there is room is said", || (!is_said()).then_some(()));
    let spooled = stage.ledger.answers("200 spooled");
    eventually("200 spooled", || {
        send(&mut client, &stage.ledger, &stage.ledger.draw());
        (stage.ledger.answers("200 spooled") > spooled).then_some(())
    });
    stage.broker.restart("");
    settled(&mut stage);
}

/// Writes until the disk takes no more.
/// With so many bytes free the spool says that there is room again.
const ENOUGH_ROOM: usize = 8 << 20;

/// Takes what is left of a disk; returns how many bytes that was.
fn fill(file: &mut File) -> usize {
    let mut taken = 0;
    loop {
        match file.write(&[1; 4096]) {
            Ok(bytes) => taken += bytes,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
                return taken;
            }
        }
    }
}
