//! What a sender is answered: the statuses of the contract, with real bytes over real sockets.

use std::net::SocketAddr;

use serde_json::json;

use crate::support::{Answer, Bridge, Connection, Streams, nats, request, task};

const TOKENS: &str = "[[ingress.endpoints]]\ntokens = [\"s3cret\", \"n3xt\"]\n";

#[test]
fn requests_that_are_no_callbacks_are_told_why() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nmax_body = \"2KiB\"\n");
    let body = task("j1");
    let body = body.as_bytes();
    let large = vec![b' '; 3000];
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let rows: [Row<'_>; 10] = [
        ("POST", "/", &[], body, 404, "no endpoint"),
        ("POST", "/ci/callback/x", &[], body, 404, "no endpoint"),
        ("GET", "/ci/callback", &[], b"", 405, "POST"),
        ("PUT", "/ci/callback", &[], body, 405, "POST"),
        ("POST", "/ci/callback", &[("Content-Encoding", "gzip")], body, 415, "gzip"),
        (
            "POST",
            "/ci/callback",
            &[("Content-Encoding", "identity"), ("Content-Encoding", "br")],
            body,
            415,
            "br",
        ),
        ("POST", "/ci/callback", &[], &large, 413, "max_body"),
        ("POST", "/ci/callback", &[], b"", 400, "empty"),
        ("POST", "/ci/callback", &[], b"{\"a\":1}", 422, "not a callback"),
        ("POST", "/ci/callback", &[], b"<Response>", 400, "cut off"),
    ];
    for (method, path, headers, body, status, detail) in rows {
        let answer = request(bridge.address, method, path, headers, body);
        let context = format!("{method} {path} {headers:?}: {answer:?}");
        assert_eq!(answer.status, status, "{context}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{context}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{context}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{context}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"), "{context}");
    }
    assert!(Streams::of(&nats).messages("CI").is_empty());
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn a_problem_names_line_and_column() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let problem = bridge.post("{\n  \"EventName\": \"TaskFinish\",\n}").json();
    assert_eq!((&problem["line"], &problem["column"]), (&json!(3), &json!(1)), "{problem}");
}

#[test]
fn the_answer_lists_every_message_and_its_place() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let expected = |duplicate: bool| {
        json!({"outcome": "published", "messages": [{
            "subject": "ci.task.NoiseReduction.success", "id": "task:j1:Success",
            "stream": "CI", "seq": 1, "duplicate": duplicate,
        }]})
    };
    let answer = bridge.post(task("j1"));
    assert_eq!((answer.status, answer.json()), (200, expected(false)));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(bridge.post(task("j1")).json(), expected(true));
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"published\"}"), 1.0);
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"duplicate\"}"), 1.0);
    assert_eq!(bridge.metric("ci_bridge_messages_total{kind=\"task\",outcome=\"published\"}"), 1.0);
}

