//! Each job's last message in a key-value bucket, and requests that wait for it.

mod prefix;
mod restricted;

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use serde_json::json;

use crate::support::{Bridge, PATIENCE, Streams, eventually, nats, speech, task, task_with};

/// One bridge has just gone: a request may still have been its.
const BRIEF: Duration = Duration::from_secs(2);

const JOBS: &str = "[jobs]\nbucket = \"CI_JOBS\"\n";

#[test]
fn a_job_that_ended_before_a_request_is_answered_at_once_by_any_bridge() {
    let nats = nats();
    let a = Bridge::start(&nats, JOBS);
    let b = Bridge::start(&nats, JOBS);
    let answer = a.post(task("j1"));
    assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!("published")), "{answer:?}");
    a.terminate();
    let streams = Streams::of(&nats);
    let event = streams.messages("CI").remove(0);
    let reply = eventually("bridge b answers", || streams.wait_for("ci.await.j1", BRIEF));
    assert_eq!(reply.payload, event.payload);
    for name in ["ce-id", "ce-type", "ce-source", "ce-specversion", "Content-Type"] {
        assert_eq!(reply.header(name), event.header(name), "{name}");
    }
    b.wait_until_ready();
}

#[test]
fn requests_that_wait_are_answered_when_the_job_ends_whichever_bridge_receives_it() {
    let nats = nats();
    // Bridge b alone answers requests.
    let b = Bridge::start(&nats, JOBS);
    let quiet = Bridge::start(&nats, &format!("{JOBS}[nats]\nmicro = false\n"));
    let streams = Streams::of(&nats);
    eventually("the service answers", || streams.wait_for("ci.await.no+key", PATIENCE));
    let replies = streams.while_waiting_for(&["ci.await.j1", "ci.await.j1", "ci.await.j2"], || {
        // During: the requests are on their way when the callbacks come.
        assert_eq!(quiet.post(task("j1")).status, 200);
        assert_eq!(quiet.post(task("j2")).status, 200);
    });
    let ids: Vec<_> = replies.iter().map(|reply| reply.header("ce-id").unwrap_or_default()).collect();
    assert_eq!(ids, ["task:j1:Success", "task:j1:Success", "task:j2:Success"]);
    drop(b);
}

#[test]
fn too_many_and_too_long_are_errors_that_say_so() {
    let nats = nats();
    let jobs = format!("{JOBS}max_waiting = 1\nmax_wait = \"1s\"\n");
    let bridge = Bridge::start(&nats, &jobs);
    let streams = Streams::of(&nats);
    eventually("the service answers", || streams.wait_for("ci.await.no+key", PATIENCE));
    let replies = streams.while_waiting_for(&["ci.await.j1", "ci.await.j2"], || ());
    let mut codes: Vec<_> =
        replies.iter().map(|reply| reply.header("Nats-Service-Error-Code").unwrap_or_default()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["408", "503"]);
    let says = |what: &str| {
        replies.iter().any(|reply| reply.header("Nats-Service-Error").unwrap_or_default().contains(what))
    };
    assert!(says("(jobs.max_wait at most)") && says("jobs.max_waiting)"), "{replies:?}");
    drop(bridge);
}

#[test]
fn a_bridge_that_stops_tells_those_who_wait() {
    let nats = nats();
    let bridge = Bridge::start(&nats, JOBS);
    let streams = Streams::of(&nats);
    eventually("the service answers", || streams.wait_for("ci.await.no+key", PATIENCE));
    let replies = streams.while_waiting_for(&["ci.await.never"], || {
        bridge.terminate();
    });
    assert_eq!(replies[0].header("Nats-Service-Error-Code"), Some("503"), "{replies:?}");
}

