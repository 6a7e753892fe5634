//! Subjects, limits and domains of accounts that somebody else has set up.

use serde_json::json;

use super::create;
use crate::support::{
    Bridge, LocalNats, ReservedPort, Streams, eventually, nats, nats_forbidding, task, task_with,
};

#[test]
fn a_subject_that_another_stream_has_waits_and_nobody_elses() {
    let mut nats = nats();
    let bridge = Bridge::start(&nats, "");
    let streams = Streams::of(&nats);
    let mut config = streams.ask("$JS.API.STREAM.INFO.CI", &json!({}))["config"].clone();
    config["subjects"] = json!(["ci.workflow.>", "ci.moderation.>", "ci.task.Animation.>"]);
    assert!(streams.ask("$JS.API.STREAM.UPDATE.CI", &config)["error"].is_null());
    let other = json!({ "name": "OTHER", "subjects": ["ci.task.NoiseReduction.>"] });
    assert!(streams.ask("$JS.API.STREAM.CREATE.OTHER", &other)["error"].is_null());
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    assert_eq!(bridge.post(task_with("j2", "Animation", "Success")).json()["outcome"], "published");
    let reason = eventually("the reason", || {
        let ready = bridge.get("/readyz");
        (ready.status == 503 && ready.text().contains("subject ci.task.NoiseReduction.success"))
            .then(|| ready.text())
    });
    assert!(reason.contains("another stream has the subject"), "{reason}");
    // Neither a restart of the bridge nor one of NATS makes it the message's fault.
    nats.restart(None).unwrap();
    let bridge = bridge.kill_and_restart();
    eventually("the reason again", || bridge.get("/readyz").text().contains("another stream").then_some(()));
    assert_eq!(bridge.metric("ci_bridge_spool_messages"), 1.0);
    let streams = Streams::of(&nats);
    assert_eq!(streams.messages("CI_QUARANTINE").len(), 0);
    assert!(streams.ask("$JS.API.STREAM.DELETE.OTHER", &json!({}))["success"] == true);
    config["subjects"] = json!(["ci.>"]);
    assert!(streams.ask("$JS.API.STREAM.UPDATE.CI", &config)["error"].is_null());
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    bridge.wait_until_ready();
    assert_eq!(streams.subjects("CI"), ["ci.task.Animation.success", "ci.task.NoiseReduction.success"]);
}

/// The account's limit comes in a later INFO, which the client ignores: the server closes the connection for a message
/// that is larger.
#[test]
fn a_limit_that_the_server_tells_late_costs_one_connection_and_stops_nobody() {
    const BEHIND: usize = 100;
    let limits = "accounts { A { jetstream: enabled, users: [{user: a, password: p}], limits: { max_payload: 4000 } } }";
    let Some(mut nats) = started_with(limits) else { return };
    let url = nats.url().replace("nats://", "nats://a:p@");
    nats.kill().unwrap();
    let bridge = Bridge::start_towards(&url, "[messages]\noversize = \"refuse\"\n");
    let large =
        task("large").replace("</JobsDetail>", &format!("<Note>{}</Note></JobsDetail>", "x".repeat(6000)));
    // Nothing is known of the limit while NATS is away.
    assert_eq!(bridge.post(&large).json()["outcome"], "spooled");
    for number in 0..BEHIND {
        assert_eq!(bridge.post(task(&format!("j{number}"))).json()["outcome"], "spooled");
    }
    nats.restart(None).unwrap();
    eventually("all behind it are stored", || {
        (bridge.metric("ci_bridge_spool_messages") == 1.0).then_some(())
    });
    eventually("ready", || (bridge.get("/readyz").status == 200).then_some(()));
    // Now it is known: such a callback is not promised any more, and costs nobody the connection.
    let connections = bridge.metric("ci_bridge_nats_connections_total");
    assert!(connections <= 4.0, "{connections}");
    assert_eq!(bridge.post(large.replace("large", "large2")).status, 413);
    assert_eq!(bridge.post(task("after")).json()["outcome"], "published");
    assert_eq!(bridge.metric("ci_bridge_nats_connections_total"), connections);
    // The operator raises the limit: what waited is stored.
    nats.restart(Some(&limits.replace("4000", "40000"))).unwrap();
    eventually("it is stored", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    let (_, log) = bridge.terminate();
    assert!(log.contains("the account or the user may publish less than the server's max_payload"), "{log}");
}

/// A server with an account of its own; `None` where this version does not know the limit.
fn started_with(configuration: &str) -> Option<LocalNats> {
    match LocalNats::start(configuration) {
        Ok(nats) => Some(nats),
        Err(error) => {
            eprintln!("left out: {error}");
            None
        }
    }
}

#[test]
fn a_forbidden_subject_is_named_steadily_and_costs_nobody_else_a_second() {
    let (_nats, url) = nats_forbidding(&["ci.task.Poison.>", "ci.task.Other.>"]);
    let bridge = Bridge::start_towards(&url, "");
    bridge.wait_until_ready();
    let started = std::time::Instant::now();
    for number in 0..20 {
        assert_eq!(
            bridge.post(task_with(&format!("p{number}"), "Poison", "Success")).json()["outcome"],
            "spooled"
        );
    }
    let took = started.elapsed();
    assert!(took < std::time::Duration::from_secs(10), "not after ack_timeout each, a second: {took:?}");
    eventually("named", || {
        bridge.get("/readyz").text().contains("subject ci.task.Poison.success").then_some(())
    });
    // Steadily, whatever else is published meanwhile.
    for number in 0..100 {
        assert_eq!(bridge.post(task(&format!("j{number}"))).json()["outcome"], "published");
        let ready = bridge.get("/readyz");
        assert!(ready.status == 503 && ready.text().contains("ci.task.Poison.success"), "{ready:?}");
    }
    assert_eq!(bridge.metric("ci_bridge_refused_subjects"), 1.0);
    assert_eq!(bridge.metric("ci_bridge_ready{check=\"subjects\"}"), 0.0);
    assert_eq!(bridge.metric("ci_bridge_ready{check=\"writes\"}"), 1.0);
    let (_, log) = bridge.terminate();
    assert!(log.lines().filter(|line| line.contains("not ready")).count() <= 2, "{log}");
}

#[test]
fn a_mirror_of_an_older_server_gets_what_is_published() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let streams = Streams::of(&nats);
    let mirror = json!({ "name": "COPY", "mirror": { "name": "CI" } });
    assert!(streams.ask("$JS.API.STREAM.CREATE.COPY", &mirror)["error"].is_null());
    for number in 0..5 {
        assert_eq!(bridge.post(task(&format!("j{number}"))).json()["outcome"], "published");
    }
    eventually("mirrored", || (streams.messages("COPY").len() == 5).then_some(()));
}

