//! What a sender writes must not become a line of the log, and no secret a part of one.

use crate::support::{Bridge, Connection, Streams, nats, request, task, task_with};

/// Ends a line, colours a terminal, moves its cursor, and turns the direction of what follows.
const FORGERY: &str = "x\r\n2026-01-01T00:00:00.000000Z  INFO FORGED\u{1b}[31m\u{9b}2J\u{8}\u{202e}";

#[test]
fn no_sender_writes_a_line_of_the_log() {
    let nats = nats();
    let configuration = "[log]\nlevel = \"trace\"\n[[ingress.endpoints]]\nallow_buckets = [\"media-*\"]\n";
    let bridge = Bridge::start(&nats, configuration);
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let job = |id: &str, tag: &str, bucket: &str| {
        format!(
            "{{\"EventName\":\"TaskFinish\",\"JobsDetail\":{{\"JobId\":{},\"Tag\":{},\"State\":\"Success\",\
             \"Input\":{{\"BucketId\":{},\"Object\":{}}}}}}}",
            json(id),
            json(tag),
            json(bucket),
            json(FORGERY)
        )
    };
    let escaped: String = FORGERY.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let bodies = [
        (job(FORGERY, "Tag", "media-1"), 200),
        (job("j1", FORGERY, "media-1"), 200),
        (job("j2", "Tag", &format!("media-{FORGERY}")), 200),
        (job("j3", "Tag", FORGERY), 403),
        (task_with("j4", "Tag", "Success").replace("in/", "&#27;[31m&#10;FORGED "), 400),
        (task_with("j5&#10;FORGED&#13;", "Tag", "Success"), 200),
        (format!("<{FORGERY}>"), 400),
        (format!("<a></{FORGERY}>"), 400),
        (format!("<Response>&{FORGERY};</Response>"), 400),
        (format!("{{\"EventName\": {FORGERY}}}"), 400),
        (format!("{{{}: 1, {}: 2}}", json(FORGERY), json(FORGERY)), 0),
        (format!("{{{}: 1}}", json(FORGERY)), 422),
    ];
    for (body, status) in bodies {
        let answer = bridge.post(&body);
        assert!(status == 0 || answer.status == status, "{body}: {answer:?}");
    }
    let path = format!("/ci/callback/{escaped}?x={escaped}");
    let headers =
        [("X-Forwarded-For", "1.2.3.4"), ("User-Agent", "x\u{9b}2J"), ("Content-Encoding", "\u{9b}")];
    bridge.post_to(&path, &headers, task("j6"));
    bridge.post_to("/ci/callback", &headers, task("j6"));
    for raw in [format!("POST /{FORGERY} HTTP/1.1\r\n\r\n"), format!("{FORGERY} / HTTP/1.1\r\n\r\n")] {
        Connection::open(bridge.address).write(raw.as_bytes());
    }
    let (_, log) = bridge.terminate();
    assert!(log.contains("FORGED"), "the values are there, as values:\n{log}");
    for line in log.lines() {
        let is_ours =
            line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T') && !line.contains("FORGED")
                || line.find("FORGED").is_some_and(|at| at > 80);
        assert!(is_ours, "a forged line: {line:?}");
        let harmless = |c: char| !c.is_control() && c != '\u{202e}';
        assert!(line.chars().all(harmless), "a control character: {line:?}");
    }
}

#[test]
fn no_secret_reaches_a_log_a_metric_an_answer_or_a_message() {
    const GOOD: &str = "s3cret-and-g00d";
    const WRONG: &str = "s3cret-but-wr0ng";
    let nats = nats();
    let configuration = format!("[log]\nlevel = \"trace\"\n[[ingress.endpoints]]\ntokens = [\"{GOOD}\"]\n");
    let bridge = Bridge::start(&nats, &configuration);
    let mut answers = String::new();
    for token in [GOOD, WRONG] {
        let bearer = format!("Bearer {token}");
        let paths = [
            format!("/ci/callback/{token}"),
            format!("/ci/callback/{token}/"),
            format!("/ci/callback/{token}/more"),
            format!("/ci/callback?token={token}"),
            format!("/ci/callback?token={token}&token={token}"),
            format!("/{token}"),
            format!("/ci/{token}?{token}={token}"),
            format!("http://{token}/ci/callback/{token}"),
            "/ci/callback".to_owned(),
        ];
        for path in &paths {
            request(bridge.address, token, path, &[], b"");
            for method in ["POST", "GET"] {
                for body in [task("j1"), "<Response>".to_owned(), "{\"a\":1}".to_owned()] {
                    let headers = [("Authorization", bearer.as_str()), ("Cookie", token), (token, token)];
                    for headers in [&headers[..], &[]] {
                        let answer = request(bridge.address, method, path, headers, body.as_bytes());
                        answers.push_str(&format!("{answer:?}\n{}\n", answer.text()));
                    }
                }
            }
        }
        // Heads that are refused as such, and a sender that leaves.
        for line in ["X : y", "Content-Length: +1", "Content-Length: 9"] {
            let mut connection = Connection::open(bridge.address);
            let head =
                format!("POST /ci/callback/{token} HTTP/1.1\r\nHost: {token}\r\n{line}\r\n\r\n{token}");
            connection.write(head.as_bytes());
            connection.close_write();
            answers.push_str(&String::from_utf8_lossy(&connection.read_to_end()));
        }
    }
    let streams = Streams::of(&nats);
    let messages = format!("{:?}{:?}", streams.messages("CI"), streams.messages("CI_QUARANTINE"));
    let metrics = bridge.get("/metrics").text();
    bridge.assert_every_callback_is_accounted_for();
    let (_, log) = bridge.terminate();
    assert!(log.contains("request rejected") && metrics.contains("unauthenticated"), "{log}");
    for (place, text) in [("answer", answers), ("message", messages), ("metric", metrics), ("log", log)] {
        for line in text.lines() {
            assert!(!line.contains("s3cret"), "in a {place}: {line}");
        }
    }
}
