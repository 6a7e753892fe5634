//! Health, metrics, logs and signals.

use crate::support::{Authority, Bridge, Connection, nats, signal, task};

#[test]
fn health_and_metrics_have_an_address_of_their_own() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    assert_eq!(bridge.get("/livez").status, 200);
    let readiness = bridge.get("/readyz").json();
    assert_eq!(readiness["ready"], true, "{readiness}");
    assert_eq!(bridge.post_to("/metrics", &[], "").status, 404);
    assert_eq!(bridge.get("/nothing").status, 404);
    let metrics = bridge.get("/metrics").text();
    for name in [
        "ci_bridge_callbacks_received_total",
        "ci_bridge_callbacks_total{outcome=\"published\"}",
        "ci_bridge_acknowledgement_seconds_bucket",
        "ci_bridge_answer_seconds_bucket",
        "ci_bridge_nats_connected 1",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"), "OpenMetrics ends so");
}

#[test]
fn sigterm_finishes_what_is_in_flight() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let body = task("j1");
    let mut connection = Connection::open(bridge.address);
    let head = format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    connection.write(head.as_bytes());
    connection.write(&body.as_bytes()[..20]);
    crate::support::eventually("the request has begun", || {
        (bridge.metric("ci_bridge_in_flight") >= 1.0).then_some(())
    });
    signal("TERM", bridge.id());
    crate::support::eventually("not ready", || {
        bridge.get("/readyz").text().contains("shutting down").then_some(())
    });
    connection.write(&body.as_bytes()[20..]);
    assert_eq!(connection.read_answer().status, 200);
    assert_eq!(bridge.wait_for_end(), Some(0));
}

#[test]
fn nobody_delays_the_end_by_half_a_request() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let heads = ["", "POST /ci/callback HTTP/1.1\r\nHost: x\r\nX: "];
    let _open = heads.map(|head| {
        let mut connection = Connection::open(bridge.address);
        connection.write(head.as_bytes());
        connection
    });
    crate::support::eventually("both are there", || {
        (bridge.metric("ci_bridge_connections") >= 2.0).then_some(())
    });
    let (status, log) = bridge.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("were not answered within"), "{log}");
}

#[test]
fn sigterm_and_sigint_end_it_with_code_0() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    assert_eq!(bridge.post(task("j1")).status, 200);
    let (status, log) = bridge.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
}

#[test]
fn nats_micro_finds_it() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let streams = crate::support::Streams::of(&nats);
    let found = crate::support::eventually("an answer", || streams.request("$SRV.PING.ci-bridge"));
    assert_eq!(found["name"], "ci-bridge");
    assert_eq!(found["type"], "io.nats.micro.v1.ping_response");
    drop(bridge);
    let hidden = Bridge::start(&nats, "[nats]\nmicro = false\n");
    assert_eq!(hidden.post(task("j1")).status, 200);
    assert_eq!(streams.request("$SRV.PING.ci-bridge"), None);
}

#[test]
fn rolling_restarts_under_load_reset_no_request_and_lose_nothing() {
    let nats = nats();
    let mut answered = 0;
    for round in 0..3 {
        let bridge = Bridge::start(&nats, "");
        let address = bridge.address;
        let counts: Vec<usize> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..4)
                .map(|sender| {
                    scope.spawn(move || send_until_told_to_go(address, &format!("r{round}s{sender}")))
                })
                .collect();
            crate::support::eventually("load", || {
                (bridge.metric("ci_bridge_callbacks_received_total") > 50.0).then_some(())
            });
            let (status, log) = bridge.terminate();
            assert_eq!(status.code(), Some(0), "{log}");
            senders.into_iter().map(|sender| sender.join().unwrap()).collect()
        });
        answered += counts.iter().sum::<usize>();
    }
    assert_eq!(
        crate::support::Streams::of(&nats).messages("CI").len(),
        answered,
        "each that was answered, once"
    );
}

/// Posts callbacks over one connection until an answer says that it was the last.
fn send_until_told_to_go(address: std::net::SocketAddr, name: &str) -> usize {
    let mut connection = Connection::open(address);
    for sent in 0.. {
        let body = task(&format!("{name}n{sent}"));
        let head = format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.write(format!("{head}{body}").as_bytes());
        // A reset would panic here.
        let answer = connection.read_answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.header("connection") == Some("close") {
            return sent + 1;
        }
    }
    0
}

#[test]
fn json_logs_are_one_object_a_line() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[log]\nformat = \"json\"\nlevel = \"debug\"\n");
    assert_eq!(bridge.post(task("j1\u{1b}[31m")).status, 400, "an escape character is not XML");
    assert_eq!(bridge.post(task("j1")).status, 200);
    let (_, log) = bridge.terminate();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let published =
        lines.iter().find(|line| line["id"] == "task:j1:Success" && line["message"] == "published");
    let published = published.unwrap_or_else(|| panic!("no line for the message:\n{log}"));
    assert_eq!(
        (&published["stream"], &published["sequence"], &published["duplicate"]),
        (&"CI".into(), &1.into(), &false.into()),
        "{published}"
    );
}

