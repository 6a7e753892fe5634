//! What quarantine keeps, as an operator lists, replays, exports and deletes it.

mod refused;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Authority, Bridge, LocalNats, Streams, ci_bridge, eventually, nats, task};

/// `ci-bridge quarantine …` with the configuration of a bridge: exit code, standard output and error.
fn quarantine_at(
    nats_url: &str,
    listen: SocketAddr,
    bridge: &Bridge,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let mut command = ci_bridge();
    command.arg("quarantine").args(arguments).current_dir(bridge.folder());
    if !arguments.contains(&"-c") {
        command.args(["-c", "ci-bridge.toml"]);
    }
    command.env("NATS_URL", nats_url).env("CI_BRIDGE__INGRESS__LISTEN", listen.to_string());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn quarantine(nats: &LocalNats, bridge: &Bridge, arguments: &[&str]) -> (Option<i32>, String, String) {
    quarantine_at(&nats.url(), bridge.address, bridge, arguments)
}

/// A callback with two jobs.
fn two_jobs(name: &str) -> String {
    let job = |number| json!({ "JobId": format!("{name}{number}"), "Tag": "Transcode", "State": "Success" });
    json!({ "EventName": "TaskFinish", "JobsDetail": [job(1), job(2)] }).to_string()
}

/// Two tenants, each with its secret and its subjects; `max_jobs` decides whether `two_jobs` can be read.
fn tenants(max_jobs: usize) -> String {
    format!(
        "
        [ingress]
        max_jobs = {max_jobs}
        [[ingress.endpoints]]
        name = \"a\"
        path = \"/a\"
        tokens_file = \"tokens\"
        [[ingress.endpoints]]
        name = \"b\"
        path = \"/b\"
        tokens = [\"of-b\", \"new-of-b\"]
        subjects = {{ task = \"ci.b.{{tag}}\" }}
        "
    )
}

#[test]
fn what_is_replayed_goes_to_the_endpoint_that_it_came_to() {
    let nats = nats();
    // Its tokens are there when it is started again.
    let bridge = Bridge::start(&nats, &tenants(1).replace("tokens_file = \"tokens\"", "tokens = [\"of-a\"]"));
    std::fs::write(bridge.folder().join("tokens"), "of-a\nnew-of-a\n").unwrap();
    for (path, body) in [("/a/of-a", two_jobs("a")), ("/b/of-b", two_jobs("b"))] {
        let answer = bridge.post_to(path, &[], body);
        assert_eq!((answer.status, &answer.json()["id"].is_string()), (422, &true), "{answer:?}");
    }
    let streams = Streams::of(&nats);
    // Of an endpoint that is no more, and of none at all.
    streams.publish_with("ci-quarantine.shape", &[("Ci-Endpoint", "gone")], &task("gone"));
    streams.publish("ci-quarantine.shape", &task("unknown"));
    let bridge = bridge.kill_and_restart_with(&tenants(10));
    bridge.wait_until_ready();
    let (code, report, _) = quarantine(&nats, &bridge, &["replay"]);
    assert_eq!(code, Some(1), "{report}");
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines.len(), 4, "{report}");
    assert!(lines[..2].iter().all(|line| line.contains(": 200 {\"outcome\":\"published\"")), "{report}");
    assert!(lines[2].ends_with("3 -: not posted: it came to the endpoint \"gone\", which the configuration does not have: name where to with --url"), "{report}");
    assert!(
        lines[3].ends_with("it does not say to which endpoint it came: name where to with --url"),
        "{report}"
    );
    let subjects =
        ["ci.task.Transcode.success", "ci.task.Transcode.success", "ci.b.Transcode", "ci.b.Transcode"];
    assert_eq!(streams.subjects("CI"), subjects);
    // Where somebody says where to, it goes there.
    let url = format!("http://{}/a/new-of-a", bridge.address);
    let (code, report, _) = quarantine(&nats, &bridge, &["replay", "--url", &url]);
    assert_eq!((code, report.lines().count()), (Some(0), 2), "{report}");
    assert_eq!(quarantine(&nats, &bridge, &["list"]).1, "");
}

#[test]
fn what_still_cannot_be_read_is_not_posted() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    assert_eq!((bridge.post("<broken").status, bridge.post("a=1").status), (400, 422));
    let received = bridge.metric("ci_bridge_callbacks_received_total");
    let url = format!("http://{}/ci/callback", bridge.address);
    for more in [&[][..], &["--url", &url]] {
        let (code, report, _) = quarantine(&nats, &bridge, &[&["replay"], more].concat());
        assert_eq!((code, report.lines().count()), (Some(1), 2), "{report}");
        assert!(
            report.lines().all(|line| line.contains(": not posted, it still cannot be read: ")),
            "{report}"
        );
    }
    assert_eq!(bridge.metric("ci_bridge_callbacks_received_total"), received, "nothing was posted");
    assert_eq!(Streams::of(&nats).messages("CI_QUARANTINE").len(), 2);
}

#[test]
fn a_replay_over_tls_trusts_the_configured_certificate_and_no_other() {
    let nats = nats();
    let authority = Authority::new();
    authority.sign("bridge");
    authority.sign("other");
    let bridge = Bridge::start(&nats, &format!("[ingress]\nmax_jobs = 1\n{}", authority.section("bridge")));
    let mut client = crate::support::Connection::open_tls(bridge.address, authority.client(None, &[]));
    assert_eq!(client.post(&two_jobs("j")).unwrap().status, 422);
    let more = format!("[ingress]\nmax_jobs = 10\n{}", authority.section("bridge"));
    let bridge = bridge.kill_and_restart_with(&more);
    bridge.wait_until_ready();
    // For somebody who expects another certificate, whoever listens there is a stranger.
    let other = bridge.folder().join("other.toml");
    std::fs::write(other, more.replace("bridge.", "other.")).unwrap();
    let (code, report, said) = quarantine(&nats, &bridge, &["replay", "-c", "other.toml"]);
    assert_eq!((code, &*report), (Some(1), ""));
    assert!(said.contains("it shows another certificate than ingress.tls.cert"), "{said}");
    let (code, report, said) = quarantine(&nats, &bridge, &["replay", "-c", "ci-bridge.toml"]);
    assert_eq!(code, Some(0), "{report}{said}");
    assert_eq!(Streams::of(&nats).messages("CI").len(), 2);
}

#[test]
fn entries_are_listed_exported_and_deleted_under_the_id_that_was_answered() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let answered: Vec<String> = [&b"<broken"[..], b"a=1", b"\xff\xfe{"]
        .into_iter()
        .map(|body| bridge.post(body).json()["id"].as_str().expect("the answer names it").to_owned())
        .collect();
    let (code, list, _) = quarantine(&nats, &bridge, &["list", "--json"]);
    let entries: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, entries.len()), (Some(0), 3), "{list}");
    for (entry, id) in entries.iter().zip(&answered) {
        assert_eq!((&entry["id"], &entry["endpoint"]), (&json!(id), &json!("default")), "{entry}");
        assert!(entry["time"].as_str().unwrap().ends_with('Z') && entry.get("body").is_none(), "{entry}");
        bridge.logged(&format!("id={id}"));
    }
    let (_, list, _) = quarantine(&nats, &bridge, &["list"]);
    let lines: Vec<_> = list.lines().collect();
    assert!(lines[0].starts_with("NUMBER  TIME ") && lines[1].starts_with("1       20"), "{list}");
    for word in ["syntax", "default", &answered[0], "line 1, "] {
        assert!(lines[1].contains(word), "{word}: {list}");
    }
    let (code, exported, _) = quarantine(&nats, &bridge, &["export"]);
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, exported.len()), (Some(0), 3));
    assert_eq!((&exported[0]["body"], &exported[2]["body_base64"]), (&json!("<broken"), &json!("//57")));
    assert_eq!(exported[1]["headers"]["Nats-Msg-Id"], json!(answered[1]));
    let (code, _, said) = quarantine(&nats, &bridge, &["export", "2", "-o", "kept.jsonl"]);
    assert_eq!(
        (code, &*said),
        (Some(0), "ci-bridge: 1 entry written to kept.jsonl; they are still in quarantine\n")
    );
    let kept = bridge.folder().join("kept.jsonl");
    assert_eq!(std::fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
    eventually("the depth", || (bridge.metric("ci_bridge_quarantine_messages") == 3.0).then_some(()));
    assert!(bridge.metric("ci_bridge_quarantine_bytes") > 100.0);
    let (code, said, missing) = quarantine(&nats, &bridge, &["delete", "2", "7"]);
    assert_eq!(
        (code, &*said, &*missing),
        (Some(1), "deleted 2\n", "ci-bridge: quarantine has no number 7\n")
    );
    assert_eq!(quarantine(&nats, &bridge, &["delete", "--all"]).0, Some(2), "not without --yes");
    assert_eq!(quarantine(&nats, &bridge, &["delete", "--all", "--yes"]).1, "deleted 2 entries\n");
    assert_eq!(quarantine(&nats, &bridge, &["list"]).1, "");
    eventually("the depth", || (bridge.metric("ci_bridge_quarantine_messages") == 0.0).then_some(()));
}

