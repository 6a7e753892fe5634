//! `/readyz` check by check, the metrics beside it, and what `SIGTERM` does to both.

use async_nats::jetstream::stream::Config;
use serde_json::{Value, json};

use crate::support::{Authority, Bridge, Streams, eventually, nats, run, signal, task};

/// Status and body of one check.
fn check(bridge: &Bridge, name: &str) -> (u16, Value) {
    let answer = bridge.get(&format!("/readyz/{name}"));
    (answer.status, answer.json())
}

fn becomes(bridge: &Bridge, name: &str, status: u16, detail: &str) {
    eventually(&format!("{name}: {status} {detail}"), || {
        let answer = bridge.get(&format!("/readyz/{name}"));
        // Before anything has been looked at there may be no such check.
        (answer.status == status && answer.json()["detail"].as_str()?.contains(detail)).then_some(())
    });
}

#[test]
fn each_check_of_readyz_has_a_path_of_its_own() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let checks = bridge.get("/readyz").json()["checks"].as_array().unwrap().clone();
    assert!(checks.len() >= 7, "{checks:?}");
    for expected in checks {
        let name = expected["name"].as_str().unwrap();
        let (status, found) = check(&bridge, name);
        assert_eq!((status, &found["name"], &found["ok"]), (200, &json!(name), &json!(true)));
    }
    let unknown = bridge.get("/readyz/natz");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().starts_with("at the moment the checks are nats, streams,"), "{}", unknown.text());
    let posted = crate::support::request(bridge.admin, "POST", "/readyz/nats", &[], b"");
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn with_a_spool_an_outage_sends_no_callback_elsewhere() {
    let mut nats = nats();
    let small = "[ingress]\nmax_body = \"4KiB\"\n[spool]\nmax_bytes = \"4KiB\"\n";
    let bridge = Bridge::start(&nats, small);
    assert_eq!(check(&bridge, "accepting").1["detail"], "callbacks are published");
    nats.kill().unwrap();
    becomes(&bridge, "nats", 503, "not connected to NATS");
    becomes(&bridge, "accepting", 200, "callbacks go to the spool");
    becomes(&bridge, "streams", 503, "not looked at: see the check nats");
    assert_eq!(bridge.get("/readyz").status, 503);
    // Full: nothing durable is left.
    let filled = (0..100).map(|number| bridge.post(task(&format!("j{number}"))).status);
    assert_eq!(filled.into_iter().find(|status| *status != 200), Some(503));
    becomes(&bridge, "accepting", 503, "neither NATS nor the spool takes them");
    assert_eq!(bridge.metric("ci_bridge_ready{check=\"accepting\"}"), 0.0);
    nats.restart(None).unwrap();
    becomes(&bridge, "accepting", 200, "callbacks are published");
}

#[test]
fn without_a_spool_a_frozen_server_sends_callbacks_elsewhere() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[spool]\nenabled = false\n");
    let id = nats.id();
    signal("STOP", id);
    becomes(&bridge, "accepting", 503, "NATS does not take them, and there is no spool");
    signal("CONT", id);
    becomes(&bridge, "accepting", 200, "callbacks are published");
}

#[test]
fn what_only_some_callbacks_meet_sends_none_elsewhere() {
    let nats = nats();
    let streams = Streams::of(&nats);
    let events = |name: &str, subject: &str| Config {
        name: name.into(),
        subjects: vec![subject.into()],
        ..Config::default()
    };
    streams.create(events("CI", "ci.>"));
    let other = "[[rules]]\nmatch = { tag = \"Other\" }\nsubject = \"other.{tag}\"\nstream = \"OTHER\"\n";
    let bridge = Bridge::start_towards(
        &nats.url(),
        &format!("[jetstream]\nprovision = \"require\"\n[spool]\nenabled = false\n{other}"),
    );
    // Neither quarantine nor the stream of a rule is there.
    becomes(&bridge, "streams", 503, "stream CI_QUARANTINE does not exist");
    becomes(&bridge, "accepting", 200, "callbacks are published");
    assert_eq!(bridge.post(task("j1")).status, 200);
    streams.create(events("CI_QUARANTINE", "ci-quarantine.>"));
    streams.ask("$JS.API.STREAM.DELETE.CI", &json!({}));
    // For garbage alone there is no reason to stay.
    becomes(&bridge, "accepting", 503, "NATS does not take them, and there is no spool");
}

/// The bucket of jobs is fit, and the stream of events has other subjects: every callback is answered 503.
#[test]
fn what_takes_no_event_keeps_no_callback_coming() {
    let nats = nats();
    let streams = Streams::of(&nats);
    streams.create(Config { name: "CI".into(), subjects: vec!["other.>".into()], ..Config::default() });
    let bridge =
        Bridge::start_towards(&nats.url(), "[spool]\nenabled = false\n[jobs]\nbucket = \"CI_JOBS\"\n");
    becomes(&bridge, "streams", 503, "stream CI does not take ");
    becomes(&bridge, "accepting", 503, "NATS does not take them, and there is no spool");
    assert_eq!(bridge.post(task("j1")).status, 503);
    let config = json!({ "name": "CI", "subjects": ["other.>", "ci.>"] });
    assert!(streams.ask("$JS.API.STREAM.UPDATE.CI", &config)["error"].is_null());
    becomes(&bridge, "accepting", 200, "callbacks are published");
}

