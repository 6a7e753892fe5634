//! Streams, accounts and limits that somebody else has set up: whatever voids, bounds, changes or delays what 200
//! promises makes the bridge unready or is said, in the same words everywhere; and what was answered 200 survives.
//!
//! `cargo xtask versions` runs this on several versions of nats-server.

use serde_json::{Value, json};

use crate::support::{Bridge, LocalNats, Streams, eventually, nats, nats_forbidding, run, task, task_with};

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
    assert!(took < std::time::Duration::from_millis(900), "not after ack_timeout each: {took:?}");
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
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let hub = LocalNats::start(&format!(
        "server_name: hub\njetstream {{ store_dir: {:?}, domain: hub }}\nleafnodes {{ listen: \"127.0.0.1:{port}\" }}",
        hub_files.path()
    ))
    .unwrap();
    let leaf = LocalNats::start(&format!(
        "server_name: leaf\njetstream {{ store_dir: {:?}, domain: leaf }}\n\
         leafnodes {{ remotes: [{{ url: \"nats-leaf://127.0.0.1:{port}\" }}] }}",
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
