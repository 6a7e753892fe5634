//! Streams, accounts and limits that somebody else has set up: whatever voids, bounds, changes or delays what 200
//! promises makes the bridge unready or is said, in the same words everywhere; and what was answered 200 survives.
//!
//! `cargo xtask versions` runs this on several versions of nats-server.

mod creation;
mod rights;

use serde_json::{Value, json};

use crate::support::{Bridge, Streams, eventually, nats, run, task};

/// What the bridge makes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Not ready; callbacks wait in the spool.
    Unfit,
    /// Ready, with a warning.
    Weaker,
    /// Ready, with a line.
    Note,
}

use Verdict::{Note, Unfit, Weaker};

/// The setting that is named, what is set, and what comes of it. A server that does not know a setting ignores it, and
/// the row is left out there.
fn rows() -> Vec<(&'static str, Value, Verdict)> {
    vec![
        ("no_ack", json!({ "no_ack": true }), Unfit),
        ("sealed", json!({ "sealed": true }), Unfit),
        ("allow_msg_counter", json!({ "allow_msg_counter": true, "duplicate_window": 0 }), Unfit),
        ("retention", json!({ "retention": "interest" }), Unfit),
        ("retention", json!({ "retention": "workqueue" }), Note),
        ("persist_mode", json!({ "persist_mode": "async" }), Weaker),
        ("storage", json!({ "storage": "memory" }), Weaker),
        ("max_msgs", json!({ "max_msgs": 100 }), Weaker),
        ("max_bytes", json!({ "max_bytes": 1_000_000 }), Weaker),
        ("max_msgs_per_subject", json!({ "max_msgs_per_subject": 1 }), Weaker),
        ("max_msg_size", json!({ "max_msg_size": 5000 }), Weaker),
        (
            "max_age",
            json!({ "max_age": 3_600_000_000_000_u64, "duplicate_window": 60_000_000_000_u64 }),
            Weaker,
        ),
        (
            "subject_transform",
            json!({ "subject_transform": { "src": "ci.task.*.*", "dest": "ci.task.{{wildcard(1)}}.x.{{wildcard(2)}}" } }),
            Weaker,
        ),
        ("allow_rollup_hdrs", json!({ "allow_rollup_hdrs": true }), Note),
        ("allow_msg_ttl", json!({ "allow_msg_ttl": true }), Note),
        ("republish", json!({ "republish": { "src": "ci.>", "dest": "copies.>" } }), Note),
    ]
}

/// A stream on `ci.>` with these settings, as the server has it.
fn create(streams: &Streams, settings: &Value) -> Value {
    let mut config = json!({ "name": "CI", "subjects": ["ci.>"], "retention": "limits", "storage": "file",
        "discard": "old", "num_replicas": 1, "max_age": 0, "duplicate_window": 7_200_000_000_000_u64 });
    let further = settings.as_object().unwrap().clone();
    // A stream cannot be created sealed.
    let sealed = further.contains_key("sealed");
    if !sealed {
        config.as_object_mut().unwrap().extend(further);
    }
    let mut answer = streams.ask("$JS.API.STREAM.CREATE.CI", &config);
    if sealed {
        let mut config = answer["config"].clone();
        config["sealed"] = true.into();
        answer = streams.ask("$JS.API.STREAM.UPDATE.CI", &config);
    }
    answer
}

/// Whether the server took the setting: an older one ignores what it does not know, or refuses it.
fn is_in_effect(answer: &Value, settings: &Value) -> bool {
    let Some((name, wanted)) = settings.as_object().and_then(|settings| settings.iter().next()) else {
        return false;
    };
    match wanted {
        Value::Object(_) => answer["config"][name].is_object(),
        wanted => answer["config"][name] == *wanted,
    }
}

fn check_connect(url: &str) -> (Option<i32>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[nats]\nservers = [{url:?}]\n")).unwrap();
    let output = run(&["check", "--connect", "-c", file.path().to_str().unwrap()], b"");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_setting_is_judged_alike_by_check_readyz_log_and_metric_and_200_is_kept() {
    let mut tried = 0;
    for (setting, settings, verdict) in rows() {
        let mut nats = nats();
        let streams = Streams::of(&nats);
        let answer = create(&streams, &settings);
        if !is_in_effect(&answer, &settings) {
            eprintln!("left out: {} does not know {settings}: {}", nats.version().unwrap(), answer["error"]);
            continue;
        }
        tried += 1;
        drop(streams);
        let what = format!("{settings}");
        let bridge = Bridge::start_towards(&nats.url(), "");
        let metric = format!(
            "ci_bridge_stream_findings{{stream=\"CI\",setting=\"{setting}\",verdict=\"{}\"}}",
            format!("{verdict:?}").to_lowercase()
        );
        eventually(&format!("{what}: the metric"), || (bridge.metric(&metric) == 1.0).then_some(()));
        let (code, checked) = check_connect(&nats.url());
        let named = format!("({setting})");
        match verdict {
            Unfit => {
                let ready = eventually(&format!("{what}: not ready"), || {
                    let ready = bridge.get("/readyz");
                    (ready.status == 503 && ready.text().contains(&named)).then(|| ready.text())
                });
                assert!(ready.contains("stream CI"), "{ready}");
                assert_eq!(bridge.metric("ci_bridge_ready{check=\"streams\"}"), 0.0, "{what}");
                assert_eq!(code, Some(78), "{what}: {checked}");
                assert!(checked.contains("FAILED streams: stream CI"), "{checked}");
                assert!(checked.contains(&named), "{checked}");
                assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled", "{what}");
            }
            Weaker | Note => {
                bridge.wait_until_ready();
                assert_eq!(code, Some(0), "{what}: {checked}");
                assert_eq!(checked.contains(&named), verdict == Weaker, "{what}: {checked}");
                assert_eq!(bridge.post(task("j1")).json()["outcome"], "published", "{what}");
                nats.kill().unwrap();
                nats.restart(None).unwrap();
                bridge.wait_until_ready();
                let kept = Streams::of(&nats).messages("CI").len();
                // In memory it is gone with the server, as is said; the stream as well, which is made anew.
                assert!(kept == 1 || ["storage", "persist_mode"].contains(&setting), "{what}: {kept}");
            }
        }
        let (_, log) = bridge.terminate();
        let level = match verdict {
            Unfit => "ERROR",
            Weaker => "WARN",
            Note => "INFO",
        };
        let lines = log.lines().filter(|line| {
            line.contains(&format!("setting=\"{setting}\"")) || line.contains(&format!("setting={setting}"))
        });
        let lines: Vec<_> = lines.collect();
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.contains(level)),
            "{what}: {lines:?}\n{log}"
        );
    }
    assert!(tried >= 10, "{tried} settings were tried");
}

