//! From an answered callback to the stream, while all is well and while it is not.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;

use crate::support::{
    Bridge, LocalNats, PATIENCE, Stored, Streams, eventually, is_told_the_stream, nats, signal, task,
    task_with,
};

/// A port that nobody listens on.
const NOBODY: &str = "nats://127.0.0.1:1";

#[test]
fn messages_carry_cloudevents_and_the_trace() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let hostile = [
        ("traceparent", traceparent),
        ("Nats-Rollup", "all"),
        ("Nats-Msg-Id", "mine"),
        ("nats-msg-id", "mine too"),
        ("Nats-Expected-Stream", "OTHER"),
        ("Nats-Expected-Last-Sequence", "7"),
        ("Nats-Expected-Last-Msg-Id", "mine"),
        ("Nats-Expected-Last-Subject-Sequence", "7"),
        ("Nats-TTL", "1s"),
        ("ce-id", "mine"),
    ];
    let body = task("j1").replace("in/", "资料 \"1\"/");
    assert_eq!(bridge.post_to("/ci/callback", &hostile, body).status, 200);
    let [message] = &Streams::of(&nats).messages("CI")[..] else { panic!("one message") };
    let mut headers = message.headers.clone();
    headers.sort();
    let expected = [
        ("Content-Type", "application/json"),
        ("Nats-Expected-Stream", "CI"),
        ("Nats-Msg-Id", "task:j1:Success"),
        ("ce-datacontenttype", "application/json"),
        ("ce-id", "task:j1:Success"),
        ("ce-source", "/ci/media-1300000001"),
        ("ce-specversion", "1.0"),
        ("ce-subject", "%E8%B5%84%E6%96%99%20%221%22/j1.mp3"),
        ("ce-type", "com.tencent.ci.task.v1"),
        ("traceparent", traceparent),
    ];
    let is_sent = |name: &str| name != "Nats-Expected-Stream" || is_told_the_stream(&nats);
    let expected = expected.into_iter().filter(|(name, _)| is_sent(name));
    let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(headers, expected);
}

#[test]
fn several_threads_store_each_callback_once() {
    const SENDERS: usize = 8;
    const EACH: usize = 25;
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nthreads = 4\n");
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let bridge = &bridge;
            scope.spawn(move || {
                for number in 0..EACH {
                    assert_eq!(bridge.post(task(&format!("s{sender}n{number}"))).status, 200);
                }
            });
        }
    });
    let stored = Streams::of(&nats).messages("CI");
    let ids: std::collections::BTreeSet<_> = stored.iter().map(Stored::id).collect();
    assert_eq!((stored.len(), ids.len()), (SENDERS * EACH, SENDERS * EACH));
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn structured_events_hold_everything_in_the_body() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[messages]\nformat = \"cloudevents-structured\"\n");
    assert_eq!(bridge.post(task("j1")).status, 200);
    let [message] = &Streams::of(&nats).messages("CI")[..] else { panic!("one message") };
    assert_eq!(message.header("Content-Type"), Some("application/cloudevents+json"));
    assert_eq!(message.header("Nats-Msg-Id"), Some("task:j1:Success"));
    let event = message.json();
    assert_eq!(event["id"], "task:j1:Success");
    assert_eq!(event["source"], "/ci/media-1300000001");
    assert_eq!(event["type"], "com.tencent.ci.task.v1");
    assert_eq!(event["subject"], "in/j1.mp3");
    assert_eq!(event["data"]["JobId"], "j1");
}

#[test]
fn hostile_tags_neither_add_tokens_nor_end_the_connection() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let long = "长".repeat(1000);
    let tags = ["*", "&gt;", "a.b", "a b", "", &long, "音视频降噪", "a&#13;&#10;PUB x", "_INBOX", "$JS"];
    for (index, tag) in tags.iter().enumerate() {
        let answer = bridge.post(task_with(&format!("j{index}"), tag, "Success"));
        assert_eq!(answer.status, 200, "{tag}: {answer:?}");
    }
    let subjects = Streams::of(&nats).subjects("CI");
    assert_eq!(subjects.len(), tags.len());
    for subject in &subjects {
        assert_eq!(subject.split('.').count(), 4, "{subject}");
        assert!(subject.len() <= 512, "{subject}");
    }
    assert_eq!(subjects[0], "ci.task.%2A.success");
    assert_eq!(bridge.metric("ci_bridge_nats_connections_total"), 1.0, "the connection stood");
}

