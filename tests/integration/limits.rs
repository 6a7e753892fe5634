//! Every limit has a name: over it, the sender is told the name, and the bridge goes on.

use std::time::{Duration, Instant};

use crate::support::{Answer, Bridge, Connection, Streams, eventually, nats, task};

const HEAD: &[u8] = b"POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n";

/// Opens a request that is in progress until its connection is dropped.
fn hold(bridge: &Bridge, body: &[u8]) -> Connection {
    let before = received(bridge);
    let mut connection = Connection::open(bridge.address);
    connection.write(HEAD);
    connection.write(body);
    eventually("in flight", || (received(bridge) > before).then_some(()));
    connection
}

/// Requests that have begun. How many are in flight would not tell: the one before may be counted a moment longer.
fn received(bridge: &Bridge) -> f64 {
    bridge.metric("ci_bridge_callbacks_received_total")
}

/// As [`hold`]; `None` when there is no room for the connection yet.
fn hold_if_there_is_room(bridge: &Bridge) -> Option<Connection> {
    let turned_away = || bridge.metric("ci_bridge_connections_closed_total{reason=\"no_room\"}");
    let (before, turned_away_before) = (received(bridge), turned_away());
    let mut connection = Connection::open(bridge.address);
    connection.write(HEAD);
    let is_held = eventually("in flight, or turned away", || match received(bridge) > before {
        true => Some(true),
        false => (turned_away() > turned_away_before).then_some(false),
    });
    is_held.then_some(connection)
}

fn assert_overloaded(answer: &Answer, key: &str) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
    assert!(answer.json()["detail"].as_str().unwrap().contains(key), "{answer:?}");
}

