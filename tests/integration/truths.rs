//! What the bridge and its commands say is so: nothing is called published, full or refused that is not.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use async_nats::jetstream::stream::Config;
use serde_json::json;

use crate::support::{
    Bridge, LocalNats, Streams, ci_bridge, eventually, is_told_the_stream, nats, run, signal, task, task_with,
};

const DROPS: &str = "
    [[rules]]
    match = { tag = \"Transcode\" }
    subject = \"ci.transcoded\"
    [[rules]]
    match = { tag = \"MediaInfo\" }
    drop = true
    [[rules]]
    match = { state = \"Failed\" }
    drop = true
";

/// A callback with a job for each pair of tag and state.
fn batch(jobs: &[(&str, &str)]) -> String {
    let job = |(at, (tag, state)): (usize, &(&str, &str))| json!({ "JobId": format!("b{at}"), "Tag": tag, "State": state });
    json!({ "EventName": "TaskFinish", "JobsDetail": jobs.iter().enumerate().map(job).collect::<Vec<_>>() })
        .to_string()
}

#[test]
fn what_rules_drop_is_called_dropped_and_counted_so() {
    let nats = nats();
    let bridge = Bridge::start(&nats, &format!("[log]\nlevel = \"debug\"\n{DROPS}"));
    let dropped = |rules: &[usize]| json!({ "outcome": "dropped", "messages": [], "rules": rules });
    for (body, rules) in [
        (task_with("j1", "MediaInfo", "Failed"), &[1][..]),
        (task_with("j2", "Snapshot", "Failed"), &[2]),
        (batch(&[("Snapshot", "Failed"), ("MediaInfo", "Success")]), &[1, 2]),
    ] {
        let answer = bridge.post(&body);
        assert_eq!((answer.status, answer.json()), (200, dropped(rules)), "{body}");
    }
    let mixed = bridge.post(batch(&[("MediaInfo", "Success"), ("Transcode", "Failed")])).json();
    assert_eq!(mixed["outcome"], "published");
    assert_eq!(
        (&mixed["messages"][0]["id"], &mixed["messages"][1]),
        (&json!("task:b1:Failed"), &json!(null))
    );
    assert_eq!(Streams::of(&nats).subjects("CI"), ["ci.transcoded"]);
    for (metric, value) in [
        ("ci_bridge_callbacks_total{outcome=\"dropped\"}", 3.0),
        ("ci_bridge_callbacks_total{outcome=\"published\"}", 1.0),
        ("ci_bridge_messages_total{kind=\"task\",outcome=\"dropped\"}", 5.0),
    ] {
        assert_eq!(bridge.metric(metric), value, "{metric}");
    }
    bridge.assert_every_callback_is_accounted_for();
    let (_, log) = bridge.terminate();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("dropped by a rule")).collect();
    assert_eq!(lines.len(), 5, "{log}");
    assert!(lines[1].contains("rule=2") && lines[1].contains("id=task:j2:Failed"), "{log}");
}

#[test]
fn render_says_beside_the_messages_which_rule_drops_what() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let configuration = file("ci-bridge.toml", DROPS);
    let body = file(
        "batch.json",
        &batch(&[("MediaInfo", "Success"), ("Snapshot", "Success"), ("Snapshot", "Failed")]),
    );
    let output = run(&["render", "-c", &configuration, &body], b"");
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.lines().count() == 1 && stdout.contains("\"task:b1:Success\""), "{stdout}");
    let expected = format!(
        "ci-bridge: {body}: rules.1 drops task:b0:Success\nci-bridge: {body}: rules.2 drops task:b2:Failed\n"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

#[test]
fn a_callback_larger_than_the_spool_does_not_make_it_count_as_full() {
    let mut nats = nats();
    nats.kill().unwrap();
    let limits = "[ingress]\nmax_body = \"4KiB\"\n[spool]\nmax_bytes = \"4KiB\"\n";
    let bridge = Bridge::start_towards(&nats.url(), limits);
    // As large as a body may be; as a message, with its headers, it is larger.
    let room = 4096 - task("large").len() - "<Note></Note>".len();
    let note = format!("<Note>{}</Note></JobsDetail>", "x".repeat(room));
    let answer = bridge.post(task("large").replace("</JobsDetail>", &note));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("larger than the whole spool: raise spool.max_bytes"), "{answer:?}");
    // Before the next message comes: that would take a look of its own.
    nats.restart(None).unwrap();
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
}

/// Two tenants; `more` is added to the second.
fn two_endpoints(more: &str) -> String {
    format!(
        "
        [[ingress.endpoints]]
        name = \"a\"
        path = \"/a\"
        [[ingress.endpoints]]
        name = \"b:1\"
        path = \"/b\"
        {more}
        "
    )
}

fn ids(streams: &Streams, stream: &str) -> Vec<String> {
    streams.messages(stream).iter().map(|message| message.id().to_owned()).collect()
}

#[test]
fn a_job_that_comes_to_two_tenants_is_stored_for_both() {
    for own_routes in [
        "subjects = { task = \"ci.b.{tag}\" }",
        "[subjects]\ntask = \"ci.{endpoint}.{tag}\"",
        "[[rules]]\nmatch = { endpoint = \"b*\" }\nsubject = \"ci.b.{tag}\"",
    ] {
        let nats = nats();
        let bridge = Bridge::start(&nats, &two_endpoints(own_routes));
        for path in ["/a", "/b"] {
            let answer = bridge.post_to(path, &[], task("j1")).json();
            assert_eq!(answer["messages"][0]["duplicate"], false, "{own_routes}: {path}: {answer}");
            assert_eq!(bridge.post_to(path, &[], "<broken").status, 400);
        }
        let streams = Streams::of(&nats);
        assert_eq!(ids(&streams, "CI"), ["task:j1:Success", "task:j1:Success:b%3A1"], "{own_routes}");
        let stored = streams.messages("CI");
        assert_ne!(stored[0].subject, stored[1].subject, "{own_routes}");
        // A header's value is percent-encoded once more.
        assert_eq!(stored[1].header("ce-id"), Some("task:j1:Success:b%253A1"));
        let kept = ids(&streams, "CI_QUARANTINE");
        assert_eq!(kept.len(), 2, "{kept:?}");
        assert_eq!(kept[1], format!("{}:b%3A1", kept[0]));
    }
}

#[test]
fn copies_are_told_apart_by_endpoint_and_subject() {
    let nats = nats();
    let copied =
        "subjects = { task = \"ci.b.{tag}\" }\n[[rules]]\nmatch = {}\nsubject = \"ci.copies\"\ncopy = true";
    let bridge = Bridge::start(&nats, &two_endpoints(copied));
    for path in ["/a", "/b"] {
        assert_eq!(bridge.post_to(path, &[], task("j1")).json()["outcome"], "published");
    }
    let expected = [
        "task:j1:Success",
        "task:j1:Success@ci.copies",
        "task:j1:Success:b%3A1",
        "task:j1:Success:b%3A1@ci.copies",
    ];
    assert_eq!(ids(&Streams::of(&nats), "CI"), expected);
}

#[test]
fn a_job_that_comes_to_two_endpoints_with_the_same_routes_is_stored_once() {
    let nats = nats();
    let bridge = Bridge::start(&nats, &two_endpoints(""));
    let answers = ["/a", "/b"].map(|path| bridge.post_to(path, &[], task("j1")).json());
    assert_eq!(answers[0]["messages"][0]["duplicate"], false);
    assert_eq!(answers[1]["messages"][0]["duplicate"], true, "{}", answers[1]);
    assert_eq!(Streams::of(&nats).messages("CI").len(), 1);
}

#[test]
fn a_reload_changes_no_id_while_the_first_endpoint_stays_the_first() {
    let nats = nats();
    let own = two_endpoints("subjects = { task = \"ci.b.{tag}\" }");
    let bridge = Bridge::start(&nats, &own);
    let post = |path: &str| bridge.post_to(path, &[], task("j1")).json()["messages"][0].clone();
    let before = ["/a", "/b"].map(post);
    let third = "[[ingress.endpoints]]\nname = \"c\"\npath = \"/c\"\nsubjects = { task = \"ci.c.{tag}\" }";
    std::fs::write(bridge.folder().join("ci-bridge.toml"), format!("{own}{third}")).unwrap();
    signal("HUP", bridge.id());
    eventually("the third is there", || (bridge.post_to("/c", &[], task("j1")).status == 200).then_some(()));
    for (path, before) in ["/a", "/b"].into_iter().zip(before) {
        let after = post(path);
        assert_eq!((&after["id"], &after["duplicate"]), (&before["id"], &json!(true)), "{path}");
    }
}

/// Exit code, standard output and standard error of `ci-bridge quarantine …`.
fn quarantine(nats: &LocalNats, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = ci_bridge().arg("quarantine").args(arguments).env("NATS_URL", nats.url()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn quarantine_is_empty_before_anything_came() {
    let nats = nats();
    let is_empty = || {
        for command in [&["list"][..], &["replay"]] {
            assert_eq!(quarantine(&nats, command), (Some(0), String::new(), String::new()), "{command:?}");
        }
        for command in [&["show", "1"][..], &["replay", "1"]] {
            let (code, _, said) = quarantine(&nats, command);
            assert_eq!((code, &*said), (Some(1), "ci-bridge: quarantine has no number 1\n"), "{command:?}");
        }
    };
    is_empty();
    let bridge = Bridge::start(&nats, "");
    is_empty();
    assert_eq!(bridge.post("<broken").status, 400);
    assert_eq!(quarantine(&nats, &["list"]).1.lines().count(), 2, "a head and a row");
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
    let (_, list, _) = quarantine(&nats, &["list"]);
    let row = list.lines().nth(1).unwrap();
    assert!(
        row.starts_with("1  ")
            && row.contains(" quarantine:task:large:Success ")
            && row.contains(" refused "),
        "{list}"
    );
    // As long as the stream does not take it, it stays; no bridge is asked.
    drop(bridge);
    let (code, report, _) = quarantine(&nats, &["replay"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(report.starts_with("1 quarantine:task:large:Success: not taken by CI: "), "{report}");
    assert_eq!((in_quarantine().len(), streams.messages("CI").len()), (1, 0));
    streams.update(stream(-1));
    for (replay, place, left) in
        [(&["replay", "--keep"][..], "CI #1", 1), (&["replay", "1"], "CI #1, where it was already", 0)]
    {
        let (code, report, _) = quarantine(&nats, replay);
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
fn tail_ends_when_it_may_not_see_the_subject() {
    let denied = "permissions: { subscribe: { deny: \"ci.>\" } }";
    let nats =
        LocalNats::start(&format!("authorization {{ users: [{{ user: w, password: p, {denied} }}] }}"))
            .unwrap();
    let tail = |user: &str, subject: &str| {
        let url = nats.url().replace("nats://", &format!("nats://{user}@"));
        let output = ci_bridge().args(["tail", subject]).env("NATS_URL", url).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{user} {subject}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let denied = "ci-bridge: NATS says: Permissions Violation for Subscription to \"ci.>\": allow the user of [nats] to \
                  subscribe to it, or name a subject that it may see\n";
    let said = tail("w:p", "ci.>");
    assert!(said.ends_with(denied), "{said}");
    let refused = tail("w:wrong", "other.>");
    assert!(
        refused.starts_with("ci-bridge: NATS refuses the connection: authorization violation"),
        "{refused}"
    );
    assert!(!refused.contains("wrong") && refused.lines().count() == 1, "{refused}");
}

#[test]
fn tail_waits_for_a_server_that_is_not_there_and_says_so_once() {
    let mut nats = nats();
    nats.kill().unwrap();
    let mut tail = ci_bridge();
    tail.args(["tail", "--json"]).env("NATS_URL", nats.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let mut said = BufReader::new(tail.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    let host = nats.url().replace("nats://", "");
    assert!(first.starts_with(&format!("ci-bridge: waiting for NATS at {host}: ")), "{first}");
    nats.restart(None).unwrap();
    let bridge = Bridge::start(&nats, "");
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let stdout = BufReader::new(tail.stdout.take().unwrap());
    let reader = std::thread::spawn(move || stdout.lines().for_each(|line| drop(arrived.send(line))));
    let mut number = 0;
    // Its subscription may come after the first message.
    let line = eventually("a message", || {
        number += 1;
        bridge.post(task(&format!("j{number}")));
        arrivals.recv_timeout(crate::support::POLL_INTERVAL).ok()
    });
    assert!(line.unwrap().contains("ci.task.NoiseReduction.success"));
    signal("TERM", tail.id());
    assert_eq!(tail.wait().unwrap().code(), Some(0));
    let mut more = String::new();
    said.read_to_string(&mut more).unwrap();
    assert!(!more.contains("waiting for NATS"), "once is enough: {more}");
    reader.join().unwrap();
}

#[test]
fn two_bridges_can_be_told_apart_from_nats() {
    let nats = nats();
    let named = "[nats]\nname = \"tenant-b\"\n[jetstream]\nstream = \"B\"\nsubjects = [\"b.>\"]\n[jetstream.quarantine]\n\
                 stream = \"B_QUARANTINE\"\nsubjects = [\"b-quarantine.>\"]\n[subjects]\ntask = \"b.task\"\n\
                 workflow = \"b.workflow\"\nmoderation = \"b.moderation\"\nquarantine = \"b-quarantine.x\"\n";
    let bridges = [Bridge::start(&nats, ""), Bridge::start(&nats, named)];
    let streams = Streams::of(&nats);
    // A bridge may be ready a moment before its service is.
    let mut infos = eventually("both answer", || streams.request_all("$SRV.INFO.ci-bridge", 2));
    infos.sort_by_key(|info| info["metadata"]["stream"] != "CI");
    for ((info, bridge), (connection, stream)) in
        infos.iter().zip(&bridges).zip([("ci-bridge", "CI"), ("tenant-b", "B")])
    {
        let metadata = &info["metadata"];
        assert_eq!(
            (&metadata["connection"], &metadata["stream"]),
            (&json!(connection), &json!(stream)),
            "{info}"
        );
        assert_eq!(metadata["listen"], bridge.address.to_string());
        let instance = metadata["instance"].as_str().unwrap();
        let (host, id) = instance.rsplit_once(':').unwrap();
        assert!(!host.is_empty() && id == bridge.id().to_string(), "{instance}");
    }
}

/// The permissions that docs/operations.md names, and no more; who shows no credentials may do everything.
const PERMISSIONS: &str = r#"
authorization { users: [
    { user: admin, password: p }
    { user: bridge, password: p, permissions: {
        publish: ["ci.>", "ci-quarantine.>", "$JS.API.STREAM.INFO.CI", "$JS.API.STREAM.INFO.CI_QUARANTINE",
            "$JS.API.STREAM.CREATE.CI", "$JS.API.STREAM.CREATE.CI_QUARANTINE", "$O.CI_LARGE.>",
            "$JS.API.STREAM.INFO.OBJ_CI_LARGE", "$JS.API.STREAM.CREATE.OBJ_CI_LARGE",
            "$JS.API.STREAM.MSG.GET.OBJ_CI_LARGE", "$JS.API.STREAM.PURGE.OBJ_CI_LARGE"]
        subscribe: ["_INBOX.>", "$SRV.>"]
        allow_responses: true } }
    { user: reader, password: p, permissions: {
        publish: ["$JS.API.STREAM.INFO.CI_QUARANTINE", "$JS.API.STREAM.MSG.GET.CI_QUARANTINE"]
        subscribe: ["_INBOX.>"] } }
    { user: operator, password: p, permissions: {
        publish: ["$JS.API.STREAM.INFO.CI_QUARANTINE", "$JS.API.STREAM.MSG.GET.CI_QUARANTINE",
            "$JS.API.STREAM.MSG.DELETE.CI_QUARANTINE", "ci.>"]
        subscribe: ["_INBOX.>"] } }
] }
no_auth_user: admin
"#;

#[test]
fn the_documented_permissions_are_enough() {
    let nats = LocalNats::start(PERMISSIONS).unwrap();
    let url = |user: &str| nats.url().replace("nats://", &format!("nats://{user}:p@"));
    let streams = Streams::of(&nats);
    let bridge = Bridge::start_towards(&url("bridge"), "");
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
    assert_eq!(bridge.post("<broken").status, 400);
    let found = eventually("found by nats micro ls", || streams.request_all("$SRV.PING.ci-bridge", 1));
    assert_eq!(found[0]["name"], "ci-bridge");
    let (_, log) = bridge.terminate();
    assert!(!log.contains("NATS forbids"), "{log}");
    streams.publish_with(
        "ci-quarantine.refused",
        &[
            ("Ci-Reason", "refused"),
            ("Ci-Subject", "ci.task.x"),
            ("Ci-Stream", "CI"),
            ("Nats-Msg-Id", "quarantine:task:j2:Success"),
        ],
        "{}",
    );
    let as_user = |user: &str, arguments: &[&str]| {
        let mut command = ci_bridge();
        let output = command.arg("quarantine").args(arguments).env("NATS_URL", url(user)).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, list) = as_user("reader", &["list"]);
    assert_eq!((code, list.lines().count()), (Some(0), 3), "{list}");
    assert_eq!(as_user("reader", &["export"]).0, Some(0));
    assert_eq!(as_user("reader", &["show", "1"]), (Some(0), "<broken".to_owned()));
    let (code, report) = as_user("operator", &["replay", "2"]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(streams.subjects("CI"), ["ci.task.NoiseReduction.success", "ci.task.x"]);
    assert_eq!(streams.messages("CI_QUARANTINE").len(), 1);
    assert_eq!(as_user("operator", &["delete", "1"]).0, Some(0));
    assert_eq!(streams.messages("CI_QUARANTINE").len(), 0);
}
