//! The page of the admin listener and what it reads: what came, as it comes, and what of it is kept.

mod events;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

use crate::support::{Bridge, Connection, Events, eventually, nats, request, task, task_with};

/// The facts of the last callbacks.
fn facts(bridge: &Bridge) -> Vec<Value> {
    bridge.get("/api/v1/callbacks").json()["callbacks"].as_array().unwrap().clone()
}

#[test]
fn the_page_is_three_files_that_ask_nobody_else() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let answer = bridge.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with(kind), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        for part in
            ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        let tag = answer.header("etag").unwrap();
        let again = request(bridge.admin, "GET", path, &[("If-None-Match", tag)], b"");
        assert_eq!((again.status, again.body.len()), (304, 0));
        let foreign = request_for("evil.example", bridge.admin, path);
        assert_eq!(foreign.status, 421, "{path}");
    }
    for path in ["/api/v1/status", "/api/v1/callbacks", "/api/v1/events", "/api/v1/settings", "/api/v1/none"]
    {
        let foreign = request_for("evil.example", bridge.admin, path);
        assert_eq!(foreign.status, 421, "{path}");
    }
    assert_eq!(request(bridge.admin, "POST", "/", &[], b"").status, 405);
    assert_eq!(bridge.get("/page.txt").status, 404);
}

fn request_for(host: &str, to: SocketAddr, path: &str) -> crate::support::Answer {
    let mut connection = Connection::open(to);
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes());
    connection.read_answer()
}

#[test]
fn a_page_that_is_off_is_not_there_and_the_spool_can_be_looked_at() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[admin]\npage = false\n");
    for path in ["/", "/page.js", "/api/v1/status", "/api/v1/events", "/api/v1/streams/CI/messages/1"] {
        assert_eq!(bridge.get(path).status, 404, "{path}");
    }
    assert!(bridge.get("/api/v1/status").text().contains("[admin] page = false"));
    assert_eq!(bridge.get("/api/v1/spool").status, 200);
    assert_eq!(bridge.post(task("j1")).status, 200);
}

#[test]
fn a_callback_of_a_bucket_that_is_not_allowed_names_its_endpoint_and_the_list() {
    let nats = nats();
    let endpoint = "[[ingress.endpoints]]\nname = \"tenant-a\"\nallow_buckets = [\"other-*\"]\n";
    let bridge = Bridge::start(&nats, endpoint);
    assert_eq!(bridge.post(task("j1")).status, 403);
    let facts = facts(&bridge);
    for (member, expected) in [
        ("outcome", "rejected"),
        ("reason", "bucket_not_allowed"),
        ("endpoint", "tenant-a"),
        ("rule", "allow_buckets"),
        ("bucket", "media-1300000001"),
        ("job", "j1"),
    ] {
        assert_eq!(facts[0][member], expected, "{member} of {}", facts[0]);
    }
}