/// Whoever was cut off has been noticed, and every callback has its outcome.
fn assert_at_rest(bridge: &Bridge) {
    eventually("at rest", || (bridge.metric("ci_bridge_in_flight") == 0.0).then_some(()));
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn what_a_body_may_be_is_said_by_name() {
    let nats = nats();
    let configuration = "[ingress]\nmax_depth = 5\nmax_nodes = 50\nmax_jobs = 2\nmax_body = \"10KiB\"\n";
    let bridge = Bridge::start(&nats, configuration);
    let nested = "<a>".repeat(6);
    let nested_json = format!("{{\"a\":{}", "[".repeat(6));
    let wide = format!("<Response>{}</Response>", "<a/>".repeat(60));
    let wide_json = format!("{{\"a\":[{}1]}}", "1,".repeat(60));
    let job = "<JobsDetail><JobId>j</JobId><State>Success</State></JobsDetail>";
    let jobs = format!("<Response><EventName>TaskFinish</EventName>{}</Response>", job.repeat(3));
    let rows = [
        (nested, 400, "deeper than 5 (max_depth)"),
        (nested_json, 400, "deeper than 5 (max_depth)"),
        (wide, 413, "more than 50 elements (max_nodes)"),
        (wide_json, 413, "more than 50 values (max_nodes)"),
        (jobs, 422, "more than 2 (max_jobs)"),
        (format!("<{}/>", "n".repeat(1025)), 400, "longer than 1024"),
        (format!("{{\"{}\": 1}}", "n".repeat(1025)), 400, "longer than 1024 bytes (max_name_bytes)"),
        (" ".repeat(11 * 1024), 413, "max_body"),
    ];
    for (body, status, detail) in rows {
        let answer = bridge.post(&body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{body}: {answer:?}");
        assert_eq!(bridge.post(task("j1")).status, 200, "after {detail}");
    }
    assert_eq!(Streams::of(&nats).messages("CI").len(), 1);
    let kept = Streams::of(&nats).messages("CI_QUARANTINE");
    let of_reason =
        |reason: &str| kept.iter().filter(|kept| kept.header("Ci-Reason") == Some(reason)).count();
    assert_eq!([of_reason("syntax"), of_reason("shape"), of_reason("oversize")], [4, 1, 2]);
    assert_at_rest(&bridge);
}

#[test]
fn render_applies_the_limits_of_serve() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci-bridge.toml");
    std::fs::write(&file, "[ingress]\nmax_body = \"2KiB\"\nmax_nodes = 50\n").unwrap();
    let render = |body: &str| {
        let output = crate::support::run(&["render", "-c", file.to_str().unwrap(), "-"], body.as_bytes());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(render(&task("j1")).0, Some(0));
    let rows = [
        (" ".repeat(2049), "oversize: the body is larger than 2048 bytes (max_body)"),
        (
            format!("<Response>{}</Response>", "<a/>".repeat(60)),
            "oversize: line 1, column 207: more than 50 elements (max_nodes)",
        ),
    ];
    for (body, expected) in rows {
        let (code, said) = render(&body);
        assert_eq!(code, Some(65), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn requests_over_max_in_flight_come_again() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nmax_in_flight = 1\n");
    let held = hold(&bridge, b"");
    assert_overloaded(&bridge.post(task("j1")), "max_in_flight");
    drop(held);
    eventually("room", || (bridge.post(task("j1")).status == 200).then_some(()));
    assert_at_rest(&bridge);
}

#[test]
fn bodies_are_bounded_together_by_what_has_arrived() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nmax_body = \"2KiB\"\nmax_bytes_in_flight = \"4KiB\"\n");
    let announced: Vec<_> = (0..8).map(|_| hold(&bridge, b"")).collect();
    assert_eq!(bridge.post(task("j1")).status, 200, "what is only announced takes nothing");
    let bytes = |bytes: f64| {
        eventually("held", || (bridge.metric("ci_bridge_bytes_in_flight") == bytes).then_some(()));
    };
    let arrived = [hold(&bridge, &[b' '; 1990]), hold(&bridge, &[b' '; 1990])];
    bytes(3980.0);
    let answer = bridge.post(task("j2"));
    assert_overloaded(&answer, "max_bytes_in_flight");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(bridge.metric("ci_bridge_rejections_total{reason=\"too_many_bytes\"}"), 1.0);
    bytes(3980.0);
    drop((announced, arrived));
    bytes(0.0);
    assert_eq!(bridge.post(task("j2")).status, 200);
    assert_at_rest(&bridge);
}

#[test]
fn a_head_that_does_not_come_is_cut() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nheader_timeout = \"300ms\"\n");
    for beginning in [&b""[..], b"POST", b"POST /ci/callback HTTP/1.1\r\nHost: x\r\nX: "] {
        let since = Instant::now();
        let mut connection = Connection::open(bridge.address);
        connection.write(beginning);
        connection.read_to_end();
        assert!(since.elapsed() >= Duration::from_millis(250), "{beginning:?}");
        assert_eq!(bridge.post(task("j1")).status, 200);
    }
    assert_at_rest(&bridge);
}

#[test]
fn who_asks_and_does_not_read_is_cut() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nheader_timeout = \"500ms\"\n");
    let mut greedy = Connection::open(bridge.address);
    let requests = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    while greedy.write_within(&requests, Duration::from_millis(300)) {}
    eventually("cut", || (bridge.metric("ci_bridge_connections") == 0.0).then_some(()));
    assert!(bridge.metric("ci_bridge_callbacks_received_total") > 1000.0);
    assert_eq!(bridge.post(task("j1")).status, 200);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
#[cfg(target_os = "linux")]
fn files_are_raised_to_the_connections_that_are_allowed() {
    let nats = nats();
    let bridge = Bridge::start_in_shell(&nats, "ulimit -S -n 128", "[ingress]\nmax_connections = 500\n");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", bridge.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().nth(3), Some("756"), "{limits}");
    assert!(!bridge.log().contains("too few open files"));
}

#[test]
fn without_files_whoever_waits_makes_room_too() {
    let nats = nats();
    let bridge = Bridge::start_in_shell(&nats, "ulimit -n 64", "");
    let idle: Vec<_> = (0..80).map(|_| Connection::open(bridge.address)).collect();
    bridge.logged("cannot accept a connection");
    let mut good = Connection::open(bridge.address);
    assert_eq!(good.post(&task("j1")).unwrap().status, 200);
    bridge.logged("the system allows too few open files");
    drop(idle);
    assert_at_rest(&bridge);
}