#[test]
fn line_breaks_of_a_sender_end_no_header() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let value = "x\r\nNats-Rollup: all\r\n\r\nPUB ci.x 0\r\n\n";
    let job = serde_json::json!({
        "JobId": value, "State": value, "Tag": value, "EndTime": value,
        "Input": { "BucketId": value, "Object": value },
    });
    let bodies = [
        serde_json::json!({ "EventName": "TaskFinish", "JobsDetail": job }).to_string(),
        serde_json::json!({ "EventName": format!("Review{value}"), "JobsDetail": job }).to_string(),
    ];
    for body in bodies {
        let answer = bridge.post(body.into_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // The reason for quarantine quotes the body.
    assert_eq!(bridge.post(format!("<Response></{value}>").into_bytes()).status, 400);
    let streams = Streams::of(&nats);
    let (events, kept) = (streams.messages("CI"), streams.messages("CI_QUARANTINE"));
    assert_eq!((events.len(), kept.len()), (2, 1));
    for message in events.iter().chain(&kept) {
        for (name, value) in &message.headers {
            let is_ours = ci_bridge_publisher::HeaderName::ALL.iter().any(|ours| ours.as_str() == name);
            assert!(is_ours || ["Nats-Msg-Id", "Nats-Expected-Stream"].contains(&name.as_str()), "{name}");
            assert!(!value.contains(['\r', '\n']), "{name}: {value:?}");
        }
    }
    assert_eq!(bridge.metric("ci_bridge_nats_connections_total"), 1.0, "the connection stood");
}

#[test]
fn rules_redirect_copy_and_drop() {
    let nats = nats();
    let configuration = "
        [[rules]]
        match = { tag = \"MediaInfo\" }
        drop = true
        [[rules]]
        match = { kind = \"task\", tag = [\"Transcode\", \"Concat\"], state = \"Failed\", bucket = \"media-*\" }
        subject = \"ci.alerts.{tag}\"
        [[rules]]
        match = { state = \"Failed\" }
        subject = \"ci.failed.{tag}\"
        copy = true";
    let bridge = Bridge::start(&nats, configuration);
    let rows = [
        ("j1", "MediaInfo", "Failed"),
        ("j2", "Transcode", "Failed"),
        ("j3", "Snapshot", "Failed"),
        ("j4", "Snapshot", "Success"),
    ];
    for (job, tag, state) in rows {
        assert_eq!(bridge.post(task_with(job, tag, state)).status, 200);
    }
    let stored = Streams::of(&nats).messages("CI");
    let stored: Vec<_> = stored.iter().map(|message| (message.subject.as_str(), message.id())).collect();
    let expected = [
        ("ci.alerts.Transcode", "task:j2:Failed"),
        ("ci.task.Snapshot.failed", "task:j3:Failed"),
        ("ci.failed.Snapshot", "task:j3:Failed@ci.failed.Snapshot"),
        ("ci.task.Snapshot.success", "task:j4:Success"),
    ];
    assert_eq!(stored, expected);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn endpoints_have_subjects_of_their_own() {
    let nats = nats();
    let configuration = "
        [[ingress.endpoints]]
        name = \"a\"
        path = \"/a\"
        [[ingress.endpoints]]
        name = \"outer\"
        path = \"/a/b\"
        tokens = [\"s3cret\"]
        [[ingress.endpoints]]
        name = \"b\"
        path = \"/b\"
        subjects = { task = \"ci.{endpoint}.{tag}\" }";
    let bridge = Bridge::start(&nats, configuration);
    assert_eq!(bridge.post_to("/a", &[], task("j1")).status, 200);
    assert_eq!(bridge.post_to("/b", &[], task("j2")).status, 200);
    assert_eq!(bridge.post_to("/ci/callback", &[], task("j3")).status, 404);
    assert_eq!(Streams::of(&nats).subjects("CI"), ["ci.task.NoiseReduction.success", "ci.b.NoiseReduction"]);
}

#[test]
fn quarantine_keeps_the_bytes_and_the_reason_apart_from_events() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let broken = b"\xEF\xBB\xBF<Response>\n  <JobsDetail></Response>";
    assert_eq!(bridge.post(broken).status, 400);
    assert_eq!(bridge.post("a=1&b=2").status, 422);
    assert_eq!(bridge.post(broken).status, 400);
    let streams = Streams::of(&nats);
    let kept = streams.messages("CI_QUARANTINE");
    assert_eq!(kept.len(), 2, "the same body is kept once");
    assert_eq!((kept[0].subject.as_str(), &kept[0].payload[..]), ("ci-quarantine.syntax", &broken[..]));
    assert_eq!(kept[0].header("Ci-Reason"), Some("syntax"));
    assert_eq!(kept[0].header("Content-Type"), Some("application/xml"));
    assert!(
        kept[0].header("Ci-Detail").is_some_and(|detail| detail.starts_with("line 2, column 15")),
        "{kept:?}"
    );
    assert_eq!(kept[1].subject, "ci-quarantine.shape");
    assert_eq!(kept[1].header("Content-Type"), Some("application/x-www-form-urlencoded"));
    assert!(streams.messages("CI").is_empty());
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"quarantined\"}"), 3.0);
}

#[test]
fn a_stream_that_exists_is_used_as_it_is() {
    let nats = nats();
    let streams = Streams::of(&nats);
    let own =
        Config { name: "CI".into(), subjects: vec!["ci.>".into()], max_messages: 1000, ..Config::default() };
    streams.create(own);
    let before = streams.config("CI").unwrap();
    let bridge = Bridge::start(&nats, "");
    assert_eq!(bridge.post(task("j1")).status, 200);
    assert_eq!(streams.config("CI").unwrap(), before);
    let quarantine = streams.config("CI_QUARANTINE").expect("the missing one is made");
    assert_eq!(quarantine.max_bytes, 256 * 1024 * 1024);
}

#[test]
fn with_provision_require_a_missing_stream_is_said_and_waited_for() {
    let nats = nats();
    let bridge = Bridge::start_towards(&nats.url(), "[jetstream]\nprovision = \"require\"\n");
    let reason = eventually("the reason", || {
        let text = bridge.get("/readyz").text();
        text.contains("stream CI does not exist").then_some(text)
    });
    assert!(reason.contains("\"ready\":false"), "{reason}");
    let streams = Streams::of(&nats);
    for (name, subject) in [("CI", "ci.>"), ("CI_QUARANTINE", "ci-quarantine.>")] {
        streams.create(Config { name: name.into(), subjects: vec![subject.into()], ..Config::default() });
    }
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).status, 200);
}

#[test]
fn a_stream_that_does_not_take_a_subject_is_not_ready() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let streams = Streams::of(&nats);
    let config = streams.config("CI").unwrap();
    streams.update(Config { subjects: vec!["ci.task.>".into()], ..config.clone() });
    eventually("not ready", || {
        let answer = bridge.get("/readyz");
        (answer.status == 503 && answer.text().contains("does not take ci.moderation.*.*")).then_some(())
    });
    streams.update(config);
    bridge.wait_until_ready();
}

#[test]
fn starts_with_nats_down_and_says_so() {
    let bridge = Bridge::start_towards(NOBODY, "");
    assert_eq!(bridge.get("/livez").status, 200);
    let readiness = bridge.get("/readyz");
    assert_eq!(readiness.status, 503);
    assert!(readiness.text().contains("not connected to NATS at 127.0.0.1:1"), "{readiness:?}");
}

#[test]
fn core_delivery_is_answered_after_a_round_trip_and_stores_nothing() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "delivery = \"core\"\n");
    let answer = bridge.post(task("j1"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["messages"][0].get("stream").is_none(), "{answer:?}");
    assert!(Streams::of(&nats).config("CI").is_none());
    let (_, log) = bridge.terminate();
    assert!(log.contains("at most once"), "{log}");
}

