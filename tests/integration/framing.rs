//! Bytes that are no request, or could be read as two different ones: each is told why, and nothing comes of it.

use crate::support::{Bridge, Connection, Streams, eventually, nats, task};

/// A request with these header lines before a body of five bytes.
fn with(lines: &str) -> Vec<u8> {
    format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\n{lines}\r\nhello").into_bytes()
}

fn rejections(bridge: &Bridge, reason: &str) -> f64 {
    bridge.metric(&format!("ci_bridge_rejections_total{{reason=\"{reason}\"}}"))
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let line = |line: &str| format!("{line}\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").into_bytes();
    let host = |host: &str| {
        format!("POST /ci/callback HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello").into_bytes()
    };
    let chunked = |body: &str| {
        format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
            .into_bytes()
    };
    let many = (0..65).map(|n| format!("X-{n}: v\r\n")).collect::<String>();
    let long = format!("X-Long: {}\r\n", "v".repeat(16 * 1024));
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        // Where the body ends.
        ("two_content_lengths", with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400),
        ("two_content_lengths", with("Content-Length: 5\r\ncontent-length: 6\r\n"), 400),
        ("length_and_encoding", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
        ("length_and_encoding", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400),
        ("content_length", with("Content-Length: +5\r\n"), 400),
        ("content_length", with("Content-Length: -5\r\n"), 400),
        ("content_length", with("Content-Length: 5, 5\r\n"), 400),
        ("content_length", with("Content-Length: 0x5\r\n"), 400),
        ("content_length", with("Content-Length: 5 5\r\n"), 400),
        ("content_length", with("Content-Length:\r\n"), 400),
        ("content_length", with("Content-Length: 99999999999999999999\r\n"), 400),
        ("content_length", with("Content-Length: 18446744073709551615\r\n"), 400),
        ("transfer_encoding", with("Transfer-Encoding: gzip, chunked\r\n"), 400),
        ("transfer_encoding", with("Transfer-Encoding: chunked, chunked\r\n"), 400),
        ("transfer_encoding", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400),
        ("transfer_encoding", with("Transfer-Encoding: identity\r\n"), 400),
        ("transfer_encoding", with("Transfer-Encoding: xchunked\r\n"), 400),
        ("control_character", with("Transfer-Encoding: \x0bchunked\r\n"), 400),
        (
            "transfer_encoding",
            b"POST /ci/callback HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            400,
        ),
        // Where a line ends.
        ("bare_line_feed", with("X: y\nContent-Length: 5\r\n"), 400),
        ("bare_line_feed", b"POST /ci/callback HTTP/1.1\nHost: x\n\n".to_vec(), 400),
        ("bare_line_feed", b"POST /ci/callback HTTP/1.1\r\nHost: x\r\n\nhello".to_vec(), 400),
        ("bare_line_feed", b"\nPOST /ci/callback HTTP/1.1\r\n".to_vec(), 400),
        ("bare_carriage_return", with("X: y\rContent-Length: 5\r\n"), 400),
        ("folded_header", with("X: y\r\n Content-Length: 5\r\n"), 400),
        ("folded_header", with("Content-Length: 5\r\n\tz\r\n"), 400),
        ("folded_header", b"POST /ci/callback HTTP/1.1\r\n Host: x\r\n\r\n".to_vec(), 400),
        ("control_character", with("X: a\0b\r\n"), 400),
        ("control_character", with("X: \x1b[31m\r\n"), 400),
        // What a header is called.
        ("header_name", with("Content-Length : 5\r\n"), 400),
        ("header_name", with("Content-Length\t: 5\r\n"), 400),
        ("header_name", with(": 5\r\n"), 400),
        ("header_name", with("Content-Length\r\n"), 400),
        ("header_name", with("Content(Length): 5\r\n"), 400),
        ("host", with("Host: y\r\n"), 400),
        ("host", b"POST /ci/callback HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_vec(), 400),
        ("host", host("a, b"), 400),
        ("host", host("user@a"), 400),
        ("host", host("[::1"), 400),
        ("host", host("a:b"), 400),
        ("host", host("a/b"), 400),
        ("two_authorizations", with("Authorization: Bearer a\r\nAuthorization: Bearer a\r\n"), 400),
        // The first line.
        ("request_line", b"GET /ci/callback\r\n\r\n".to_vec(), 400),
        ("request_line", line("POST  /ci/callback HTTP/1.1"), 400),
        ("request_line", line("POST /ci/callback  HTTP/1.1"), 400),
        ("request_line", line("POST /ci/callback HTTP/1.1 "), 400),
        ("request_line", line("POST\t/ci/callback\tHTTP/1.1"), 400),
        ("request_line", line("P@ST /ci/callback HTTP/1.1"), 400),
        ("request_line", line("! /bare_line_feed HTTP/1.1"), 400),
        ("request_line", b"\r\n\r\n\r\n".to_vec(), 400),
        ("request_line", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(), 400),
        ("request_line", b"{}".to_vec(), 400),
        ("version", line("POST /ci/callback HTTP/1.2"), 400),
        ("version", line("POST /ci/callback HTTP/3.0"), 400),
        ("version", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), 400),
        ("target", line("POST ci/callback HTTP/1.1"), 400),
        ("target", line("CONNECT x:443 HTTP/1.1"), 400),
        ("target", line("POST http://[/ci/callback HTTP/1.1"), 400),
        ("target", line("POST httpx://x/ci/callback HTTP/1.1"), 400),
        ("target", line("POST http:/ci/callback HTTP/1.1"), 400),
        ("target", line("POST http:///ci/callback HTTP/1.1"), 400),
        ("target", line("POST http://user@x/ci/callback HTTP/1.1"), 400),
        // Where a chunk begins and ends.
        ("body_broken", chunked("5 \r\nhello\r\n0\r\n\r\n"), 400),
        ("body_broken", chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400),
        ("body_broken", chunked("+5\r\nhello\r\n0\r\n\r\n"), 400),
        ("body_broken", chunked("5;\r\nhello\r\n0\r\n\r\n"), 400),
        ("body_broken", chunked("5;x y\r\nhello\r\n0\r\n\r\n"), 400),
        ("body_broken", chunked("5;x=\"\r\nhello\r\n0\r\n\r\n"), 400),
        ("body_broken", chunked("5\nhello\r\n0\r\n\r\n"), 400),
        ("body_broken", chunked("5\r\nhello\n0\r\n\r\n"), 400),
        ("body_broken", chunked("5\r\nhello00\r\n\r\n"), 400),
        ("body_broken", chunked("ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400),
        ("body_broken", chunked("0\r\nA b\r\n\r\n"), 400),
        ("body_broken", chunked("0\r\nA: b\r\n c\r\n\r\n"), 400),
        ("target", line("POST /ci/call<back HTTP/1.1"), 400),
        ("target", line("POST /ci/callback#x HTTP/1.1"), 400),
        ("target", line("POST /ci/回调 HTTP/1.1"), 400),
        // Too much.
        ("too_many_headers", with(&many), 431),
        ("head_too_large", with(&long), 431),
        ("head_too_large", line(&format!("POST /{} HTTP/1.1", "p".repeat(16 * 1024))), 431),
    ];
    let mut published = 0;
    for (reason, bytes, status) in &rows {
        let context = format!("{reason}: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]));
        let before = rejections(&bridge, reason);
        let mut connection = Connection::open(bridge.address);
        connection.write(bytes);
        let answer = connection.read_answer();
        assert_eq!(answer.status, *status, "{context}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{context}");
        assert_eq!(answer.header("connection"), Some("close"), "{context}");
        let problem = answer.json();
        assert_eq!(problem["status"], *status, "{context}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{context}: {problem}");
        assert_eq!(rejections(&bridge, reason), before + 1.0, "{context}");
        // What follows is never read as a request.
        connection.write(b"POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(connection.read_to_end(), b"", "{context}");
        published += 1;
        assert_eq!(bridge.post(task(&format!("j{published}"))).status, 200, "{context}: a good one after it");
    }
    assert_eq!(Streams::of(&nats).messages("CI").len(), published, "the good ones and nothing else");
    assert!(Streams::of(&nats).messages("CI_QUARANTINE").is_empty());
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn unusual_but_clear_requests_are_served() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let body = task("j1");
    let length = body.len();
    let heads = [
        format!("POST /ci/callback HTTP/1.1\r\nHost:x\r\ncOnTeNt-LeNgTh:{length}\r\n\r\n"),
        format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: \t {length} \t\r\n\r\n"),
        format!("\r\nPOST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST /ci/callback HTTP/1.0\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST http://x/ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST HTTP://x/ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST https://[::1]:443/ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST /ci/callback HTTP/1.1\r\nHost: [::1]:8080\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST /ci/callback HTTP/1.1\r\nHost:\r\nContent-Length: {length}\r\n\r\n"),
        format!("POST /ci/callback? HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nContent-Length: {length}\r\n\r\n"),
        format!(
            "POST /ci/callback HTTP/1.1\r\nHost: x\r\nX-Text: h\u{e9}\r\nContent-Length: {length}\r\n\r\n"
        ),
        format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: 00{length}\r\n\r\n"),
        format!(
            "POST /ci/callback HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: {length}\r\n\r\n"
        ),
    ];
    let chunked = "POST /ci/callback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let first = &body[..10];
    let bodies = [
        format!("A;x\r\n{first}\r\n00{:X} ; a = \"b \\\" c\"\r\n{}\r\n000\r\n\r\n", length - 10, &body[10..]),
        format!("{length:x}\r\n{body}\r\n0;last\r\nX-Checksum: 1\r\n\r\n"),
    ];
    let requests = heads.map(|head| format!("{head}{body}"));
    for request in requests.into_iter().chain(bodies.map(|body| format!("{chunked}{body}"))) {
        // Whole, and byte by byte.
        let request = request.into_bytes();
        for piece in [request.len(), 1] {
            let mut connection = Connection::open(bridge.address);
            request.chunks(piece).for_each(|piece| connection.write(piece));
            assert_eq!(
                connection.read_answer().status,
                200,
                "{:?} in pieces of {piece}",
                String::from_utf8_lossy(&request)
            );
        }
    }
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn requests_in_one_piece_are_answered_in_their_order_up_to_the_faulty_one() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let good = |job: &str| {
        let body = task(job);
        let head = format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        format!("{head}{body}")
    };
    let faulty = "POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n";
    let all = format!("{}{}{faulty}{}", good("j1"), good("j2"), good("j3")).into_bytes();
    for piece in [all.len(), 777, 100] {
        let mut connection = Connection::open(bridge.address);
        all.chunks(piece).for_each(|piece| connection.write(piece));
        let text = String::from_utf8(connection.read_to_end()).unwrap();
        let statuses: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, ["200", "200", "400"], "{text}");
    }
    // The same behind a chunked body, which is the last of its connection.
    let body = task("j4");
    let chunked = "POST /ci/callback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let all = format!("{chunked}{:x}\r\n{body}\r\n0\r\n\r\n{}", body.len(), good("j5"));
    let mut connection = Connection::open(bridge.address);
    connection.write(all.as_bytes());
    let answer = connection.read_answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(connection.read_to_end(), b"");
    assert_eq!(Streams::of(&nats).messages("CI").len(), 3, "j1, j2 and j4");
    eventually("all connections end", || (bridge.metric("ci_bridge_connections") == 0.0).then_some(()));
    bridge.assert_every_callback_is_accounted_for();
}