#[test]
fn what_is_unfit_keeps_its_messages_in_the_spool_until_it_is_fit() {
    let nats = nats();
    let streams = Streams::of(&nats);
    create(&streams, &json!({ "no_ack": true }));
    let bridge = Bridge::start_towards(&nats.url(), "");
    eventually("unfit", || bridge.get("/readyz").text().contains("(no_ack)").then_some(()));
    for number in 0..20 {
        assert_eq!(bridge.post(task(&format!("j{number}"))).json()["outcome"], "spooled");
    }
    assert_eq!(streams.messages("CI").len(), 0, "nothing is published that nobody acknowledges");
    let mut config = streams.ask("$JS.API.STREAM.INFO.CI", &json!({}))["config"].clone();
    config["no_ack"] = false.into();
    assert!(streams.ask("$JS.API.STREAM.UPDATE.CI", &config)["error"].is_null());
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    bridge.wait_until_ready();
    assert_eq!(streams.messages("CI").len(), 20);
    assert_eq!(streams.messages("CI_QUARANTINE").len(), 0);
    let (_, log) = bridge.terminate();
    assert!(log.contains("the stream is fit again"), "{log}");
}

#[test]
fn interest_without_a_consumer_keeps_nothing_and_is_unfit_until_there_is_one() {
    let nats = nats();
    let streams = Streams::of(&nats);
    create(&streams, &json!({ "retention": "interest" }));
    let bridge = Bridge::start_towards(&nats.url(), "");
    eventually("unfit", || bridge.get("/readyz").text().contains("has no consumer").then_some(()));
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    let consumer =
        json!({ "stream_name": "CI", "config": { "durable_name": "worker", "ack_policy": "explicit" } });
    assert!(streams.ask("$JS.API.CONSUMER.DURABLE.CREATE.CI.worker", &consumer)["error"].is_null());
    bridge.wait_until_ready();
    eventually("stored for it", || (streams.messages("CI").len() == 1).then_some(()));
}

/// A refusal by the stream is never the message's fault: whatever its quarantine could lose is not moved there.
#[test]
fn a_sealed_stream_keeps_what_was_answered_200_in_the_spool() {
    const CALLBACKS: usize = 60;
    let mut nats = nats();
    let bridge = Bridge::start(&nats, "[jetstream.quarantine]\nmax_bytes = \"20KiB\"\n");
    nats.kill().unwrap();
    for number in 0..CALLBACKS {
        assert_eq!(bridge.post(task(&format!("j{number}"))).json()["outcome"], "spooled");
    }
    // It is sealed before the bridge can publish to it.
    let bridge = bridge.kill_and_restart_after(|| {
        nats.restart(None).unwrap();
        let streams = Streams::of(&nats);
        let mut config = eventually("the stream", || {
            let info = streams.ask("$JS.API.STREAM.INFO.CI", &json!({}));
            info["config"].is_object().then(|| info["config"].clone())
        });
        config["sealed"] = true.into();
        assert!(streams.ask("$JS.API.STREAM.UPDATE.CI", &config)["error"].is_null());
    });
    eventually("not ready", || bridge.get("/readyz").text().contains("(sealed)").then_some(()));
    // A body in quarantine is another stream's: it is not held up.
    assert_eq!(bridge.post("<broken").status, 400);
    assert_eq!(bridge.metric("ci_bridge_spool_messages"), CALLBACKS as f64);
    let streams = Streams::of(&nats);
    assert_eq!(streams.subjects("CI_QUARANTINE"), ["ci-quarantine.syntax"]);
    assert!(streams.ask("$JS.API.STREAM.DELETE.CI", &json!({}))["success"] == true);
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    assert_eq!(streams.messages("CI").len(), CALLBACKS, "made again as it is configured");
    bridge.wait_until_ready();
    let (_, log) = bridge.terminate();
    assert!(log.contains("the stream was deleted, with every message in it"), "{log}");
}
