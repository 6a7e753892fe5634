//! What JetStream refused after it was answered 200, and how it is published again.

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use serde_json::{Value, json};

use super::quarantine;
use crate::support::{
    Bridge, LocalNats, Streams, ci_bridge, eventually, is_told_the_stream, nats, nats_with_a_small_stream,
    task, task_with,
};

/// Exit code, standard output and standard error of `ci-bridge quarantine …` without a configuration.
fn without_a_file(nats: &LocalNats, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = ci_bridge().arg("quarantine").args(arguments).env("NATS_URL", nats.url()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn quarantine_is_empty_before_anything_came() {
    let nats = nats();
    let is_empty = || {
        let nothing = "ci-bridge: nothing is in quarantine\n";
        for (command, said) in [(&["list"][..], nothing), (&["list", "--json"], ""), (&["replay"], nothing)] {
            let expected = (Some(0), String::new(), said.to_owned());
            assert_eq!(without_a_file(&nats, command), expected, "{command:?}");
        }
        for command in [&["show", "1"][..], &["replay", "1"]] {
            let (code, _, said) = without_a_file(&nats, command);
            assert_eq!((code, &*said), (Some(1), "ci-bridge: quarantine has no number 1\n"), "{command:?}");
        }
    };
    is_empty();
    let bridge = Bridge::start(&nats, "");
    is_empty();
    assert_eq!(bridge.post("<broken").status, 400);
    assert_eq!(without_a_file(&nats, &["list"]).1.lines().count(), 2, "a head and a row");
}

#[test]
fn what_jetstream_refused_is_published_again_as_it_was() {
    let mut nats = nats();
    let streams = Streams::of(&nats);
    let stream = |max_message_size| Config {
        name: "CI".into(),
        subjects: vec!["ci.>".into()],
        max_message_size,
        ..Config::default()
    };
    streams.create(stream(1000));
    drop(streams);
    nats.kill().unwrap();
    let bridge = Bridge::start_towards(&nats.url(), "[messages]\noversize = \"refuse\"\n");
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let note = format!("<Note>{}</Note></JobsDetail>", "x".repeat(2000));
    let large = task("large").replace("</JobsDetail>", &note).replace("in/", "资料 \"1\"/");
    let answer = bridge.post_to("/ci/callback", &[("traceparent", traceparent)], large).json();
    assert_eq!(answer["outcome"], "spooled", "{answer}");
    nats.restart(None).unwrap();
    bridge.wait_until_ready();
    let streams = Streams::of(&nats);
    let in_quarantine = || streams.messages("CI_QUARANTINE");
    eventually("it is refused", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    // Nothing of the message is lost, and what was added is apart from it.
    let [kept] = &in_quarantine()[..] else { panic!("one entry") };
    let own = [
        ("Content-Type", "application/json"),
        ("ce-datacontenttype", "application/json"),
        ("ce-id", "task:large:Success"),
        ("ce-source", "/ci/media-1300000001"),
        ("ce-specversion", "1.0"),
        ("ce-subject", "%E8%B5%84%E6%96%99%20%221%22/large.mp3"),
        ("ce-type", "com.tencent.ci.task.v1"),
        ("traceparent", traceparent),
    ];
    let added = [
        ("Ci-Reason", "refused"),
        ("Ci-Subject", "ci.task.NoiseReduction.success"),
        ("Ci-Stream", "CI"),
        ("Nats-Msg-Id", "quarantine:task:large:Success"),
    ];
    let told = is_told_the_stream(&nats);
    assert_eq!(kept.header("Nats-Expected-Stream"), told.then_some("CI_QUARANTINE"));
    for (name, value) in own.iter().chain(&added) {
        assert_eq!(kept.header(name), Some(*value), "{name}");
    }
    assert!(kept.header("Ci-Detail").unwrap().contains("too large"), "{:?}", kept.headers);
    assert_eq!(kept.headers.len(), own.len() + added.len() + 1 + usize::from(told), "{kept:?}");
    let (_, list, _) = without_a_file(&nats, &["list"]);
    let row = list.lines().nth(1).unwrap();
    assert!(
        row.starts_with("1  ")
            && row.contains(" quarantine:task:large:Success ")
            && row.contains(" refused "),
        "{list}"
    );
    // As long as the stream does not take it, it stays; no bridge is asked.
    drop(bridge);
    let (code, report, _) = without_a_file(&nats, &["replay"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(report.starts_with("1 quarantine:task:large:Success: not taken by CI: "), "{report}");
    assert_eq!((in_quarantine().len(), streams.messages("CI").len()), (1, 0));
    streams.update(stream(-1));
    for (replay, place, left) in
        [(&["replay", "--keep"][..], "CI #1", 1), (&["replay", "1"], "CI #1, where it was already", 0)]
    {
        let (code, report, _) = without_a_file(&nats, replay);
        let expected = format!(
            "1 quarantine:task:large:Success: task:large:Success on ci.task.NoiseReduction.success, {place}\n"
        );
        assert_eq!((code, report), (Some(0), expected));
        assert_eq!(in_quarantine().len(), left);
    }
    let [again] = &streams.messages("CI")[..] else { panic!("stored once") };
    assert_eq!(
        (again.subject.as_str(), again.id()),
        ("ci.task.NoiseReduction.success", "task:large:Success")
    );
    assert_eq!(again.header("Nats-Expected-Stream"), told.then_some("CI"), "as any message is published");
    assert_eq!(again.payload, kept.payload);
    for (name, value) in own {
        assert_eq!(again.header(name), Some(value), "{name}");
    }
    let expected = own.len() + 1 + usize::from(told);
    assert_eq!(again.headers.len(), expected, "its id, and nothing else: {again:?}");
}

#[test]
fn refused_messages_are_counted() {
    let mut nats = nats_with_a_small_stream();
    let bridge = Bridge::start_towards(&nats.url(), "[messages]\noversize = \"refuse\"\n");
    let note = format!("<Note>{}</Note></JobsDetail>", "x".repeat(2000));
    assert_eq!(bridge.post(task("large").replace("</JobsDetail>", &note)).json()["outcome"], "spooled");
    nats.restart(None).unwrap();
    eventually("counted", || (bridge.metric("ci_bridge_quarantine_refused_total") == 1.0).then_some(()));
    let entry: Value =
        serde_json::from_str(quarantine(&nats, &bridge, &["list", "--json"]).1.trim()).unwrap();
    assert_eq!((&entry["reason"], &entry["stream"]), (&json!("refused"), &json!("CI")));
    assert_eq!(entry["subject"], "ci.task.NoiseReduction.success");
}

/// A job's last message is one of two that a callback becomes: its bucket may refuse it alone.
#[test]
fn a_refused_key_is_published_again_unless_it_has_a_value() {
    let mut nats = nats();
    let bucket = |max_message_size| Config {
        name: "KV_CI_JOBS".into(),
        subjects: vec!["$KV.CI_JOBS.>".into()],
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        max_message_size,
        ..Config::default()
    };
    Streams::of(&nats).create(bucket(1500));
    nats.kill().unwrap();
    let config = "[jobs]\nbucket = \"CI_JOBS\"\n[messages]\noversize = \"refuse\"\n";
    let bridge = Bridge::start_towards(&nats.url(), config);
    let note = format!("<Note>{}</Note></JobsDetail>", "x".repeat(2000));
    for id in ["j1", "j2"] {
        let large = task_with(id, "Transcode", "Failed").replace("</JobsDetail>", &note);
        assert_eq!(bridge.post(large).json()["outcome"], "spooled");
    }
    nats.restart(None).unwrap();
    eventually("refused", || (bridge.metric("ci_bridge_quarantine_refused_total") == 2.0).then_some(()));
    bridge.wait_until_ready();
    let streams = Streams::of(&nats);
    assert_eq!(streams.messages("CI").len(), 2, "the events have their stream");
    let refused = streams.messages("CI_QUARANTINE");
    let subjects: Vec<_> = refused.iter().filter_map(|entry| entry.header("Ci-Subject")).collect();
    assert_eq!(subjects, ["$KV.CI_JOBS.j1", "$KV.CI_JOBS.j2"]);
    // One of the two has ended otherwise meanwhile.
    assert_eq!(bridge.post(task_with("j2", "Transcode", "Success")).status, 200);
    streams.update(bucket(-1));
    let (code, report, said) = quarantine(&nats, &bridge, &["replay"]);
    assert_eq!(code, Some(0), "{report}{said}");
    let lines: Vec<_> = report.lines().collect();
    assert!(lines[0].ends_with(" on $KV.CI_JOBS.j1, KV_CI_JOBS #2"), "{report}");
    assert!(lines[1].ends_with(" on $KV.CI_JOBS.j2, KV_CI_JOBS #1, where it was already"), "{report}");
    let held = streams.messages("KV_CI_JOBS");
    let states: Vec<_> = held.iter().filter_map(|value| value.header("ce-id")).collect();
    assert_eq!(states, ["task:j2:Success", "task:j1:Failed"], "what ended the job stands");
    assert_eq!(streams.messages("CI_QUARANTINE").len(), 0);
}
