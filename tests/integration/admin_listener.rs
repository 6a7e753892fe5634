//! The admin listener as a server: who has a place on it, and which heads it takes.

use crate::support::{Bridge, Connection, eventually, nats};

/// As many connections as the listener has places, and some.
const MANY: usize = 64 + 20;

fn is_alive(bridge: &Bridge) -> Option<()> {
    let mut connection = Connection::open(bridge.admin);
    connection.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // Whoever is turned away gets nothing.
    connection.read_to_end().starts_with(b"HTTP/1.1 200 ").then_some(())
}

#[test]
fn whoever_does_not_read_its_answers_keeps_no_probe_out() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    // More than any socket's buffers hold of their answers.
    let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500);
    let mut silent: Vec<_> = (0..MANY).map(|_| Connection::open(bridge.admin)).collect();
    for connection in &mut silent {
        connection.write(requests.as_bytes());
    }
    eventually("alive", || is_alive(&bridge));
    // Whether it is ready is another matter while it makes all of these answers.
    eventually("asked", || [200, 503].contains(&bridge.get("/readyz").status).then_some(()));
    eventually("scraped", || (bridge.get("/metrics").status == 200).then_some(()));
}

#[test]
fn whoever_does_not_ask_keeps_no_probe_out() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let mut idle: Vec<_> = (0..MANY).map(|_| Connection::open(bridge.admin)).collect();
    for connection in &mut idle {
        connection.write(b"GET /livez HTTP/1.1\r\nHost:");
    }
    eventually("alive", || is_alive(&bridge));
}

#[test]
fn a_head_that_two_readers_could_read_differently_is_refused_here_as_well() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let get = |lines: &str| format!("GET /livez HTTP/1.1\r\n{lines}\r\n");
    let hidden = "GET /api/v1/spool HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let many: String = (0..64).map(|number| format!("X-{number}: v\r\n")).collect();
    let rows = [
        (get("Host: x\r\nContent-Length: 5\r\nContent-Length: 0\r\n"), 400),
        (get("Host: x\r\nContent-Length: +5\r\n"), 400),
        (get("Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        (get("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n"), 400),
        (get("Host: x\r\nHost: x\r\n"), 400),
        (get("Host: a, b\r\n"), 400),
        (get("Host: user@a\r\n"), 400),
        (get(""), 400),
        (get("Host: x\r\nX: y\n"), 400),
        (get("Host: x\r\n folded\r\n"), 400),
        (get("Host : x\r\n"), 400),
        ("GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
        (get(&format!("Host: x\r\n{many}")), 431),
        (get(&format!("Host: x\r\nX: {}\r\n", "v".repeat(16 * 1024))), 431),
        // Good, and the last of its connection.
        (get("Host: x\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", 200),
    ];
    for (head, expected) in rows {
        let mut connection = Connection::open(bridge.admin);
        connection.write(format!("{head}{hidden}").as_bytes());
        let answers = String::from_utf8_lossy(&connection.read_to_end()).into_owned();
        assert!(answers.starts_with(&format!("HTTP/1.1 {expected} ")), "{head:?}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "nothing behind it is a request: {head:?}");
        assert!(answers.to_ascii_lowercase().contains("connection: close"), "{head:?}: {answers}");
    }
    assert_eq!(bridge.metric("ci_bridge_callbacks_received_total"), 0.0, "none of them is a callback");
}
