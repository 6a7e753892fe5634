//! While NATS is away: what is answered 200 is kept, and published once when it is back.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Config;

use crate::support::{
    Bridge, Connection, LocalNats, Streams, eventually, nats, nats_forbidding, nats_with_a_small_stream,
    signal, task, task_with,
};

/// A nats-server that has a port, but does not run.
fn stopped_nats() -> LocalNats {
    let mut nats = nats();
    nats.kill().unwrap();
    nats
}

fn wait_until_drained(bridge: &Bridge) {
    bridge.wait_until_ready();
    eventually("the spool is empty", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
}

fn ids(nats: &LocalNats) -> Vec<String> {
    Streams::of(nats).messages("CI").iter().map(|message| message.id().to_owned()).collect()
}

#[test]
fn nothing_is_lost_when_nats_was_never_there_and_the_bridge_is_killed() {
    const CALLBACKS: usize = 200;
    let mut nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "");
    for number in 0..CALLBACKS {
        let answer = bridge.post(task(&format!("j{number}")));
        assert_eq!((answer.status, &answer.json()["outcome"]), (200, &"spooled".into()), "{answer:?}");
    }
    bridge.assert_every_callback_is_accounted_for();
    let bridge = bridge.kill_and_restart();
    nats.restart(None).unwrap();
    let started = Instant::now();
    wait_until_drained(&bridge);
    assert!(started.elapsed() < Duration::from_secs(20));
    let expected: Vec<_> = (0..CALLBACKS).map(|number| format!("task:j{number}:Success")).collect();
    assert_eq!(ids(&nats), expected, "each once, oldest first");
    assert!(!bridge.log().contains("the stream takes no messages"), "nothing was tried before it could be");
    assert_eq!(bridge.metric("ci_bridge_spool_drained_total"), CALLBACKS as f64);
}

#[test]
fn while_nats_is_known_to_be_away_callbacks_wait_for_nothing() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    signal("STOP", nats.id());
    let started = Instant::now();
    assert_eq!(bridge.post(task("first")).json()["outcome"], "spooled");
    assert!(started.elapsed() >= Duration::from_secs(1), "the first finds out, by ack_timeout");
    // A hundred that each waited would take minutes.
    let started = Instant::now();
    for number in 0..100 {
        assert_eq!(bridge.post(task(&format!("j{number}"))).json()["outcome"], "spooled");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    eventually("not ready", || (bridge.get("/readyz").status == 503).then_some(()));
    signal("CONT", nats.id());
    wait_until_drained(&bridge);
    assert_eq!(bridge.post(task("last")).json()["outcome"], "published");
    let ids = ids(&nats);
    assert_eq!(ids.len(), 102);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 102);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn without_a_spool_the_sender_is_told_to_come_again() {
    let mut nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "[spool]\nenabled = false\n");
    let answer = bridge.post(task("j1"));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
    assert_eq!(bridge.post("<broken").status, 503, "what is not kept is not blamed on the sender");
    nats.restart(None).unwrap();
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).status, 200);
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"unavailable\"}"), 2.0);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn a_short_restart_of_nats_is_waited_for() {
    let mut nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\ndeadline = \"20s\"\n[spool]\nenabled = false\n");
    nats.kill().unwrap();
    let answer = std::thread::scope(|scope| {
        let posting = scope.spawn(|| bridge.post(task("j1")));
        nats.restart(None).unwrap();
        posting.join().unwrap()
    });
    assert_eq!((answer.status, &answer.json()["outcome"]), (200, &"published".into()), "{answer:?}");
}

