//! Those who listen to events.

use super::*;

#[test]
fn events_go_on_where_they_were_cut() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    bridge.post(task("j1"));
    let mut events = Events::open(bridge.admin, "", &[]).unwrap();
    let status = events.next().unwrap();
    assert_eq!((&*status.name, &status.data["ready"]), ("status", &json!(true)));
    let run = status.data["run"].as_str().unwrap().to_owned();
    bridge.post(task("j2"));
    let (facts, last) = events.callbacks(2);
    assert_eq!((&facts[0]["job"], &facts[1]["job"]), (&json!("j1"), &json!("j2")));
    assert_eq!(last, format!("{run}:2"));
    drop(events);
    bridge.post(task("j3"));
    bridge.post(task("j4"));
    let jobs = |mut events: Events, count: usize| {
        let (facts, _) = events.callbacks(count);
        facts.iter().map(|fact| fact["job"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let again = Events::open(bridge.admin, "", &[("Last-Event-ID", &last)]).unwrap();
    assert_eq!(jobs(again, 2), ["j3", "j4"]);
    let again = Events::open(bridge.admin, &format!("?last={last}"), &[]).unwrap();
    assert_eq!(jobs(again, 2), ["j3", "j4"]);
    let of_another_run = Events::open(bridge.admin, "", &[("Last-Event-ID", "0-0:2")]).unwrap();
    assert_eq!(jobs(of_another_run, 4), ["j1", "j2", "j3", "j4"]);
    let refused = Events::open(bridge.admin, "?last=x", &[]).err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    // Another run begins anew, and says so.
    let bridge = bridge.kill_and_restart();
    bridge.wait_until_ready();
    let mut events = Events::open(bridge.admin, "", &[("Last-Event-ID", &last)]).unwrap();
    assert_ne!(events.next().unwrap().data["run"], json!(run));
    bridge.post(task("j5"));
    assert_eq!(events.callbacks(1).0[0]["n"], 1);
}

#[test]
fn eight_listen_and_the_ninth_is_told_to_come_back() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let mut listeners: Vec<_> = (0..8).map(|_| Events::open(bridge.admin, "", &[]).unwrap()).collect();
    let refused = Events::open(bridge.admin, "", &[]).err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 5"), "{refused}");
    listeners.pop();
    listeners.push(eventually("a place is free", || Events::open(bridge.admin, "", &[]).ok()));
    bridge.post(task("j1"));
    for events in &mut listeners {
        assert_eq!(events.callbacks(1).0[0]["job"], "j1");
    }
    // None of it is in the way of a health check.
    assert_eq!(bridge.get("/livez").status, 200);
}

#[test]
fn a_listener_that_does_not_read_is_cut_and_no_callback_waits_for_it() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[log]\nlevel = \"info,ci_bridge_ingress::api=debug\"\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut slow = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(bridge.admin).await.unwrap();
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", bridge.admin);
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        stream.readable().await.unwrap();
        stream
    });
    let of_slow = format!(
        "a page does not read its events: cut, and may come back peer={}",
        slow.local_addr().unwrap()
    );
    let mut quick = Events::open(bridge.admin, "", &[]).unwrap();
    // Of what came before the first event nobody says how much was too much to keep.
    bridge.post(task("first"));
    let (_, mut last) = quick.callbacks(1);
    let (is_cut, address) = (AtomicBool::new(false), bridge.address);
    std::thread::scope(|scope| {
        for sender in 0..2 {
            let is_cut = &is_cut;
            scope.spawn(move || {
                let mut connection = Connection::open(address);
                for number in 0..200_000 {
                    if is_cut.load(Ordering::Relaxed) {
                        break;
                    }
                    let answer = connection.post(&task(&format!("j{sender}-{number}")));
                    assert_eq!(answer.unwrap().status, 200);
                }
            });
        }
        // All the others are told of everything meanwhile, or of how much was too much to keep; one that has no time to
        // read on a busy machine is cut as well, and comes back as a browser does.
        let mut next = 2;
        while !bridge.log().contains(&of_slow) {
            let Some(event) = quick.next() else {
                quick = eventually("a place is free", || {
                    Events::open(bridge.admin, "", &[("Last-Event-ID", &last)]).ok()
                });
                continue;
            };
            if event.name != "callbacks" {
                continue;
            }
            let (facts, skipped) = (&event.data["callbacks"], event.data["skipped"].as_u64().unwrap());
            assert_eq!(facts[0]["n"].as_u64().unwrap(), next + skipped);
            next = facts.as_array().unwrap().last().unwrap()["n"].as_u64().unwrap() + 1;
            last = event.id.unwrap();
        }
        is_cut.store(true, Ordering::Relaxed);
    });
    let read = runtime.block_on(async { slow.read_to_end(&mut Vec::new()).await });
    assert!(
        read.is_err() || read.is_ok_and(|count| count < 4 << 20),
        "it ended, and what was not read is gone"
    );
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn shutdown_waits_for_no_listener_and_tells_each() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let mut events = Events::open(bridge.admin, "", &[]).unwrap();
    let listening = std::thread::spawn(move || {
        let mut last = Value::Null;
        while let Some(event) = events.next() {
            if event.name == "status" {
                last = event.data;
            }
        }
        last
    });
    let (status, log) = bridge.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let last = listening.join().unwrap();
    assert_eq!((&last["ready"], &last["checks"][0]["name"]), (&json!(false), &json!("shutdown")), "{last}");
}