#[test]
fn the_stream_is_not_looked_at_where_the_account_may_only_publish() {
    let accounts = "accounts {
        OWNER { jetstream: enabled, users: [{user: o, password: p}], exports: [{service: \"ci.>\", response: singleton}] }
        BRIDGE { users: [{user: b, password: p}], imports: [{service: {account: OWNER, subject: \"ci.>\"}}] }
    }";
    let Some(nats) = started_with(accounts) else { return };
    let streams = Streams::at(&nats.url().replace("nats://", "nats://o:p@"));
    create(&streams, &json!({}));
    let url = nats.url().replace("nats://", "nats://b:p@");
    let bridge = Bridge::start_towards(&url, "[jetstream]\nprovision = \"none\"\n");
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
    assert_eq!(streams.messages("CI").len(), 1);
    assert!(bridge.get("/readyz").text().contains("not looked at"));
}

/// Both the leaf and its hub have a stream of that name on the subject; the leaf, being nearer, acknowledges first.
#[test]
fn an_acknowledgement_of_another_domain_is_none() {
    let [hub_files, leaf_files] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let port = ReservedPort::new().unwrap();
    let hub = LocalNats::start(&format!(
        "server_name: hub\njetstream {{ store_dir: {:?}, domain: hub }}\nleafnodes {{ listen: \"{port}\" }}",
        hub_files.path()
    ))
    .unwrap();
    let leaf = LocalNats::start(&format!(
        "server_name: leaf\njetstream {{ store_dir: {:?}, domain: leaf }}\n\
         leafnodes {{ remotes: [{{ url: \"nats-leaf://{port}\" }}] }}",
        leaf_files.path()
    ))
    .unwrap();
    let (at_hub, at_leaf) = (Streams::of(&hub), Streams::of(&leaf));
    create(&at_leaf, &json!({}));
    // The hub's stream does not take the subject yet: only the leaf acknowledges.
    let elsewhere = json!({ "name": "CI", "subjects": ["ci.workflow.>", "ci.moderation.>"] });
    assert!(at_hub.ask("$JS.API.STREAM.CREATE.CI", &elsewhere)["error"].is_null());
    let bridge = Bridge::start_towards(&leaf.url(), "[jetstream]\ndomain = \"hub\"\n");
    eventually("looked at", || bridge.get("/readyz").text().contains("does not take ci.task").then_some(()));
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    eventually("the leaf had it", || (!at_leaf.messages("CI").is_empty()).then_some(()));
    let reason = "stream CI of domain leaf stored it, stream CI of domain hub was expected";
    eventually("the reason", || bridge.get("/readyz").text().contains(reason).then_some(()));
    assert_eq!(bridge.metric("ci_bridge_spool_messages"), 1.0);
    let mut config = at_hub.ask("$JS.API.STREAM.INFO.CI", &json!({}))["config"].clone();
    config["subjects"] = json!(["ci.>"]);
    assert!(at_hub.ask("$JS.API.STREAM.UPDATE.CI", &config)["error"].is_null());
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    bridge.wait_until_ready();
    assert_eq!(at_hub.subjects("CI"), ["ci.task.NoiseReduction.success"]);
    // Now both acknowledge, and the right one counts.
    assert_eq!(bridge.post(task("j2")).json()["outcome"], "published");
    assert_eq!(at_hub.messages("CI").len(), 2);
    // It is the hub's that is shown, too.
    assert!(at_leaf.ask("$JS.API.STREAM.PURGE.CI", &json!({}))["error"].is_null());
    let shown = bridge.get("/api/v1/streams/CI/messages/2");
    assert!(shown.text().contains("task:j2:Success"), "{}", shown.text());
}
