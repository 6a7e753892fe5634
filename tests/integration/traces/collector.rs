//! Collectors that are away, slow, broken or far: no callback notices.

use super::*;

/// Whatever becomes of its traces, a callback is answered as soon, and all is said that has to be.
#[test]
fn callbacks_do_not_notice_a_collector_that_is_away_slow_or_broken() {
    let nats = nats();
    let (silent, broken) = (Collector::start(Mood::Silent), Collector::start(Mood::Answers(500)));
    let away = "[telemetry]\notlp_endpoint = \"http://127.0.0.1:1\"\n".to_owned();
    let rows = [
        (away, "Connection refused", 0.0),
        (format!("{}otlp_timeout = \"100ms\"\n", silent.section()), "no answer within 100ms", 0.0),
        (broken.section(), "the collector answers 500", 1.0),
    ];
    for (section, said, dropped_at_once) in rows {
        let bridge = Bridge::start(&nats, &section);
        for number in 0..50 {
            assert_eq!(bridge.post(task(&format!("{number}"))).status, 200);
        }
        bridge.logged(said);
        bridge.logged("traces are not exported; callbacks are not affected");
        let dropped = || bridge.metric("ci_bridge_spans_dropped_total{reason=\"refused\"}");
        if dropped_at_once > 0.0 {
            eventually("its spans are given up", || (dropped() >= dropped_at_once).then_some(()));
        }
        bridge.assert_every_callback_is_accounted_for();
        let began = Instant::now();
        let (status, log) = bridge.terminate();
        assert!(status.success() && began.elapsed() < PATIENCE, "{log}");
        assert_eq!(log.matches("traces are not exported;").count(), 1, "{log}");
    }
}

#[test]
fn what_a_collector_missed_for_a_moment_it_gets_later() {
    let (nats, collector) = (nats(), Collector::start(Mood::Answers(503)));
    let bridge = Bridge::start(&nats, &collector.section());
    assert_eq!(bridge.post(task("j1")).status, 200);
    eventually("it is asked", || (!collector.heads().is_empty()).then_some(()));
    collector.now(Mood::Takes);
    collector.wait_for("POST /ci/callback", 1);
    eventually("it is over", || bridge.log().contains("traces are exported again").then_some(()));
    eventually("it is counted", || (bridge.metric("ci_bridge_spans_exported_total") >= 3.0).then_some(()));
    assert_eq!(bridge.metric("ci_bridge_spans_dropped_total{reason=\"unreachable\"}"), 0.0);
}

#[test]
fn more_spans_than_wait_are_dropped_and_counted() {
    let (nats, collector) = (nats(), Collector::start(Mood::Silent));
    let bridge = Bridge::start(&nats, &collector.section());
    // Each callback has three spans, 2,048 of which wait beside the 512 on their way.
    let mut connection = Connection::open(bridge.address);
    let mut number = 0;
    eventually("the queue is full", || {
        for _ in 0..100 {
            number += 1;
            assert_eq!(connection.post(&task(&format!("j{number}"))).expect("an answer").status, 200);
        }
        (bridge.metric("ci_bridge_spans_dropped_total{reason=\"queue_full\"}") > 0.0).then_some(())
    });
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn the_last_spans_are_exported_at_shutdown() {
    let (nats, collector) = (nats(), Collector::start(Mood::Takes));
    let bridge = Bridge::start(&nats, &collector.section());
    for number in 0..10 {
        assert_eq!(bridge.post(task(&format!("j{number}"))).status, 200);
    }
    let (status, log) = bridge.terminate();
    assert!(status.success(), "{log}");
    let callbacks = collector.spans().into_iter().filter(|span| span.kind == SpanKind::Server).count();
    assert_eq!(callbacks, 10, "{log}");
}

#[test]
fn a_frozen_collector_does_not_keep_the_bridge_from_ending() {
    let (nats, collector) = (nats(), Collector::start(Mood::Silent));
    let bridge = Bridge::start(&nats, &collector.section());
    assert_eq!(bridge.post(task("j1")).status, 200);
    let began = Instant::now();
    let (status, log) = bridge.terminate();
    assert!(status.success(), "{log}");
    // drain_timeout is 10 s; a loaded machine may need a moment more.
    assert!(began.elapsed() < Duration::from_secs(10) + PATIENCE, "{log}");
    assert!(log.contains("the last traces were not exported"), "{log}");
}

#[test]
fn a_collector_is_reached_over_tls_with_an_authority_of_its_own() {
    let nats = nats();
    let authority = Authority::new();
    authority.sign("collector");
    let collector = Collector::start_with_tls(authority.server("collector"));
    let trusting = format!("{}otlp_certificate = {:?}\n", collector.section(), authority.file("ca.pem"));
    let bridge = Bridge::start(&nats, &trusting);
    assert_eq!(bridge.post(task("j1")).status, 200);
    collector.wait_for("POST /ci/callback", 1);
    drop(bridge);
    // Whom nobody vouches for gets nothing.
    let bridge = Bridge::start(&nats, &collector.section());
    let before = collector.heads().len();
    assert_eq!(bridge.post(task("j2")).status, 200);
    let advice = "name its authority in otlp_certificate";
    eventually(advice, || bridge.log().contains(advice).then_some(()));
    assert_eq!(collector.heads().len(), before);
}