#[test]
fn what_nats_forbids_is_said() {
    let denied = "permissions: { publish: { deny: \"$JS.API.STREAM.MSG.GET.>\" } }";
    let users = format!("users: [{{ user: b, password: p }}, {{ user: looks, password: p, {denied} }}]");
    let nats = LocalNats::start(&format!("authorization {{ {users} }}")).unwrap();
    let url = |user: &str| nats.url().replace("nats://", &format!("nats://{user}:p@"));
    let bridge = Bridge::start_towards(&url("b"), "");
    bridge.wait_until_ready();
    assert_eq!(bridge.post("<broken").status, 400);
    for command in [&["list"][..], &["show", "1"], &["replay"]] {
        let (code, _, said) = quarantine_at(&url("looks"), bridge.address, &bridge, command);
        assert!(
            code == Some(1) && said.contains("the NATS user may not ask") && said.contains("MSG.GET"),
            "{said}"
        );
    }
}

/// What is kept of a body that NATS does not take whole is its beginning; what it is called is a hash of all of it.
#[test]
fn bodies_that_begin_alike_are_two_entries() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let broken = |end: &str| format!("<Response><Text>{}</Text>{end}", "x".repeat(2 << 20));
    let ids = ["<a>", "<b>", "<a>"].map(|end| {
        let answer = bridge.post(broken(end));
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    });
    assert_eq!((ids[0] == ids[1], ids[0] == ids[2]), (false, true), "{ids:?}");
    let (_, list, _) = quarantine(&nats, &bridge, &["list", "--json"]);
    assert_eq!(list.lines().count(), 2, "{list}");
}
