//! Three nats-servers with replicated streams: the leader dies or freezes under load.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Bridge, LocalNats, ReservedPort, Streams, eventually, signal, task};

const SERVERS: [&str; 3] = ["n1", "n2", "n3"];

/// Routes must be known before the servers start, and stay theirs when one is away.
fn cluster() -> (Vec<LocalNats>, [ReservedPort; 3]) {
    let ports = SERVERS.map(|_| ReservedPort::new().unwrap());
    let routes = ports.each_ref().map(|port| format!("nats://{port}")).join(", ");
    let start = |(name, port): (&str, &ReservedPort)| {
        let cluster = format!("cluster {{ name: test, listen: \"{port}\", routes: [{routes}] }}");
        LocalNats::start(&format!("server_name: {name}\n{cluster}")).unwrap()
    };
    (SERVERS.into_iter().zip(&ports).map(start).collect(), ports)
}

/// Posts callbacks over connections of their own until told to stop; gives the ids of those answered 200.
fn load(bridge: &Bridge, name: &str, stop: &AtomicBool) -> Vec<String> {
    let mut accepted = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let job = format!("{name}n{number}");
        let answer = bridge.post(task(&job));
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        if answer.status == 200 {
            accepted.push(format!("task:{job}:Success"));
        }
    }
    accepted
}

#[test]
fn losing_the_leader_loses_nothing_and_stores_nothing_twice() {
    let (mut servers, _routes) = cluster();
    let urls: Vec<_> = servers.iter().map(LocalNats::url).collect();
    let bridge = Bridge::start_towards(&urls.join(","), "[jetstream]\nreplicas = 3\n");
    bridge.wait_until_ready();
    let stop = AtomicBool::new(false);
    let accepted: Vec<String> = std::thread::scope(|scope| {
        let (bridge, stop) = (&bridge, &stop);
        let senders: Vec<_> =
            (0..4).map(|sender| scope.spawn(move || load(bridge, &format!("s{sender}"), stop))).collect();
        let received = || bridge.metric("ci_bridge_callbacks_received_total");
        let more_than = |enough: f64| eventually("load", || (received() > enough).then_some(()));
        more_than(50.0);
        let leader = leader_of(&servers);
        servers[leader].kill().unwrap();
        more_than(received() + 50.0);
        servers[leader].restart(None).unwrap();
        eventually("ready with all servers", || (bridge.get("/readyz").status == 200).then_some(()));
        let leader = leader_of(&servers);
        signal("STOP", servers[leader].id());
        more_than(received() + 50.0);
        signal("CONT", servers[leader].id());
        stop.store(true, Ordering::Relaxed);
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    bridge.wait_until_ready();
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    let stored: Vec<_> =
        Streams::of(&servers[0]).messages("CI").iter().map(|message| message.id().to_owned()).collect();
    let unique: BTreeSet<_> = stored.iter().collect();
    assert_eq!(unique.len(), stored.len(), "nothing twice");
    let lost: Vec<_> = accepted.iter().filter(|id| !unique.contains(id)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), accepted.len());
    bridge.assert_every_callback_is_accounted_for();
}

fn leader_of(servers: &[LocalNats]) -> usize {
    eventually("a leader", || {
        let name = Streams::of(&servers[0]).leader("CI")?;
        SERVERS.iter().position(|server| *server == name)
    })
}

/// The server that the bridge speaks with freezes: its connection stays, and nothing is answered any more.
#[test]
fn a_frozen_server_is_left_for_one_that_the_cluster_has_announced() {
    let (servers, _routes) = cluster();
    let bridge = eventually("a bridge that has not left the server it was told", || {
        let bridge = Bridge::start_towards(&servers[0].url(), "[jetstream]\nreplicas = 3\n");
        bridge.wait_until_ready();
        (bridge.metric("ci_bridge_nats_connections_total") == 1.0).then_some(bridge)
    });
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
    signal("STOP", servers[0].id());
    let frozen = std::time::Instant::now();
    let connections = || bridge.metric("ci_bridge_nats_connections_total");
    assert_eq!(bridge.post(task("j2")).json()["outcome"], "spooled");
    eventually("connected to another", || (connections() >= 2.0).then_some(()));
    // Three pings without an answer would take 15 s and more.
    assert!(frozen.elapsed() < std::time::Duration::from_secs(15), "{:?}", frozen.elapsed());
    bridge.wait_until_ready();
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    assert_eq!(bridge.post(task("j3")).json()["outcome"], "published");
    signal("CONT", servers[0].id());
}

/// Without the addresses of others in its INFO, the bridge knows those of its configuration.
#[test]
fn a_server_in_lame_duck_mode_is_left_also_when_it_announces_nobody() {
    // By itself it would close the connection after this time, longer than the test waits.
    let stays = "lame_duck_grace_period: \"50s\"\nlame_duck_duration: \"60s\"";
    let (first, mut second) = (LocalNats::start(stays).unwrap(), LocalNats::start("").unwrap());
    second.kill().unwrap();
    let bridge = Bridge::start_towards(&format!("{},{}", first.url(), second.url()), "");
    bridge.wait_until_ready();
    second.restart(None).unwrap();
    signal("USR2", first.id());
    eventually("moved", || (bridge.metric("ci_bridge_nats_connections_total") >= 2.0).then_some(()));
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
    assert_eq!(Streams::of(&second).subjects("CI"), ["ci.task.NoiseReduction.success"]);
}