#[test]
fn requests_go_on_waiting_through_a_restart_of_nats() {
    let mut nats = nats();
    let bridge = Bridge::start(&nats, JOBS);
    let streams = Streams::of(&nats);
    eventually("the service answers", || streams.wait_for("ci.await.no+key", PATIENCE));
    let replies = streams.while_waiting_for(&["ci.await.j1"], || {
        // Its answer says that the request before it has arrived.
        eventually("arrived", || streams.wait_for("ci.await.no+key", BRIEF));
        nats.kill().unwrap();
        nats.restart(None).unwrap();
        eventually("both are connected again", || streams.wait_for("ci.await.no+key", BRIEF));
        assert_eq!(bridge.post(task("j1")).status, 200);
    });
    assert_eq!(replies[0].header("ce-id"), Some("task:j1:Success"), "{replies:?}");
}

/// The bucket as every client makes one, and what is in it.
#[test]
fn the_bucket_keeps_the_state_that_ended_a_job() {
    let nats = nats();
    let bridge = Bridge::start(&nats, JOBS);
    let streams = Streams::of(&nats);
    let config = streams.config("KV_CI_JOBS").expect("the bucket is made like the streams");
    assert_eq!(config.subjects, ["$KV.CI_JOBS.>"]);
    assert_eq!(config.max_messages_per_subject, 1);
    assert!(config.allow_rollup && config.deny_delete && config.allow_direct);
    assert_eq!(bridge.post(task_with("j1", "Transcode", "Failed")).status, 200);
    // Late, and another: the first that ended the job stands, and the event is in its stream.
    let answer = bridge.post(task_with("j1", "Transcode", "Success"));
    assert_eq!((answer.status, &answer.json()["outcome"]), (200, &json!("published")), "{answer:?}");
    assert_eq!(bridge.post(task_with("a.b*", "Transcode", "Success")).status, 200);
    let held = streams.messages("KV_CI_JOBS");
    let states: Vec<_> = held.iter().map(|m| (m.subject.as_str(), m.header("ce-id").unwrap())).collect();
    let expected = [("$KV.CI_JOBS.j1", "task:j1:Failed"), ("$KV.CI_JOBS.a=2Eb=2A", "task:a.b*:Success")];
    assert_eq!(states, expected);
    assert_eq!(streams.messages("CI").len(), 3);
    bridge.wait_until_ready();
    let findings = bridge.get("/metrics").text();
    assert!(
        !findings.contains("stream_findings{stream=\"KV_CI_JOBS\""),
        "its settings are as they should be"
    );
}

#[test]
fn while_nats_is_away_the_key_waits_in_the_spool_with_the_message() {
    let mut nats = nats();
    nats.kill().unwrap();
    let bridge = Bridge::start_towards(&nats.url(), JOBS);
    for id in ["j1", "j2"] {
        assert_eq!(bridge.post(task(id)).json()["outcome"], "spooled");
    }
    let bridge = bridge.kill_and_restart();
    nats.restart(None).unwrap();
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    bridge.wait_until_ready();
    let streams = Streams::of(&nats);
    let mut keys = streams.subjects("KV_CI_JOBS");
    keys.sort();
    assert_eq!(keys, ["$KV.CI_JOBS.j1", "$KV.CI_JOBS.j2"]);
}

#[test]
fn the_key_of_a_large_message_leads_to_the_object_of_its_event() {
    let nats = nats();
    let bridge = Bridge::start(&nats, &format!("[ingress]\ndeadline = \"15s\"\n{JOBS}"));
    assert_eq!(bridge.post(speech("large", 2000)).status, 200);
    let streams = Streams::of(&nats);
    let (event, key) = (streams.messages("CI").remove(0), streams.messages("KV_CI_JOBS").remove(0));
    assert!(key.header("Ci-Object").is_some_and(|object| object.starts_with("CI_LARGE/task:large:Success:")));
    assert_eq!(key.header("Ci-Object"), event.header("Ci-Object"));
    assert_eq!(bridge.metric("ci_bridge_large_messages_total"), 1.0);
}

#[test]
fn a_bucket_of_somebody_elses_is_judged_like_a_stream() {
    let nats = nats();
    let streams = Streams::of(&nats);
    streams.create(Config {
        name: "KV_CI_JOBS".to_owned(),
        subjects: vec!["$KV.CI_JOBS.>".to_owned()],
        no_ack: true,
        ..Config::default()
    });
    let bridge = Bridge::start_towards(&nats.url(), JOBS);
    eventually("not ready", || {
        let answer = bridge.get("/readyz");
        (answer.status == 503 && answer.text().contains("KV_CI_JOBS")).then_some(())
    });
}

