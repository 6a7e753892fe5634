//! The bridge as NATS sees it: its name, and the rights of its user.

use serde_json::json;

use crate::support::{Bridge, LocalNats, Streams, ci_bridge, eventually, nats, task};

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