#[test]
fn a_full_spool_is_503_until_there_is_room() {
    let mut nats = stopped_nats();
    let bridge =
        Bridge::start_towards(&nats.url(), "[ingress]\nmax_body = \"4KiB\"\n[spool]\nmax_bytes = \"8KiB\"\n");
    let mut kept = 0;
    let refused = loop {
        let answer = bridge.post(task(&format!("j{kept}")));
        if answer.status != 200 {
            break answer;
        }
        kept += 1;
        assert!(kept < 100, "8 KiB hold no hundred messages");
    };
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("the spool is full"), "{refused:?}");
    eventually("the reason", || bridge.get("/readyz").text().contains("the spool is full").then_some(()));
    assert!(kept > 5, "{kept}");
    nats.restart(None).unwrap();
    wait_until_drained(&bridge);
    assert_eq!(bridge.post(task("last")).json()["outcome"], "published");
    assert_eq!(ids(&nats).len(), kept + 1);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn many_jobs_are_answered_when_all_are_durable_and_stored_once() {
    const JOBS: usize = 50;
    let jobs: Vec<_> =
        (0..JOBS).map(|number| format!("{{\"JobId\":\"j{number}\",\"State\":\"Success\"}}")).collect();
    let body = format!("{{\"EventName\":\"TaskFinish\",\"JobsDetail\":[{}]}}", jobs.join(","));
    let mut nats = nats();
    let bridge = Bridge::start(&nats, "");
    // Half of it is there from a first, partial delivery.
    let half = format!("{{\"JobsDetail\":[{}]}}", jobs[..JOBS / 2].join(","));
    assert_eq!(bridge.post(half).status, 200);
    nats.kill().unwrap();
    let answer = bridge.post(&body);
    assert_eq!(answer.json()["outcome"], "spooled", "{answer:?}");
    assert_eq!(answer.json()["messages"].as_array().unwrap().len(), JOBS);
    nats.restart(None).unwrap();
    wait_until_drained(&bridge);
    assert_eq!(ids(&nats).len(), JOBS);
    let again = bridge.post(&body).json();
    assert!(
        again["messages"].as_array().unwrap().iter().all(|message| message["duplicate"] == true),
        "{again}"
    );
    assert_eq!(ids(&nats).len(), JOBS);
}

#[test]
fn what_jetstream_refuses_for_good_goes_to_quarantine_and_not_round_and_round() {
    let mut nats = nats_with_a_small_stream();
    let bridge = Bridge::start_towards(&nats.url(), "[messages]\noversize = \"refuse\"\n");
    let large =
        task("large").replace("</JobsDetail>", &format!("<Note>{}</Note></JobsDetail>", "x".repeat(2000)));
    assert_eq!(bridge.post(large).json()["outcome"], "spooled");
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    nats.restart(None).unwrap();
    wait_until_drained(&bridge);
    assert_eq!(ids(&nats), ["task:j1:Success"]);
    let kept = Streams::of(&nats).messages("CI_QUARANTINE");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].subject, "ci-quarantine.refused");
    assert_eq!(kept[0].header("Ci-Subject"), Some("ci.task.NoiseReduction.success"));
    let detail = kept[0].header("Ci-Detail").unwrap();
    assert!(detail.contains("too large") && !detail.contains("server"), "{detail}");
}

#[test]
fn a_message_over_the_servers_limit_is_413_and_its_neighbours_go_on() {
    let nats = LocalNats::start("max_payload: 20000").unwrap();
    let bridge = Bridge::start(&nats, "[messages]\noversize = \"refuse\"\n");
    let large =
        task("large").replace("</JobsDetail>", &format!("<Note>{}</Note></JobsDetail>", "x".repeat(30000)));
    std::thread::scope(|scope| {
        let small =
            scope.spawn(|| (0..50).all(|number| bridge.post(task(&format!("j{number}"))).status == 200));
        for _ in 0..5 {
            let answer = bridge.post(&large);
            assert_eq!(answer.status, 413, "{answer:?}");
        }
        assert!(small.join().unwrap());
    });
    assert_eq!(ids(&nats).len(), 50);
    let [kept] = &Streams::of(&nats).messages("CI_QUARANTINE")[..] else { panic!("kept once") };
    assert_eq!((kept.subject.as_str(), kept.payload.len()), ("ci-quarantine.oversize", 10000));
    assert_eq!(bridge.metric("ci_bridge_nats_connections_total"), 1.0, "the connection stood");
    // It says nothing of the broker.
    bridge.wait_until_ready();
}

#[test]
fn a_full_stream_is_said_and_callbacks_wait_in_the_spool() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let streams = Streams::of(&nats);
    let config = streams.config("CI").unwrap();
    streams.update(Config { max_messages: 2, ..config.clone() });
    for job in ["j1", "j2"] {
        assert_eq!(bridge.post(task(job)).json()["outcome"], "published");
    }
    assert_eq!(bridge.post(task("j3")).json()["outcome"], "spooled");
    eventually("the reason", || bridge.get("/readyz").text().contains("stream CI is full").then_some(()));
    streams.update(config);
    wait_until_drained(&bridge);
    assert_eq!(ids(&nats).len(), 3);
}

#[test]
fn a_spool_that_is_damaged_is_kept_aside_and_the_bridge_starts() {
    let mut nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "");
    assert_eq!(bridge.post(task("j1")).status, 200);
    let spool = bridge.folder().join("spool");
    // Every file of it: no store could make sense of that.
    overwrite(&spool);
    let bridge = bridge.kill_and_restart();
    bridge.logged("the spool is damaged: kept aside");
    assert_eq!(bridge.metric("ci_bridge_spool_damaged_total"), 1.0);
    let folders = std::fs::read_dir(bridge.folder()).unwrap();
    let aside = folders
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("spool.damaged-"));
    assert_eq!(aside.count(), 1);
    assert_eq!(bridge.post(task("j2")).status, 200);
    nats.restart(None).unwrap();
    wait_until_drained(&bridge);
    assert_eq!(ids(&nats), ["task:j2:Success"]);
}