#[test]
fn after_sigterm_callbacks_are_taken_for_the_shutdown_delay() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nshutdown_delay = \"2s\"\n");
    signal("TERM", bridge.id());
    becomes(&bridge, "accepting", 503, "shutting down: send callbacks elsewhere");
    becomes(&bridge, "shutdown", 503, "shutting down");
    assert_eq!(bridge.get("/readyz").status, 503);
    assert_eq!(check(&bridge, "nats").0, 200, "the others stay as they are");
    assert_eq!(bridge.get("/livez").status, 200);
    let answer = bridge.post(task("late"));
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "the client asked for it");
    assert_eq!(bridge.wait_for_end(), Some(0));
}

#[test]
fn a_second_signal_ends_the_shutdown_delay() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nshutdown_delay = \"1h\"\n");
    signal("TERM", bridge.id());
    becomes(&bridge, "shutdown", 503, "shutting down");
    signal("TERM", bridge.id());
    assert_eq!(bridge.wait_for_end(), Some(130));
}

#[test]
fn an_expired_certificate_is_said_everywhere() {
    let nats = nats();
    let authority = Authority::new();
    authority.sign_between("bridge", (2020, 1, 1), (2021, 1, 1));
    let file = authority.file("bridge.pem").display().to_string();
    let expired = format!(
        "the listener's certificate ({file}) expired at 2021-01-01T00:00:00Z: put a new one in its place"
    );
    let bridge = Bridge::start_towards(&nats.url(), &authority.section("bridge"));
    becomes(&bridge, "certificates", 503, &expired);
    becomes(&bridge, "accepting", 200, "callbacks are published");
    assert_eq!(bridge.metric("ci_bridge_ready{check=\"certificates\"}"), 0.0);
    let not_after = "ci_bridge_certificate_not_after_seconds{certificate=\"listener\"}";
    assert_eq!(bridge.metric(not_after), 1_609_459_200.0);
    eventually("the log", || bridge.log().contains(&expired).then_some(()));
    let configuration = bridge.folder().join("ci-bridge.toml");
    let output = run(&["check", "-c", configuration.to_str().unwrap()], b"");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains(&format!("FAILED certificates: {expired}")), "{said}");
    // A new one in its place, without a signal.
    authority.sign_between("bridge", (2020, 1, 1), (2099, 1, 1));
    becomes(&bridge, "certificates", 200, "is valid until 2099-01-01T00:00:00Z");
    bridge.wait_until_ready();
    assert_eq!(bridge.metric(not_after), 4_070_908_800.0);
}

#[test]
fn the_certificate_for_nats_is_looked_at_as_well() {
    let authority = Authority::new();
    authority.sign("server");
    authority.sign_between("client", (2098, 1, 1), (2099, 1, 1));
    let [cert, key, ca] = ["client.pem", "client.key", "ca.pem"].map(|name| authority.file(name));
    let section = format!("[nats.tls]\nca = {ca:?}\ncert = {cert:?}\nkey = {key:?}\n");
    let bridge = Bridge::start_towards("tls://127.0.0.1:1", &section);
    let detail = "is not valid before 2098-01-01T00:00:00Z: look at the clock, or at the file";
    becomes(&bridge, "certificates", 503, detail);
    authority.sign("client");
    becomes(&bridge, "certificates", 200, "the certificate for NATS");
}

#[test]
fn the_configuration_in_effect_and_the_last_reload_are_metrics() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let of = |name: &str| bridge.metric(&format!("ci_bridge_config_{name}"));
    let taken = of("last_reload_success_timestamp_seconds");
    assert_eq!((of("generation"), of("last_reload_successful")), (1.0, 1.0));
    assert!(taken > 1.7e9, "{taken}");
    let file = bridge.folder().join("ci-bridge.toml");
    std::fs::write(&file, "no TOML").unwrap();
    signal("HUP", bridge.id());
    eventually("refused", || (of("last_reload_successful") == 0.0).then_some(()));
    assert_eq!((of("generation"), of("last_reload_success_timestamp_seconds")), (1.0, taken));
    std::fs::write(&file, "[subjects]\ntask = \"ci.other\"\n").unwrap();
    signal("HUP", bridge.id());
    eventually("applied", || (of("last_reload_successful") == 1.0).then_some(()));
    assert!(of("generation") >= 2.0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_has_the_usual_metrics() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[spool]\nmax_bytes = \"64MiB\"\n");
    assert_eq!(bridge.metric("ci_bridge_spool_max_bytes"), f64::from(64 << 20));
    assert!(bridge.metric("process_resident_memory_bytes") > 1e6);
    assert!(bridge.metric("process_virtual_memory_bytes") > 1e6);
    assert!(bridge.metric("process_start_time_seconds") > 1.7e9);
    assert!(bridge.metric("process_max_fds") >= bridge.metric("process_open_fds"));
    assert!(bridge.metric("process_open_fds") > 5.0);
    let text = bridge.get("/metrics").text();
    assert!(text.contains("\n# TYPE process_cpu_seconds counter\n"), "{text}");
}