#[test]
fn a_token_is_accepted_in_four_places_and_nothing_else_is() {
    let nats = nats();
    let bridge = Bridge::start(&nats, TOKENS);
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let rows: [Row<'_>; 10] = [
        ("/ci/callback/s3cret", &[], 200),
        ("/ci/callback/n3xt", &[], 200),
        ("/ci/callback?token=s3cret", &[], 200),
        ("/ci/callback", &[("Authorization", "Bearer s3cret")], 200),
        ("/ci/callback", &[("Authorization", "Basic dGVuY2VudDpzM2NyZXQ=")], 200),
        ("/ci/callback", &[], 401),
        ("/ci/callback/wrong", &[], 401),
        ("/ci/callback?token=", &[], 401),
        ("/ci/callback", &[("Authorization", "Bearer S3CRET")], 401),
        ("/ci/callback", &[("Authorization", "Digest s3cret")], 401),
    ];
    for (index, (path, headers, status)) in rows.into_iter().enumerate() {
        let answer = bridge.post_to(path, headers, task(&format!("j{index}")));
        assert_eq!(answer.status, status, "{path} {headers:?}: {answer:?}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        assert!(!answer.text().contains("s3cret") && !answer.text().contains("wrong"), "{answer:?}");
    }
    assert_eq!(Streams::of(&nats).messages("CI").len(), 5, "nothing unauthenticated is published");
    assert_eq!(bridge.metric("ci_bridge_rejections_total{reason=\"unauthenticated\"}"), 5.0);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn addresses_and_buckets_off_the_allow_list_are_refused() {
    let nats = nats();
    let configuration = "[[ingress.endpoints]]\nallow_from = [\"10.0.0.0/8\"]\ntrusted_proxies = 1\n\
        allow_buckets = [\"media-*\"]\n";
    let bridge = Bridge::start(&nats, configuration);
    let other_bucket = task("j1").replace("media-", "other-");
    let no_bucket = "<Response><JobsDetail><JobId>j1</JobId></JobsDetail></Response>".to_owned();
    let inside = ("X-Forwarded-For", "198.51.100.1, 10.1.2.3");
    let rows = [
        (vec![], task("j1"), 403),
        (vec![("X-Forwarded-For", "10.1.2.3, 198.51.100.1")], task("j1"), 403),
        (vec![inside], other_bucket, 403),
        (vec![inside], no_bucket, 403),
        (vec![inside], task("j1"), 200),
    ];
    for (headers, body, status) in rows {
        let answer = bridge.post_to("/ci/callback", &headers, &body);
        assert_eq!(answer.status, status, "{headers:?} {body}: {answer:?}");
    }
    assert_eq!(Streams::of(&nats).messages("CI").len(), 1);
}

#[test]
fn a_chunked_body_is_bounded_like_any_other() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nmax_body = \"1KiB\"\n");
    let chunk = format!("{:x}\r\n{}\r\n", 700, " ".repeat(700));
    let chunked = |chunks: &[&str]| {
        let mut connection = Connection::open(bridge.address);
        connection.write(b"POST /ci/callback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        chunks.iter().for_each(|chunk| connection.write(chunk.as_bytes()));
        connection.read_answer()
    };
    // The second answer comes although the body never ends.
    assert_eq!(chunked(&[&chunk, "0\r\n\r\n"]).status, 400, "white space is no callback");
    assert_eq!(chunked(&[&chunk, &chunk]).status, 413);
    let body = task("j1");
    let small = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(chunked(&[&small]).status, 200);
    // The fields behind a body are counted like those before it, against max_headers.
    let with_trailers =
        |count| format!("{:x}\r\n{body}\r\n0\r\n{}\r\n", body.len(), "A: b\r\n".repeat(count));
    assert_eq!(chunked(&[&with_trailers(64)]).status, 200);
    let answer = chunked(&[&with_trailers(65)]);
    assert_eq!((answer.status, answer.header("connection")), (431, Some("close")), "{answer:?}");
    assert!(answer.text().contains("max_headers"), "{answer:?}");
    assert_eq!(chunked(&[&with_trailers(101)]).status, 400, "hyper itself reads no more than 100");
    assert_eq!(bridge.metric("ci_bridge_rejections_total{reason=\"too_many_headers\"}"), 1.0);
}

#[test]
fn a_body_that_does_not_come_is_answered_in_time() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nbody_timeout = \"200ms\"\n");
    let head = "POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n<Resp";
    let mut slow = Connection::open(bridge.address);
    slow.write(head.as_bytes());
    assert_eq!(slow.read_answer().status, 408);
    let mut cut = Connection::open(bridge.address);
    cut.write(head.as_bytes());
    cut.close_write();
    drop(cut);
    crate::support::eventually("the sender that left is counted", || {
        (bridge.metric("ci_bridge_callbacks_total{outcome=\"rejected\"}") >= 2.0).then_some(())
    });
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn too_many_connections_are_told_to_come_again() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\nmax_connections = 2\n");
    let held = [Connection::open(bridge.address), Connection::open(bridge.address)];
    for mut connection in held {
        connection.write(b"POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
        std::mem::forget(connection);
    }
    crate::support::eventually("both are busy", || {
        (bridge.metric("ci_bridge_in_flight") >= 2.0).then_some(())
    });
    let answer = Connection::open(bridge.address).read_answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
}

#[test]
fn one_connection_serves_many_callbacks() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let mut connection = Connection::open(bridge.address);
    for job in ["j1", "j2", "j3"] {
        let answer = keep_alive(&mut connection, bridge.address, &task(job));
        assert_eq!(answer.status, 200);
    }
    assert_eq!(Streams::of(&nats).messages("CI").len(), 3);
}

fn keep_alive(connection: &mut Connection, to: SocketAddr, body: &str) -> Answer {
    let head = format!("POST /ci/callback HTTP/1.1\r\nHost: {to}\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write(head.as_bytes());
    connection.write(body.as_bytes());
    connection.read_answer()
}

#[test]
fn metrics_are_written_in_the_form_that_is_asked_for() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    assert_eq!(bridge.post(task("j1")).status, 200);
    let scrape = |accept: &str| request(bridge.admin, "GET", "/metrics", &[("Accept", accept)], b"");
    let open_metrics = scrape("application/openmetrics-text; version=1.0.0; q=0.5, text/plain; q=0.3");
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(open_metrics.header("content-type"), Some(content_type));
    assert!(open_metrics.text().ends_with("# EOF\n"));
    let plain = scrape("text/plain");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = plain.text();
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    assert!(text.contains("\nci_bridge_callbacks_total{outcome=\"published\"} 1\n"), "{text}");
    // Each sample stands behind the TYPE of its own name.
    let mut named = "";
    for line in text.lines().filter(|line| !line.starts_with("# HELP ")) {
        match line.strip_prefix("# TYPE ") {
            Some(line) => named = line.split(' ').next().unwrap(),
            None => {
                let name = line.split(['{', ' ']).next().unwrap();
                let suffix = name.strip_prefix(named).unwrap_or("?");
                assert!(matches!(suffix, "" | "_bucket" | "_sum" | "_count"), "{name} behind {named}");
            }
        }
    }
}
