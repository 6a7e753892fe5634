//! Streams that the bridge makes, or cannot make.

use serde_json::json;

use super::{check_connect, create};
use crate::support::{Bridge, LocalNats, Streams, eventually, nats, task};

/// While one stream is gone, what is for another goes on; when it is there again, it has what was configured.
#[test]
fn a_stream_that_vanishes_is_said_once_and_made_again_as_configured() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[jetstream]\nmax_age = \"3d\"\nduplicate_window = \"1h\"\n");
    assert_eq!(bridge.post(task("j1")).status, 200);
    let streams = Streams::of(&nats);
    assert!(streams.ask("$JS.API.STREAM.DELETE.CI", &json!({}))["success"] == true);
    let metric = "ci_bridge_stream_changes_total{stream=\"CI\",change=\"vanished\"}";
    eventually("the metric", || (bridge.metric(metric) == 1.0).then_some(()));
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j2")).json()["outcome"], "published");
    let config = streams.ask("$JS.API.STREAM.INFO.CI", &json!({}))["config"].clone();
    assert_eq!(
        (&config["max_age"], &config["duplicate_window"]),
        (&json!(259_200_000_000_000_u64), &json!(3_600_000_000_000_u64))
    );
    let mut changed = config.clone();
    changed["max_msgs"] = json!(10);
    assert!(streams.ask("$JS.API.STREAM.UPDATE.CI", &changed)["error"].is_null());
    let metric = "ci_bridge_stream_changes_total{stream=\"CI\",change=\"changed\"}";
    eventually("the change", || (bridge.metric(metric) == 1.0).then_some(()));
    let (_, log) = bridge.terminate();
    assert_eq!(log.matches("the stream was deleted, with every message in it").count(), 1, "{log}");
    assert_eq!(log.matches("somebody has changed the stream's configuration").count(), 1, "{log}");
}

/// Somebody who may not create streams is not asked twelve times a second.
#[test]
fn a_creation_that_is_refused_is_not_repeated_without_a_pause() {
    let user =
        "users: [{ user: b, password: p, permissions: { publish: { deny: \"$JS.API.STREAM.CREATE.>\" } } }]";
    let limited = format!("authorization {{ {user} }}");
    let nats = LocalNats::start(&limited).unwrap();
    let bridge = Bridge::start_towards(&nats.url().replace("nats://", "nats://b:p@"), "");
    let reason = eventually("the reason", || {
        let text = bridge.get("/readyz").text();
        text.contains("$JS.API.STREAM.CREATE.CI").then_some(text)
    });
    assert!(reason.contains("may not ask JetStream's API"), "{reason}");
    // Two streams, each asked for with growing pauses: a dozen refusals take more than the first seconds.
    let server_log = nats.folder().join("log");
    let refusals = || std::fs::read_to_string(&server_log).unwrap().matches("$JS.API.STREAM.CREATE").count();
    let started = std::time::Instant::now();
    eventually("a dozen refusals", || (refusals() >= 12).then_some(()));
    assert!(started.elapsed() > std::time::Duration::from_secs(4), "{:?}", started.elapsed());
    let (_, log) = bridge.terminate();
    assert!(log.matches("NATS forbids something").count() <= 2, "said once for each stream: {log}");
}

#[test]
fn check_says_when_serve_could_not_create_the_stream() {
    let nats = nats();
    let streams = Streams::of(&nats);
    let (code, checked) = check_connect(&nats.url());
    assert_eq!(code, Some(0), "{checked}");
    assert!(checked.contains("stream CI does not exist yet: serve will create it"), "{checked}");
    let other = json!({ "name": "OTHER", "subjects": ["ci.task.>"] });
    assert!(streams.ask("$JS.API.STREAM.CREATE.OTHER", &other)["error"].is_null());
    let (code, checked) = check_connect(&nats.url());
    assert_eq!(code, Some(78), "{checked}");
    assert!(checked.contains("cannot create stream CI: stream OTHER has ci.> already"), "{checked}");
    assert_eq!(streams.config("CI"), None, "a look changes nothing");
}

#[test]
fn check_really_writes_where_nobody_gets_the_message_and_else_says_that_it_did_not() {
    let nats = nats();
    let streams = Streams::of(&nats);
    create(&streams, &json!({}));
    let (code, checked) = check_connect(&nats.url());
    assert_eq!(code, Some(0), "{checked}");
    assert!(
        checked.contains(
            "ok     writes: stream CI stored a message on ci._ci-bridge-check as sequence 1, and deleted it"
        ),
        "{checked}"
    );
    assert!(checked.contains("not tried: stream CI_QUARANTINE: it is not there"), "{checked}");
    assert_eq!(streams.messages("CI").len(), 0);
    let consumer =
        json!({ "stream_name": "CI", "config": { "durable_name": "all", "ack_policy": "explicit" } });
    assert!(streams.ask("$JS.API.CONSUMER.DURABLE.CREATE.CI.all", &consumer)["error"].is_null());
    let (code, checked) = check_connect(&nats.url());
    assert_eq!(code, Some(0), "{checked}");
    assert!(checked.contains("not tried: stream CI: consumer all takes every subject"), "{checked}");
    let info = streams.ask("$JS.API.STREAM.INFO.CI", &json!({}));
    assert_eq!(info["state"]["last_seq"], 1, "nothing more was written");
    // A full stream is not ready, and one that refuses is said to.
    streams.ask("$JS.API.CONSUMER.DELETE.CI.all", &json!({}));
    let mut config = info["config"].clone();
    (config["max_msgs_per_subject"], config["discard"], config["max_msg_size"]) =
        (json!(-1), json!("new"), json!(10));
    assert!(streams.ask("$JS.API.STREAM.UPDATE.CI", &config)["error"].is_null());
    let (code, checked) = check_connect(&nats.url());
    assert_eq!(code, Some(78), "{checked}");
    assert!(checked.contains("FAILED writes: stream CI did not take a message"), "{checked}");
}