#[test]
fn who_waits_longest_makes_room_for_who_comes() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nmax_connections = 3\n");
    let mut idle = Connection::open(bridge.address);
    assert_eq!(idle.post(&task("j1")).unwrap().status, 200);
    let mut silent = Connection::open(bridge.address);
    let mut busy = hold(&bridge, b"");
    eventually("all are taken", || (bridge.metric("ci_bridge_connections") == 3.0).then_some(()));
    let evicted = || bridge.metric("ci_bridge_connections_closed_total{reason=\"evicted\"}");
    for _ in 0..3 {
        // Those that have not waited a moment yet are left alone.
        eventually("room", || (bridge.post(task("j1")).status == 200).then_some(()));
    }
    assert!(evicted() >= 1.0);
    assert_eq!(idle.read_to_end(), b"", "it had waited longest");
    // Two that keep posting, and the one in progress, are never closed for another.
    // The last to post may not be gone yet, nor the silent one have waited long enough.
    let others: Vec<_> = (0..2).map(|_| eventually("room", || hold_if_there_is_room(&bridge))).collect();
    assert_eq!(silent.read_to_end(), b"");
    assert_overloaded(&Connection::open(bridge.address).read_answer(), "max_connections");
    assert!(bridge.metric("ci_bridge_connections_closed_total{reason=\"no_room\"}") >= 1.0);
    busy.write(&[b' '; 2000]);
    assert_eq!(busy.read_answer().status, 400, "it was left in peace");
    drop(others);
    assert_at_rest(&bridge);
}

/// The head of a request without a right to be here; its body is announced and need not come.
const STRANGER: &[u8] = b"POST /ci/callback/wrong HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";

#[test]
fn a_refusal_is_answered_before_its_body_has_come() {
    const STRANGERS: usize = 20;
    let nats = nats();
    let bridge = Bridge::start(&nats, "[[ingress.endpoints]]\ntokens = [\"s3cret\"]\n");
    for _ in 0..STRANGERS {
        let mut stranger = Connection::open(bridge.address);
        stranger.write(STRANGER);
        let answer = stranger.read_answer();
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    // A quarter of a second each is what waiting for their bodies took.
    assert!(bridge.metric("ci_bridge_answer_seconds_sum") < 0.25 * STRANGERS as f64);
    assert_at_rest(&bridge);
}

#[test]
fn who_was_refused_keeps_nobody_out() {
    const PLACES: usize = 8;
    let nats = nats();
    let configuration =
        format!("[ingress]\nmax_connections = {PLACES}\n[[ingress.endpoints]]\ntokens = [\"s3cret\"]\n");
    let bridge = Bridge::start(&nats, &configuration);
    for unfinished in [&b"<Resp"[..], &[b' '; 1000]] {
        let mut strangers: Vec<_> = (0..PLACES).map(|_| Connection::open(bridge.address)).collect();
        for stranger in &mut strangers {
            stranger.write(STRANGER);
            stranger.write(unfinished);
            assert_eq!(stranger.read_answer().status, 401);
        }
        // All places are taken: by strangers who still write, or could ask again. Each makes room at once.
        let mut good: Vec<_> = (0..PLACES).map(|_| Connection::open(bridge.address)).collect();
        for (number, connection) in good.iter_mut().enumerate() {
            let body = task(&format!("j{number}"));
            let length = body.len();
            let head =
                format!("POST /ci/callback/s3cret HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
            connection.write(format!("{head}{body}").as_bytes());
            assert_eq!(connection.read_answer().status, 200, "{number}");
        }
        drop((strangers, good));
        eventually("all are gone", || (bridge.metric("ci_bridge_connections") == 0.0).then_some(()));
    }
    assert_eq!(bridge.metric("ci_bridge_connections_closed_total{reason=\"no_room\"}"), 0.0);
    assert_at_rest(&bridge);
}
