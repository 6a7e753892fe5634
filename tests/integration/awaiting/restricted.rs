//! With the NATS permissions that docs/operations.md names for `[jobs]`, and no more; and what is said when one is missing.

use super::JOBS;
use crate::support::{Bridge, LocalNats, PATIENCE, Streams, eventually, nats_forbidding, task};

const PUBLISH: [&str; 20] = [
    "ci.>",
    "ci-quarantine.>",
    "$JS.API.STREAM.INFO.CI",
    "$JS.API.STREAM.INFO.CI_QUARANTINE",
    "$JS.API.STREAM.CREATE.CI",
    "$JS.API.STREAM.CREATE.CI_QUARANTINE",
    "$O.CI_LARGE.>",
    "$JS.API.STREAM.INFO.OBJ_CI_LARGE",
    "$JS.API.STREAM.CREATE.OBJ_CI_LARGE",
    "$JS.API.STREAM.MSG.GET.OBJ_CI_LARGE",
    "$JS.API.STREAM.PURGE.OBJ_CI_LARGE",
    "$KV.CI_JOBS.>",
    "$JS.API.STREAM.INFO.KV_CI_JOBS",
    "$JS.API.STREAM.CREATE.KV_CI_JOBS",
    "$JS.API.STREAM.MSG.GET.KV_CI_JOBS",
    "$JS.API.CONSUMER.CREATE.KV_CI_JOBS",
    "$JS.API.CONSUMER.CREATE.KV_CI_JOBS.>",
    "$JS.API.CONSUMER.INFO.KV_CI_JOBS.>",
    "$JS.API.CONSUMER.MSG.NEXT.KV_CI_JOBS.>",
    "$JS.API.CONSUMER.DELETE.KV_CI_JOBS.>",
];

/// A server with a bridge's user of these rights, and that user's URL; who shows no credentials may do everything.
fn server(subscribe: &str, responses: &str) -> (LocalNats, String) {
    let nats = LocalNats::start(&format!(
        "authorization {{ users: [\n{{ user: admin, password: p }}\n{{ user: bridge, password: p, permissions: {{\n\
         publish: {PUBLISH:?}\nsubscribe: [\"_INBOX.>\", \"$SRV.>\"{subscribe}]\n{responses} }} }}\n] }}\nno_auth_user: admin\n"
    ))
    .unwrap();
    let url = nats.url().replace("nats://", "nats://bridge:p@");
    (nats, url)
}

const REQUESTS: &str = ", \"ci.await.*\"";

#[test]
fn the_documented_permissions_are_enough_to_answer() {
    let (nats, url) = server(REQUESTS, "allow_responses: { max: 1, expires: \"1h\" }");
    let bridge = Bridge::start_towards(&url, JOBS);
    bridge.wait_until_ready();
    let streams = Streams::of(&nats);
    eventually("the service answers", || streams.wait_for("ci.await.no+key", PATIENCE));
    let replies = streams.while_waiting_for(&["ci.await.j1"], || {
        assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
    });
    assert_eq!(replies[0].header("ce-id"), Some("task:j1:Success"));
    let again = streams.wait_for("ci.await.j1", PATIENCE).expect("it has ended");
    assert_eq!(again.header("ce-id"), Some("task:j1:Success"));
    let (_, log) = bridge.terminate();
    assert!(!log.contains("NATS forbids"), "{log}");
}

#[test]
fn whoever_may_not_hear_requests_says_so_and_is_ready() {
    let (_nats, url) = server("", "allow_responses: true");
    let bridge = Bridge::start_towards(&url, JOBS);
    bridge.wait_until_ready();
    let words = "nobody can wait for jobs: NATS forbids to take their requests";
    eventually("said", || bridge.log().contains(words).then_some(()));
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
}

/// `allow_responses: true` is two minutes; here it is a moment.
#[test]
fn an_answer_that_comes_too_late_for_allow_responses_is_said_to_be_lost() {
    let (nats, url) = server(REQUESTS, "allow_responses: { max: 1, expires: \"1ms\" }");
    let bridge = Bridge::start_towards(&url, JOBS);
    bridge.wait_until_ready();
    let streams = Streams::of(&nats);
    let words = "NATS forbids an answer to whoever waits for a job: it is lost";
    eventually("said", || {
        // It waits for longer than that.
        let _ = streams.wait_for("ci.await.j1 100ms", std::time::Duration::from_millis(300));
        bridge.log().contains(words).then_some(())
    });
    bridge.wait_until_ready();
}

#[test]
fn a_bucket_that_may_not_be_read_is_said_and_is_no_job_that_has_not_ended() {
    let (_nats, url) = nats_forbidding(&["$JS.API.STREAM.MSG.GET.KV_CI_JOBS"]);
    let bridge = Bridge::start_towards(&url, JOBS);
    bridge.wait_until_ready();
    let streams = Streams::at(&url);
    eventually("the service answers", || streams.wait_for("ci.await.no+key", PATIENCE));
    let replies = streams.while_waiting_for(&["ci.await.j1 1ms"], || ());
    assert_eq!(replies[0].header("Nats-Service-Error-Code"), Some("503"), "{replies:?}");
    let why = replies[0].header("Nats-Service-Error").unwrap_or_default();
    assert!(why.contains("the bucket of jobs cannot be read"), "{why}");
    bridge.wait_until_ready();
}
