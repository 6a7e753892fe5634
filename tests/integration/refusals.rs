//! Callbacks that are refused before they are parsed: kept nowhere, but said, once in a while and without a secret.

use crate::support::{Authority, Bridge, Connection, Streams, eventually, nats, task};

/// The warnings of refused callbacks, in their order.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains(" WARN ") && line.contains("callback refused")).collect()
}

#[test]
fn a_refused_callback_leaves_one_warning_and_no_secret() {
    let nats = nats();
    let configuration = "[ingress]\nmax_body = \"2KiB\"\nbody_timeout = \"300ms\"\n\
        [[ingress.endpoints]]\nname = \"tenant-a\"\ntokens = [\"s3cret\"]\nallow_buckets = [\"media-*\"]\n\
        [[ingress.endpoints]]\nname = \"tenant-b\"\npath = \"/b\"\nallow_from = [\"10.0.0.0/8\"]\n";
    let bridge = Bridge::start(&nats, configuration);
    let other_bucket = task("j1").replace("media-", "other-");
    let large = " ".repeat(3000);
    let path = "/ci/callback/s3cret";
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str, &'a str);
    let rows: [Row<'_>; 6] = [
        ("/ci/callback/gu3ss", &[], "<x/>", 401, "unauthenticated", "bytes=4"),
        ("/ci/callback", &[("Authorization", "Bearer gu3ss")], "<x/>", 401, "", ""),
        ("/b", &[], "<x/>", 403, "address_not_allowed", "allow_from"),
        (path, &[], &other_bucket, 403, "bucket_not_allowed", "allow_buckets"),
        (path, &[], &large, 413, "body_too_large", "bytes=3000"),
        (path, &[("Content-Encoding", "gzip")], "<x/>", 415, "content_coding", "gzip"),
    ];
    let mut expected = Vec::new();
    for (path, headers, body, status, reason, detail) in rows {
        // Again and again: what is said once is not said again at once.
        for _ in 0..3 {
            assert_eq!(bridge.post_to(path, headers, body).status, status, "{path} {headers:?}");
        }
        if !reason.is_empty() {
            expected.push((reason, detail, if path == "/b" { "tenant-b" } else { "tenant-a" }));
        }
    }
    let mut slow = Connection::open(bridge.address);
    slow.write(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n<Resp").as_bytes());
    assert_eq!(slow.read_answer().status, 408);
    expected.push(("body_too_slow", "body_timeout", "tenant-a"));
    // What was no callback leaves none.
    assert_eq!(bridge.post_to("/nowhere", &[], "").status, 404);
    let complete = || (warnings(&bridge.log()).len() >= expected.len()).then(|| bridge.log());
    let log = eventually("all are said", complete);
    let warnings = warnings(&log);
    assert_eq!(warnings.len(), expected.len(), "{log}");
    for (warning, (reason, detail, endpoint)) in warnings.into_iter().zip(expected) {
        for part in
            [&format!("reason=\"{reason}\""), detail, &format!("endpoint=\"{endpoint}\""), "peer=127.0.0.1"]
        {
            assert!(warning.contains(part), "{part} in {warning}");
        }
    }
    assert!(!log.contains("s3cret") && !log.contains("gu3ss"), "{log}");
    assert!(Streams::of(&nats).messages("CI").is_empty());
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn a_callback_without_a_bucket_is_told_what_to_configure() {
    let moderation = std::fs::read_to_string(crate::support::repository(
        "tests/fixtures/moderation-simple-text/body.json",
    ));
    let moderation = moderation.expect("a moderation of a text, which is in no bucket");
    let nats = nats();
    let listed = |list: &str| format!("[[ingress.endpoints]]\nallow_buckets = {list}\n");
    let refusing = Bridge::start(&nats, &listed("[\"media-*\"]"));
    let answer = refusing.post(&moderation);
    assert_eq!(answer.status, 403, "{answer:?}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("names no bucket") && detail.contains("allow_buckets must hold \"\""),
        "{detail}"
    );
    let taking = Bridge::start(&nats, &listed("[\"media-*\", \"\"]"));
    assert_eq!(taking.post(&moderation).status, 200, "as the answer said");
    assert_eq!(taking.post(task("j1").replace("media-", "other-")).status, 403, "no other bucket for that");
}

#[test]
fn strangers_fill_no_log_and_are_summed_up() {
    const POSTS: usize = 60;
    const HANDSHAKES: usize = 7;
    let nats = nats();
    let authority = Authority::new();
    authority.sign("bridge");
    let endpoints = "[[ingress.endpoints]]\nname = \"open\"\nallow_unauthenticated = true\n\
        [[ingress.endpoints]]\nname = \"closed\"\npath = \"/closed\"\ntokens = [\"s3cret\"]\n";
    let bridge = Bridge::start(&nats, &format!("{}{endpoints}", authority.section("bridge")));
    let mut client = Connection::open_tls(bridge.address, authority.client(None, &[]));
    for _ in 0..POSTS {
        for (path, status) in [("/ci/callback", 400), ("/closed", 401)] {
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
            client.write(format!("{head}<no>").as_bytes());
            let answer = client.read_answer();
            assert_eq!(answer.status, status, "{answer:?}");
        }
    }
    for _ in 0..HANDSHAKES {
        // Plain HTTP.
        let mut plain = Connection::open(bridge.address);
        plain.write(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(plain.read_answer().status, 400);
    }
    let (_, log) = bridge.terminate();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).collect::<Vec<_>>();
    assert_eq!(lines("WARN kept in quarantine ").len(), 5, "{log}");
    assert_eq!(lines("callback refused, and kept nowhere").len(), 1, "{log}");
    let sums = [
        ("bodies kept in quarantine in the last minute", POSTS, "endpoint=\"open\""),
        ("callbacks refused in the last minute", POSTS, "reason=\"unauthenticated\" endpoint=\"closed\""),
        ("TLS handshakes failed in the last minute", HANDSHAKES, "reason=\"plain_text\""),
    ];
    for (words, count, parts) in sums {
        let [line] = lines(words)[..] else { panic!("{words}: {log}") };
        assert!(line.contains(&format!("count={count}")) && line.contains(parts), "{line}");
    }
}