#[test]
fn a_reload_takes_all_of_a_good_configuration_and_nothing_of_a_bad_one() {
    const FIRST: &str = "[[ingress.endpoints]]\ntokens = [\"first\"]\n";
    const SECOND: &str =
        "[[ingress.endpoints]]\ntokens = [\"l8er\"]\n[subjects]\ntask = \"ci.changed.{tag}\"\n";
    let nats = nats();
    let bridge = Bridge::start(&nats, FIRST);
    let file = bridge.folder().join("ci-bridge.toml");
    let reloads = |outcome: &str| bridge.metric(&format!("ci_bridge_reloads_total{{outcome=\"{outcome}\"}}"));
    let status =
        |token: &str, job: &str| bridge.post_to(&format!("/ci/callback/{token}"), &[], task(job)).status;
    let bad = [
        "[[ingress.endpoints]]\ntokens = [\"l8er\"]\n[subjects]\ntask = \"ci.{nonsense}\"\n",
        "[[ingress.endpoints]]\ntokens = [\"l8er\"]\n[jetstream]\nstream = \"OTHER\"\n",
        "not TOML",
    ];
    for (number, configuration) in bad.iter().enumerate() {
        let refused = reloads("refused");
        std::fs::write(&file, configuration).unwrap();
        signal("HUP", bridge.id());
        crate::support::eventually("refused", || (reloads("refused") > refused).then_some(()));
        assert_eq!(
            (status("first", &format!("j{number}")), status("l8er", "x")),
            (200, 401),
            "{configuration}"
        );
    }
    // Without a signal: the file alone is enough.
    std::fs::write(&file, SECOND).unwrap();
    crate::support::eventually("applied", || (reloads("applied") >= 1.0).then_some(()));
    assert_eq!((status("first", "x"), status("l8er", "j9")), (401, 200));
    let subjects = crate::support::Streams::of(&nats).subjects("CI");
    assert_eq!(subjects.last().map(String::as_str), Some("ci.changed.NoiseReduction"));
    let (_, log) = bridge.terminate();
    assert!(log.contains("configuration not reloaded") && !log.contains("l8er"), "{log}");
    assert!(log.contains("jetstream.stream can only change with a restart"), "{log}");
    let line =
        log.lines().find(|line| line.contains(" configuration reloaded ")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("ingress.endpoints.0.tokens: another value; subjects.task: "), "{line}");
    assert!(line.contains("is now \\\"ci.changed.{tag}\\\""), "{line}");
}

#[test]
fn a_reload_says_what_it_took_or_that_nothing_changed_and_all_that_it_refuses() {
    let nats = nats();
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "first\n").unwrap();
    let configuration = format!("[[ingress.endpoints]]\ntokens_file = {:?}\n", tokens.display().to_string());
    let bridge = Bridge::start(&nats, &configuration);
    let said = |words: &str| {
        crate::support::eventually(words, || {
            bridge.log().lines().find(|line| line.contains(words)).map(str::to_owned)
        })
    };
    signal("HUP", bridge.id());
    said("configuration read again: nothing has changed");
    std::fs::write(&tokens, "first\nl8er\n").unwrap();
    let line = said(" configuration reloaded ");
    assert!(line.contains(&tokens.display().to_string()) && !line.contains("l8er"), "{line}");
    let other = format!(
        "{configuration}[jetstream]\nreplicas = 3\n[spool]\nmax_bytes = \"512MiB\"\n[nats]\nname = \"other\"\n"
    );
    std::fs::write(bridge.folder().join("ci-bridge.toml"), other).unwrap();
    signal("HUP", bridge.id());
    said("jetstream.replicas, nats.name, spool.max_bytes can only change with a restart");
}

#[test]
fn the_log_says_what_was_started_and_tells_how_long_an_outage_took() {
    let mut nats = nats();
    let address = nats.url().replace("nats://", "");
    let authority = Authority::new();
    authority.sign("bridge");
    let configuration = format!("{}[log]\nformat = \"json\"\n", authority.section("bridge"));
    let secret = nats.url().replace("nats://", "nats://user:s3cret@");
    let bridge = Bridge::start_towards(&secret, &configuration);
    bridge.wait_until_ready();
    nats.kill().unwrap();
    crate::support::eventually("not ready", || (bridge.get("/readyz").status == 503).then_some(()));
    for number in 0..3 {
        let mut client = Connection::open_tls(bridge.address, authority.client(None, &[]));
        let answer = client.post(&task(&format!("j{number}"))).unwrap();
        assert_eq!(answer.json()["outcome"], "spooled");
    }
    nats.restart(None).unwrap();
    let line = |message: &str| {
        crate::support::eventually(message, || {
            let lines = bridge.log();
            let mut lines =
                lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.find(|line| line["message"] == message)
        })
    };
    let started = line("started");
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(started["file"], bridge.folder().join("ci-bridge.toml").display().to_string());
    assert_eq!(started["servers"], address);
    assert_eq!(started["callbacks"], format!("https://{}", bridge.address));
    assert_eq!(started["admin"], format!("http://{}", bridge.admin));
    assert_eq!(started["spool_messages"], 0);
    assert!(started["certificates"].as_str().unwrap().contains("is valid until "), "{started}");
    let ready = line("ready again");
    assert!(ready["not_ready_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{ready}");
    assert_eq!(line("publishing what the spool holds")["spool_messages"], 3);
    assert_eq!(line("the spool is empty again")["messages"], 3);
    assert!(!bridge.log().contains("s3cret"));
}
