//! Every answer that JetStream can give to a publish, and what becomes of the callback.

use crate::support::{Bridge, Stub, eventually, task};

const STORED: &str = r#"{"stream":"CI","seq":7}"#;
const IN_FLIGHT_OLD: &str = r#"{"stream":"CI","seq":0,"duplicate":true}"#;
const IN_FLIGHT: &str =
    r#"{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"}}"#;
const TOO_MANY: &str = r#"{"error":{"code":429,"err_code":10167,"description":"too many requests"}}"#;
const NO_LEADER: &str =
    r#"{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}"#;
const FULL: &str = r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}"#;
const NO_SEQUENCE: &str = r#"{"stream":"CI"}"#;
const OTHER_STREAM: &str = r#"{"stream":"OTHER","seq":7}"#;
const SEALED: &str =
    r#"{"error":{"code":400,"err_code":10109,"description":"invalid operation on sealed stream"}}"#;
const TOO_LARGE: &str =
    r#"{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}"#;
const NO_RESPONDERS: &str = "status 503";
const SILENCE: &str = "";

/// Answers after which the same message may be taken.
const TEMPORARY: [&str; 8] =
    [IN_FLIGHT_OLD, IN_FLIGHT, TOO_MANY, NO_LEADER, FULL, NO_RESPONDERS, "not JSON", NO_SEQUENCE];

#[test]
fn what_may_pass_is_tried_again_under_the_same_id() {
    for answer in TEMPORARY {
        let stub = Stub::start(&[answer, answer, STORED]);
        let bridge = Bridge::start_towards(&stub.url(), "[spool]\nenabled = false\n");
        bridge.wait_until_ready();
        let answered = bridge.post(task("j1"));
        assert_eq!(answered.status, 200, "{answer}: {answered:?}");
        assert_eq!(answered.json()["messages"][0]["seq"], 7, "{answer}");
        assert_eq!(stub.published(), ["task:j1:Success"; 3], "{answer}");
    }
}

#[test]
fn with_a_spool_nobody_waits_for_what_may_pass() {
    for answer in TEMPORARY.into_iter().chain([SILENCE]) {
        let stub = Stub::start(&[answer]);
        let bridge = Bridge::start_towards(&stub.url(), "");
        bridge.wait_until_ready();
        let answered = bridge.post(task("j1"));
        assert_eq!(answered.json()["outcome"], "spooled", "{answer}: {answered:?}");
        // A copy on its way says nothing of the broker; everything else does.
        if ![IN_FLIGHT, IN_FLIGHT_OLD, NO_SEQUENCE].contains(&answer) {
            eventually("not ready, with a reason", || (bridge.get("/readyz").status == 503).then_some(()));
        }
        stub.answer_from_now_on(STORED);
        eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
        bridge.wait_until_ready();
        assert!(
            stub.published().iter().all(|id| id == "task:j1:Success"),
            "{answer}: {:?}",
            stub.published()
        );
    }
}

/// Neither another stream's acknowledgement nor a sealed stream is the message's fault: it is tried until the deadline,
/// and kept where there is a spool.
#[test]
fn a_refusal_of_the_stream_is_never_200_and_never_moves_the_message_to_quarantine() {
    for (answer, word) in [(OTHER_STREAM, "stream OTHER stored it"), (SEALED, "10109")] {
        let stub = Stub::start(&[answer]);
        let bridge = Bridge::start_towards(&stub.url(), "[spool]\nenabled = false\n");
        bridge.wait_until_ready();
        let answered = bridge.post(task("j1"));
        assert_eq!(answered.status, 503, "{answer}: {answered:?}");
        assert!(answered.text().contains(word), "{answered:?}");
        let bridge = Bridge::start_towards(&stub.url(), "");
        bridge.wait_until_ready();
        assert_eq!(bridge.post(task("j2")).json()["outcome"], "spooled", "{answer}");
        let asked = stub.published().len();
        eventually("it is tried again", || (stub.published().len() > asked + 2).then_some(()));
        assert_eq!(bridge.metric("ci_bridge_spool_messages"), 1.0, "{answer}");
        assert!(stub.published().iter().all(|id| id.starts_with("task:")), "{:?}", stub.published());
    }
}

#[test]
fn a_message_too_large_for_the_stream_is_413() {
    const KEPT: &str = r#"{"stream":"CI_QUARANTINE","seq":1}"#;
    let stub = Stub::start(&[TOO_LARGE, KEPT]);
    let bridge = Bridge::start_towards(&stub.url(), "[messages]\noversize = \"refuse\"\n");
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).status, 413);
    let published = stub.published();
    assert!(published[1].starts_with("quarantine:"), "{published:?}");
}

#[test]
fn silence_without_a_spool_is_503_within_the_deadline() {
    let stub = Stub::start(&[SILENCE]);
    let bridge = Bridge::start_towards(&stub.url(), "[spool]\nenabled = false\n");
    bridge.wait_until_ready();
    let started = std::time::Instant::now();
    assert_eq!(bridge.post(task("j1")).status, 503);
    // 3 s, and what a busy machine may take longer; nothing else would end it.
    assert!(started.elapsed() < std::time::Duration::from_secs(15), "{:?}", started.elapsed());
    bridge.assert_every_callback_is_accounted_for();
}