#[test]
fn a_request_may_say_how_long_it_waits() {
    let nats = nats();
    let bridge = Bridge::start(&nats, JOBS);
    assert_eq!(bridge.post(task("j1")).status, 200);
    let streams = Streams::of(&nats);
    eventually("the service answers", || streams.wait_for("ci.await.no+key", PATIENCE));
    let replies =
        streams.while_waiting_for(&["ci.await.j1 0s", "ci.await.j2 1ms", "ci.await.j3 soon"], || ());
    let codes: Vec<_> = replies.iter().map(|reply| reply.header("Nats-Service-Error-Code")).collect();
    assert_eq!(codes, [None, Some("408"), Some("400")], "{replies:?}");
    assert_eq!(replies[0].header("ce-id"), Some("task:j1:Success"));
    // None of them has kept its place.
    eventually("a free place", || (bridge.metric("ci_bridge_job_requests_waiting") == 0.0).then_some(()));
    for (outcome, count) in [("ended", 1.0), ("late", 1.0), ("invalid", 2.0), ("full", 0.0)] {
        let name = format!("ci_bridge_job_requests_total{{outcome=\"{outcome}\"}}");
        assert_eq!(bridge.metric(&name), count, "{name}");
    }
}

#[test]
fn a_job_that_has_ended_is_told_even_when_no_more_requests_may_wait() {
    let nats = nats();
    let bridge = Bridge::start(&nats, &format!("{JOBS}max_waiting = 1\n"));
    assert_eq!(bridge.post(task("j1")).status, 200);
    let streams = Streams::of(&nats);
    let waits = || (bridge.metric("ci_bridge_job_requests_waiting") == 1.0).then_some(());
    let replies = streams.while_waiting_for(&["ci.await.j2"], || {
        eventually("the only place is taken", waits);
        let told = streams.while_waiting_for(&["ci.await.j1", "ci.await.j3"], || ());
        assert_eq!(told[0].header("ce-id"), Some("task:j1:Success"), "{told:?}");
        assert_eq!(told[1].header("Nats-Service-Error-Code"), Some("503"), "{told:?}");
        assert_eq!(bridge.post(task("j2")).status, 200);
    });
    assert_eq!(replies[0].header("ce-id"), Some("task:j2:Success"));
}

/// Whoever asks names the subject of the reply, and the bridge may publish where others may not.
#[test]
fn no_answer_goes_to_a_key_or_to_the_stream_of_events() {
    let nats = nats();
    let bridge = Bridge::start(&nats, JOBS);
    assert_eq!(bridge.post(task("j1")).status, 200);
    let streams = Streams::of(&nats);
    eventually("the service answers", || streams.wait_for("ci.await.no+key", PATIENCE));
    for reply in ["$KV.CI_JOBS.j2", "ci.task.Forged.success", "ci-quarantine.forged"] {
        streams.ask_to_answer_at("ci.await.j1", reply);
    }
    let refused = "ci_bridge_job_requests_total{outcome=\"invalid\"}";
    // The first was the one with a key that is none.
    eventually("all are refused", || (bridge.metric(refused) >= 4.0).then_some(()));
    assert_eq!(streams.subjects("KV_CI_JOBS"), ["$KV.CI_JOBS.j1"]);
    assert_eq!(streams.messages("CI").len(), 1);
    assert_eq!(streams.messages("CI_QUARANTINE").len(), 0);
}

impl Streams {
    fn wait_for(&self, subject: &str, within: Duration) -> Option<crate::support::Stored> {
        self.replies_while(&[subject], within, || ()).into_iter().flatten().next()
    }

    fn while_waiting_for(&self, subjects: &[&str], meanwhile: impl FnOnce()) -> Vec<crate::support::Stored> {
        let replies = self.replies_while(subjects, PATIENCE, meanwhile);
        replies.into_iter().map(|reply| reply.expect("a reply in time")).collect()
    }
}