#[test]
fn credentials_are_taken_from_the_url() {
    let nats = LocalNats::start("authorization { user: bridge, password: \"p@ss\" }").unwrap();
    let url = |password: &str| nats.url().replace("nats://", &format!("nats://bridge:{password}@"));
    let bridge = Bridge::start_towards(&url("p%40ss"), "");
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).status, 200);
    let refused = Bridge::start_towards(&url("wrong"), "");
    eventually("the reason is in /readyz", || {
        refused.get("/readyz").text().to_lowercase().contains("authorization").then_some(())
    });
    let (_, log) = refused.terminate();
    assert!(!log.contains("wrong"), "{log}");
}

/// What a busy machine may take longer than the deadline. Without one, nothing would answer before nats-server goes on.
const SLACK: Duration = Duration::from_secs(10);

#[test]
fn a_frozen_broker_is_answered_for_within_the_deadline() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\ndeadline = \"1500ms\"\n");
    signal("STOP", nats.id());
    let started = Instant::now();
    let answer = bridge.post(task("j1"));
    let took = started.elapsed();
    signal("CONT", nats.id());
    assert!([200, 503].contains(&answer.status), "{answer:?}");
    assert!(took < Duration::from_millis(1500) + SLACK, "{took:?}");
    bridge.wait_until_ready();
    let deadline = Instant::now() + PATIENCE;
    while bridge.post(task("j1")).status != 200 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(Streams::of(&nats).messages("CI").len(), 1, "one job, one message");
    bridge.assert_every_callback_is_accounted_for();
}