fn overwrite(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => overwrite(&path),
            path => std::fs::write(path, b"garbage").unwrap(),
        }
    }
}

#[test]
fn two_bridges_cannot_share_a_spool() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let spool = bridge.folder().join("spool");
    let output = crate::support::ci_bridge()
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env("CI_BRIDGE__SPOOL__DIR", &spool)
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use by another ci-bridge"), "{output:?}");
}

#[test]
fn a_stream_that_forgets_ids_too_soon_is_warned_of() {
    let nats = nats();
    let streams = Streams::of(&nats);
    streams.create(Config {
        name: "CI".into(),
        subjects: vec!["ci.>".into()],
        duplicate_window: Duration::from_secs(60),
        ..Config::default()
    });
    let bridge = Bridge::start(&nats, "");
    assert_eq!(bridge.metric("ci_bridge_duplicate_window_shortfall_seconds"), 7140.0);
    let (_, log) = bridge.terminate();
    assert!(log.contains("forgets message ids sooner"), "{log}");
    assert!(log.contains("durability: one copy"), "{log}");
}

#[test]
fn a_subject_that_nats_forbids_does_not_hold_up_the_rest() {
    let (_nats, url) = nats_forbidding(&["ci.task.Poison.>"]);
    let bridge = Bridge::start_towards(&url, "");
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task_with("poison", "Poison", "Success")).json()["outcome"], "spooled");
    for job in ["j1", "j2", "j3"] {
        assert_eq!(bridge.post(task(job)).status, 200);
    }
    eventually("all but one are stored", || (bridge.metric("ci_bridge_spool_messages") == 1.0).then_some(()));
    eventually("the reason", || bridge.get("/readyz").text().contains("ermissions").then_some(()));
    let (_, log) = bridge.terminate();
    assert!(log.contains("NATS forbids something"), "{log}");
}

#[test]
fn the_stream_of_a_rule_must_be_there() {
    let nats = nats();
    let configuration =
        "[[rules]]\nmatch = { tag = \"NoiseReduction\" }\nsubject = \"alerts.{tag}\"\nstream = \"ALERTS\"\n";
    let bridge = Bridge::start_towards(&nats.url(), configuration);
    eventually("the reason", || {
        bridge.get("/readyz").text().contains("stream ALERTS does not exist").then_some(())
    });
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    let streams = Streams::of(&nats);
    streams.create(Config { name: "ALERTS".into(), subjects: vec!["alerts.>".into()], ..Config::default() });
    wait_until_drained(&bridge);
    assert_eq!(streams.subjects("ALERTS"), ["alerts.NoiseReduction"]);
}

#[test]
fn a_message_that_nats_will_never_take_is_not_promised_while_it_is_away() {
    let nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "[messages]\noversize = \"refuse\"\n");
    let note = format!("<Note>{}</Note></JobsDetail>", "x".repeat(1_100_000));
    let answer = bridge.post(task("large").replace("</JobsDetail>", &note));
    assert_eq!(answer.status, 413, "{answer:?}");
}

#[test]
fn core_delivery_recovers_from_a_frozen_server() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "delivery = \"core\"\n");
    signal("STOP", nats.id());
    assert_eq!(bridge.post(task("j1")).status, 503);
    signal("CONT", nats.id());
    eventually("it is answered again", || (bridge.post(task("j2")).status == 200).then_some(()));
    bridge.wait_until_ready();
}

#[test]
fn senders_that_hang_up_keep_their_place_until_their_callback_is_done() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nmax_in_flight = 4\n[spool]\nenabled = false\n");
    signal("STOP", nats.id());
    for number in 0..40 {
        let body = task(&format!("j{number}"));
        let mut connection = Connection::open(bridge.address);
        let head = format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.write(format!("{head}{body}").as_bytes());
        drop(connection);
    }
    eventually("all have come", || {
        (bridge.metric("ci_bridge_callbacks_received_total") >= 40.0).then_some(())
    });
    assert!(bridge.metric("ci_bridge_in_flight") <= 4.0);
    signal("CONT", nats.id());
    eventually("none is left", || (bridge.metric("ci_bridge_in_flight") == 0.0).then_some(()));
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"rejected\"}"), 0.0);
    bridge.assert_every_callback_is_accounted_for();
}
