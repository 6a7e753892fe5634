//! Rules and endpoints: what goes where, what is dropped, and what is told apart.

use serde_json::json;

use crate::support::{Bridge, Streams, eventually, nats, run, signal, task, task_with};

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
