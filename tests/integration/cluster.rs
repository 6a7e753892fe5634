//! Three nats-servers with replicated streams: the leader dies or freezes under load.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Bridge, LocalNats, Streams, eventually, signal, task};

const SERVERS: [&str; 3] = ["n1", "n2", "n3"];

/// Route ports must be known before the servers start: taken, noted, and given back.
fn cluster() -> Vec<LocalNats> {
    let listeners: Vec<_> = SERVERS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    drop(listeners);
    let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    let routes = routes.join(", ");
    let start = |(name, port): (&&str, &u16)| {
        let cluster = format!("cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}");
        LocalNats::start(&format!("server_name: {name}\n{cluster}")).unwrap()
    };
    SERVERS.iter().zip(&ports).map(start).collect()
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
    let mut servers = cluster();
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