#[test]
fn each_callback_leaves_a_fact_of_what_became_of_it() {
    let nats = nats();
    let rules = "
        [[rules]]
        match = { tag = \"Unwanted\" }
        drop = true
        [[rules]]
        match = { state = \"Failed\" }
        subject = \"ci.alerts.{tag}\"
    ";
    let bridge = Bridge::start(&nats, rules);
    let long = format!("{}/the-name.mp4", "a".repeat(900));
    bridge.post(task("j1"));
    bridge.post(task("j1"));
    bridge.post(task_with("j2", "Unwanted", "Success"));
    bridge.post(task_with("j3", "Transcode", "Failed").replace("in/j3.mp3", &long));
    bridge.post("<Response>\n <Broken");
    bridge.post_to("/elsewhere", &[], task("j4"));
    let facts = facts(&bridge);
    let found: Vec<_> =
        facts.iter().map(|fact| (fact["outcome"].as_str().unwrap(), fact["status"].as_u64())).collect();
    assert_eq!(
        found,
        [
            ("published", Some(200)),
            ("duplicate", Some(200)),
            ("dropped", Some(200)),
            ("published", Some(200)),
            ("quarantined", Some(400)),
            ("rejected", Some(404)),
        ]
    );
    let first = &facts[0];
    for (member, expected) in [
        ("n", json!(1)),
        ("endpoint", json!("default")),
        ("kind", json!("task")),
        ("tag", json!("NoiseReduction")),
        ("state", json!("Success")),
        ("bucket", json!("media-1300000001")),
        ("object", json!("in/j1.mp3")),
        ("job", json!("j1")),
        ("jobs", json!(1)),
        ("messages", json!(1)),
        ("subject", json!("ci.task.NoiseReduction.success")),
        ("id", json!("task:j1:Success")),
        ("stream", json!("CI")),
        ("seq", json!(1)),
        ("duplicate", json!(false)),
        ("rule", json!("subjects.task")),
        ("cut", Value::Null),
    ] {
        assert_eq!(first[member], expected, "{member} of {first}");
    }
    let sum: f64 = first["stages"].as_object().unwrap().values().map(|ms| ms.as_f64().unwrap()).sum();
    assert!(sum > 0.0 && sum <= first["ms"].as_f64().unwrap(), "{first}");
    assert_eq!((&facts[1]["seq"], &facts[1]["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!((&facts[2]["rule"], &facts[2]["messages"]), (&json!("rules[0]"), &json!(0)));
    assert_eq!((&facts[2]["job"], &facts[2]["subject"]), (&json!("j2"), &Value::Null));
    assert_eq!((&facts[3]["rule"], &facts[3]["cut"]), (&json!("rules[1]"), &json!(["object"])));
    let object = facts[3]["object"].as_str().unwrap();
    assert!(object.starts_with('…') && object.ends_with("/the-name.mp4"), "{object}");
    assert_eq!((&facts[4]["reason"], &facts[4]["stream"]), (&json!("syntax"), &json!("CI_QUARANTINE")));
    assert!(facts[4]["detail"].as_str().unwrap().starts_with("line 2, column "), "{}", facts[4]);
    assert_eq!(facts[5]["reason"], "no_such_path");
    let status = bridge.get("/api/v1/status").json();
    let lately = &status["lately"];
    assert_eq!(
        (&lately["callbacks"], &lately["published"], &lately["rejected"]),
        (&json!(5), &json!(2), &json!(1))
    );
    assert_eq!(status["may"], json!({ "bodies": true, "write": false }));
    assert_eq!((&status["ready"], &status["spool"]["messages"]), (&json!(true), &json!(0)));
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn what_waits_in_the_spool_and_what_is_refused_says_so() {
    let mut nats = nats();
    let bridge = Bridge::start(&nats, "[spool]\nmax_bytes = \"8KiB\"\n[ingress]\nmax_body = \"4KiB\"\n");
    let mut events = Events::open(bridge.admin, "", &[]).unwrap();
    nats.kill().unwrap();
    let nats_check = events.wait("not ready", |event| {
        let checks = (event.name == "status").then(|| event.data["checks"].as_array())??;
        checks.iter().find(|check| check["name"] == "nats" && check["ok"] == false).cloned()
    });
    assert!(nats_check["remedy"].as_str().unwrap().contains("check --connect"), "{nats_check}");
    bridge.post(task("j1"));
    let unavailable = eventually("the spool is full", || {
        bridge.post(task("further"));
        facts(&bridge).into_iter().find(|fact| fact["outcome"] == "unavailable")
    });
    let spooled = &facts(&bridge)[0];
    assert_eq!((&spooled["outcome"], &spooled["id"]), (&json!("spooled"), &json!("task:j1:Success")));
    assert_eq!((&spooled["stream"], &spooled["messages"]), (&Value::Null, &json!(1)));
    assert_eq!((&unavailable["status"], &unavailable["id"]), (&json!(503), &json!("task:further:Success")));
    assert!(unavailable["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{unavailable}");
    let spool = bridge.get("/api/v1/status").json()["spool"].clone();
    assert!(spool["messages"].as_u64().unwrap() >= 1 && spool["detail"].is_string(), "{spool}");
}

#[test]
fn a_few_hundred_facts_are_kept_whatever_comes() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let mut connection = Connection::open(bridge.address);
    for number in 0..510 {
        assert_eq!(connection.post(&task(&format!("j{number}"))).unwrap().status, 200);
    }
    let kept = facts(&bridge);
    assert_eq!((kept.len(), &kept[0]["n"], &kept[499]["job"]), (500, &json!(11), &json!("j509")));
    let some = bridge.get("/api/v1/callbacks?after=505").json();
    assert_eq!(some["callbacks"].as_array().map(Vec::len), Some(5));
    let some = bridge.get("/api/v1/callbacks?limit=2").json();
    assert_eq!(some["callbacks"][1]["n"], 510);
    let point = eventually("a step has ended", || {
        let series = bridge.get("/api/v1/series").json();
        series["points"].as_array()?.iter().find(|point| point["taken"].as_u64() > Some(0)).cloned()
    });
    assert!(point["p99"].as_f64() >= point["p50"].as_f64() && point["p50"].as_f64() > Some(0.0), "{point}");
}

#[test]
fn no_parameter_is_guessed_at() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    for (path, expected) in [
        ("/api/v1/status?x", 400),
        ("/api/v1/series?step=1", 400),
        ("/api/v1/callbacks?limit=0", 400),
        ("/api/v1/callbacks?limit=501", 400),
        ("/api/v1/callbacks?after=-1", 400),
        ("/api/v1/callbacks?after=1&after=2", 400),
        ("/api/v1/callbacks?%ff", 400),
        ("/api/v1/events?last=", 400),
        ("/api/v1/quarantine?before=0", 400),
        ("/api/v1/quarantine?limit=1e3", 400),
        ("/api/v1/quarantine/1?whole", 400),
        ("/api/v1/settings?secrets=true", 400),
        ("/api/v1/streams/CI/messages/1?x=1", 400),
        ("/api/v1/streams/CI/messages/x", 404),
        ("/api/v1/streams/CI/messages/-1", 404),
        ("/api/v1/quarantine/..%2f..", 404),
        ("/api/v1/jobs/%00", 404),
    ] {
        let answer = bridge.get(path);
        assert_eq!(answer.status, expected, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    // And whatever else somebody puts together of what there is.
    let parts = [
        "api",
        "v1",
        "status",
        "callbacks",
        "events",
        "quarantine",
        "streams",
        "messages",
        "1",
        "CI",
        "..",
        "%2e",
        "replay",
        "body",
        "'",
        "%00",
        "session",
    ];
    let queries = [
        "",
        "?",
        "?limit",
        "?limit=%",
        "?limit=NaN",
        "?a=b=c",
        "?&&",
        "?after=1%00",
        "?last=\u{e9}",
        "?limit=1;after=2",
    ];
    let mut seed = 7_u64;
    let mut pick = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % most
    };
    let mut connection = Connection::open(bridge.admin);
    for _ in 0..400 {
        let path: String = (0..1 + pick(5)).map(|_| format!("/{}", parts[pick(parts.len())])).collect();
        let path = format!("/api/v1{path}{}", queries[pick(queries.len())]);
        if path.starts_with("/api/v1/events") {
            continue;
        }
        connection.write(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", bridge.admin).as_bytes());
        let answer = connection.read_answer();
        assert!([200, 400, 404, 405].contains(&answer.status), "{path}: {answer:?}");
        if answer.header("connection") == Some("close") {
            connection = Connection::open(bridge.admin);
        }
    }
}
