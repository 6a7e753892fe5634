//! The API that `ci-bridge spool` asks.

use super::{WITH_TOKEN, spool_of, stopped_nats};
use crate::support::{Bridge, request, signal, task};

/// Status of a request to the API.
fn ask(bridge: &Bridge, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    request(bridge.admin, method, path, headers, b"").status
}

#[test]
fn the_api_is_for_those_who_may() {
    let nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "[admin]\nhosts = [\"bridge.example\"]\n");
    std::fs::write(bridge.folder().join("admin-token"), "s3cret\nnew\n").unwrap();
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    const MESSAGE: &str = "/api/v1/spool/messages/task%3Aj1%3ASuccess";
    // Without a token configured: read, on loopback with bodies, and nothing else.
    for (method, path, expected) in [
        ("GET", "/api/v1/spool", 200),
        ("GET", "/api/v1/spool/messages?whole=true", 200),
        ("GET", MESSAGE, 200),
        ("DELETE", MESSAGE, 403),
        ("DELETE", "/api/v1/spool/messages?all=true", 403),
        ("POST", "/api/v1/spool/messages", 405),
        ("OPTIONS", MESSAGE, 405),
        ("DELETE", "/api/v1/spool", 405),
        ("GET", "/api/v1/", 404),
        ("GET", "/api/v1/spool/messages/none", 404),
        ("GET", "/api/v2/spool", 404),
        ("GET", "/livez", 200),
    ] {
        assert_eq!(ask(&bridge, method, path, &[]), expected, "{method} {path}");
    }
    let answer = bridge.get(MESSAGE);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(
        (answer.header("cache-control"), answer.header("content-type")),
        (Some("no-store"), Some("application/json"))
    );
    // A page of another name is not served, whatever it asks for; the probes know no names.
    for (host, expected) in
        [("evil.example", 421), ("bridge.example:80", 200), ("localhost", 200), ("127.0.0.1", 200)]
    {
        assert_eq!(of_host(&bridge, "/api/v1/spool", host), expected, "{host}");
        assert_eq!(of_host(&bridge, "/livez", host), 200, "{host}");
    }
    let bridge = bridge.kill_and_restart_with(WITH_TOKEN);
    for (method, path, authorization, expected) in [
        ("GET", "/api/v1/spool", "", 401),
        ("GET", "/api/v1/spool", "Bearer guess", 401),
        ("GET", "/api/v1/spool", "Bearer s3cre", 401),
        ("GET", "/api/v1/spool?token=s3cret", "", 401),
        ("DELETE", MESSAGE, "Bearer s3cret ", 200),
        ("DELETE", MESSAGE, "Bearer new", 404),
        ("DELETE", "/api/v1/spool/messages", "Bearer new", 400),
        ("DELETE", "/api/v1/spool/messages?all=true", "Bearer new", 200),
        ("DELETE", "/api/v1/spool/messages?all=true", "Bearer old", 401),
        ("GET", "/readyz", "", 503),
        ("GET", "/metrics", "", 200),
    ] {
        let headers: &[_] = if authorization.is_empty() { &[] } else { &[("Authorization", authorization)] };
        assert_eq!(ask(&bridge, method, path, headers), expected, "{method} {path} {authorization}");
    }
    // Rotated like other tokens.
    std::fs::write(bridge.folder().join("admin-token"), "newer\n").unwrap();
    signal("HUP", bridge.id());
    // Ten wrong tokens would lock this address out.
    bridge.logged(" configuration reloaded ");
    assert_eq!(ask(&bridge, "GET", "/api/v1/spool", &[("Authorization", "Bearer newer")]), 200);
    assert_eq!(ask(&bridge, "GET", "/api/v1/spool", &[("Authorization", "Bearer s3cret")]), 401);
}

/// The status of a GET with this Host and no other.
fn of_host(bridge: &Bridge, path: &str, host: &str) -> u16 {
    let mut connection = crate::support::Connection::open(bridge.admin);
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes());
    connection.read_answer().status
}

#[test]
fn no_id_and_no_parameter_breaks_the_api() {
    let nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "");
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    let characters = b"%2fF.~/@:&=?;+,'\"\\<>{}|^`[]0azAZ-_*!$()#\x7f\xc3\xa9";
    // As random as a test may be that fails again when it has failed.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    for prefix in ["/api/v1/spool/messages/", "/api/v1/spool/messages?", "/api/v1/spool?", "/api/v1/"] {
        for _ in 0..150 {
            let mut path = prefix.as_bytes().to_vec();
            path.extend((0..next() % 40).map(|_| characters[next() % characters.len()]));
            let mut connection = crate::support::Connection::open(bridge.admin);
            let rest = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            connection.write(&[b"GET ", &path[..], rest].concat());
            let status = connection.read_answer().status;
            assert!([200, 400, 404].contains(&status), "{status}: {:?}", String::from_utf8_lossy(&path));
        }
    }
    for path in
        ["/api/v1/spool/messages?limit=1001", "/api/v1/spool/messages?limit=0", "/api/v1/spool?limit=1"]
    {
        assert_eq!(bridge.get(path).status, 400, "{path}");
    }
    assert_eq!(bridge.get("/api/v1/spool").json()["messages"], 1);
    let (_, log) = bridge.terminate();
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn pages_follow_one_another() {
    let nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "");
    let jobs: Vec<_> = (0..7).map(|number| format!("task:j{number}:Success")).collect();
    for number in 0..jobs.len() {
        assert_eq!(bridge.post(task(&format!("j{number}"))).status, 200);
    }
    let (mut found, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = bridge.get(&format!("/api/v1/spool/messages?limit=3{after}")).json();
        pages += 1;
        found.extend(
            page["messages"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!((found, pages), (jobs, 3));
    let (_, list, _) = spool_of(&bridge, &["list", "--limit", "1"]);
    assert!(list.lines().nth(1).unwrap().contains("not connected to NATS at "), "{list}");
}
