//! Traces, as a collector gets them; and callbacks, whatever the collector does.

mod collector;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::support::{
    Authority, Bridge, Collector, Connection, Mood, PATIENCE, Span, Streams, eventually, nats, signal, task,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const SECRET: &str = "s3cret-token";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// The trace and the span that a message's headers name.
fn place(message: &crate::support::Stored) -> (String, String) {
    let traceparent = message.header("traceparent").expect("a traceparent");
    let fields: Vec<_> = traceparent.split('-').map(str::to_owned).collect();
    (fields[1].clone(), fields[2].clone())
}

fn assert_has(span: &Span, expected: &[(&str, &str)]) {
    let have: BTreeMap<_, _> =
        span.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    for (key, value) in expected {
        assert_eq!(have.get(key), Some(value), "{key} of {span:?}");
    }
}

#[test]
fn a_callback_is_a_trace_and_its_message_goes_on_in_it() {
    let (nats, collector) = (nats(), Collector::start(Mood::Takes));
    let settings = format!(
        "[[ingress.endpoints]]\ntokens = [\"{SECRET}\"]\n{}otlp_headers = \"api-key=s3cret%20key\"\n\
         service_name = \"bridge of a test\"\nresource_attributes = \"deployment.environment.name=a%2Cb\"\n",
        collector.section()
    );
    let bridge = Bridge::start(&nats, &settings);
    let sent = [("traceparent", traceparent("01")), ("tracestate", "rojo=1,congo=2".to_owned())];
    let headers: Vec<_> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = format!("/ci/callback/{SECRET}");
    assert_eq!(bridge.post_to(&path, &headers, task("j1")).status, 200);

    let [callback] = &collector.wait_for("POST /ci/callback", 1)[..] else { panic!("one callback") };
    assert_eq!(
        (callback.trace.as_str(), callback.parent.as_str(), callback.kind),
        (TRACE, PARENT, SpanKind::Server)
    );
    assert_eq!(callback.state, "rojo=1,congo=2");
    assert!(!callback.is_error && callback.nanos > 0, "{callback:?}");
    assert_has(
        callback,
        &[
            ("http.request.method", "POST"),
            ("http.route", "/ci/callback"),
            ("url.path", "/ci/callback"),
            ("url.scheme", "http"),
            ("network.protocol.version", "1.1"),
            ("client.address", "127.0.0.1"),
            ("http.response.status_code", "200"),
            ("http.request.body.size", &task("j1").len().to_string()),
            ("ci_bridge.endpoint", "default"),
            ("ci_bridge.outcome", "published"),
        ],
    );
    assert!(!callback.attributes.contains_key("error.type"), "{callback:?}");
    let version = env!("CARGO_PKG_VERSION");
    for (key, value) in [
        ("service.name", "bridge of a test"),
        ("service.version", version),
        ("deployment.environment.name", "a,b"),
        ("telemetry.sdk.language", "rust"),
    ] {
        assert_eq!(callback.resource.get(key).map(String::as_str), Some(value), "{:?}", callback.resource);
    }
    assert!(callback.resource.contains_key("service.instance.id"));

    let [parse] = &collector.wait_for("parse", 1)[..] else { panic!("one parse") };
    assert_eq!((parse.trace.as_str(), &parse.parent, parse.kind), (TRACE, &callback.id, SpanKind::Internal));
    let [publish] = &collector.wait_for("publish", 1)[..] else { panic!("one publish") };
    assert_eq!(
        (publish.trace.as_str(), &publish.parent, publish.kind),
        (TRACE, &callback.id, SpanKind::Producer)
    );
    let [message] = &Streams::of(&nats).messages("CI")[..] else { panic!("one message") };
    assert_has(
        publish,
        &[
            ("messaging.system", "nats"),
            ("messaging.operation.name", "publish"),
            ("messaging.operation.type", "send"),
            ("messaging.destination.name", "ci.task.NoiseReduction.success"),
            ("messaging.message.id", "task:j1:Success"),
            ("messaging.message.body.size", &message.payload.len().to_string()),
            ("ci_bridge.stream", "CI"),
            ("ci_bridge.sequence", "1"),
            ("ci_bridge.duplicate", "false"),
        ],
    );
    assert_eq!(
        place(message),
        (TRACE.to_owned(), publish.id.clone()),
        "the message is a child of its publish"
    );
    assert_eq!(message.header("traceparent").unwrap().rsplit('-').next(), Some("01"));
    assert_eq!(message.header("tracestate"), Some("rojo=1,congo=2"));

    // What the collector asked for was sent, and no secret is in what it got.
    let head = collector.heads()[0].to_ascii_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1") && head.contains("api-key: s3cret key"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let spans = format!("{:?}", collector.spans());
    assert!(!spans.contains(SECRET) && !spans.contains("s3cret key"), "{spans}");
    let (status, log) = bridge.terminate();
    assert!(status.success() && !log.contains("s3cret"), "{log}");
}

#[test]
fn without_a_traceparent_a_trace_begins() {
    let (nats, collector) = (nats(), Collector::start(Mood::Takes));
    let bridge = Bridge::start(&nats, &collector.section());
    assert_eq!(bridge.post(task("j1")).status, 200);
    assert_eq!(bridge.post(task("j2")).status, 200);
    let callbacks = collector.wait_for("POST /ci/callback", 2);
    assert!(callbacks.iter().all(|span| span.parent.is_empty()), "{callbacks:?}");
    assert_ne!(callbacks[0].trace, callbacks[1].trace);
    let publishes = collector.wait_for("publish", 2);
    for message in Streams::of(&nats).messages("CI") {
        let (trace, span) = place(&message);
        assert!(publishes.iter().any(|publish| publish.trace == trace && publish.id == span), "{message:?}");
    }
}

#[test]
fn a_sender_that_does_not_sample_is_heard_and_its_trace_goes_on() {
    let (nats, collector) = (nats(), Collector::start(Mood::Takes));
    let bridge = Bridge::start(&nats, &collector.section());
    let traceparent = traceparent("00");
    assert_eq!(bridge.post_to("/ci/callback", &[("traceparent", &traceparent)], task("j1")).status, 200);
    // One that is sampled, so that there is something to wait for.
    assert_eq!(bridge.post(task("j2")).status, 200);
    let (status, log) = bridge.terminate();
    assert!(status.success(), "{log}");
    let spans = collector.spans();
    assert!(!spans.is_empty() && spans.iter().all(|span| span.trace != TRACE), "{spans:?}");
    let messages = Streams::of(&nats).messages("CI");
    assert_eq!(place(&messages[0]).0, TRACE);
    assert!(messages[0].header("traceparent").unwrap().ends_with("-00"), "{messages:?}");
}

#[test]
fn the_sampler_is_the_operators() {
    let (nats, collector) = (nats(), Collector::start(Mood::Takes));
    let settings = format!("{}sampler = \"traceidratio\"\nsampler_arg = \"0\"\n", collector.section());
    let bridge = Bridge::start(&nats, &settings);
    assert_eq!(
        bridge.post_to("/ci/callback", &[("traceparent", &traceparent("01"))], task("j1")).status,
        200
    );
    let (status, log) = bridge.terminate();
    assert!(status.success(), "{log}");
    assert_eq!(collector.spans().len(), 0);
    let [message] = &Streams::of(&nats).messages("CI")[..] else { panic!("one message") };
    assert!(message.header("traceparent").unwrap().ends_with("-00"), "{message:?}");
}

#[test]
fn what_is_wrong_with_a_callback_is_in_its_span_and_a_stranger_has_none() {
    let (nats, collector) = (nats(), Collector::start(Mood::Takes));
    let settings = format!(
        "[ingress]\nmax_body = \"4KiB\"\n[[ingress.endpoints]]\ntokens = [\"{SECRET}\"]\n{}",
        collector.section()
    );
    let bridge = Bridge::start(&nats, &settings);
    let path = format!("/ci/callback/{SECRET}");
    assert_eq!(bridge.post_to(&path, &[], "<Response>").status, 400);
    assert_eq!(bridge.post_to(&path, &[], "<a/>").status, 422);
    assert_eq!(bridge.post_to(&path, &[], "x".repeat(5000)).status, 413);
    assert_eq!(bridge.post_to("/ci/callback/wrong", &[], task("j1")).status, 401);
    assert_eq!(bridge.post_to("/elsewhere", &[], task("j1")).status, 404);
    // A sender that leaves in the middle of its body.
    let mut connection = Connection::open(bridge.address);
    connection.write(format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc").as_bytes());
    drop(connection);
    let callbacks = collector.wait_for("POST /ci/callback", 4);
    let mut errors: Vec<_> = callbacks.iter().map(|span| span.attributes["error.type"].as_str()).collect();
    errors.sort_unstable();
    // Whether the bridge saw the end of the body or that of the connection first.
    assert!(
        ["body_broken", "sender_left"].iter().any(|left| {
            let mut expected = ["body_too_large", "shape", "syntax", left];
            expected.sort_unstable();
            errors == expected
        }),
        "{errors:?}"
    );
    // By the semantic conventions, no error of the server.
    assert!(callbacks.iter().all(|span| !span.is_error), "{callbacks:?}");
    let parses = collector.wait_for("parse", 2);
    assert!(parses.iter().any(|span| span.attributes.get("error.type").is_some_and(|kind| kind == "syntax")));
    let quarantined = collector.wait_for("publish", 2);
    assert!(
        quarantined
            .iter()
            .all(|span| span.attributes["messaging.destination.name"].starts_with("ci-quarantine."))
    );
    let (_, log) = bridge.terminate();
    assert_eq!(collector.spans().iter().filter(|span| span.kind == SpanKind::Server).count(), 4, "{log}");
}

#[test]
fn a_callback_that_nothing_takes_is_an_error_of_the_bridge() {
    let collector = Collector::start(Mood::Takes);
    let settings = format!("[spool]\nenabled = false\n{}", collector.section());
    let bridge = Bridge::start_towards("nats://127.0.0.1:1", &settings);
    assert_eq!(bridge.post(task("j1")).status, 503);
    let [callback] = &collector.wait_for("POST /ci/callback", 1)[..] else { panic!("one callback") };
    assert!(callback.is_error, "{callback:?}");
    assert_has(callback, &[("http.response.status_code", "503"), ("error.type", "unavailable")]);
    let [publish] = &collector.wait_for("publish", 1)[..] else { panic!("one publish") };
    assert!(publish.is_error, "{publish:?}");
    assert_has(publish, &[("error.type", "away")]);
}

#[test]
fn a_spooled_message_is_stored_in_the_trace_of_its_callback() {
    let (mut nats, collector) = (nats(), Collector::start(Mood::Takes));
    nats.kill().unwrap();
    let bridge = Bridge::start_towards(&nats.url(), &collector.section());
    let sent = traceparent("01");
    let answer = bridge.post_to("/ci/callback", &[("traceparent", sent.as_str())], task("j1"));
    assert_eq!((answer.status, &answer.json()["outcome"]), (200, &"spooled".into()));
    let [spool] = &collector.wait_for("spool", 1)[..] else { panic!("one append") };
    let [callback] = &collector.wait_for("POST /ci/callback", 1)[..] else { panic!("one callback") };
    assert_eq!((spool.trace.as_str(), &spool.parent, spool.is_error), (TRACE, &callback.id, false));
    let [publish] = &collector.wait_for("publish", 1)[..] else { panic!("one attempt") };
    assert_has(publish, &[("error.type", "away")]);
    nats.restart(None).unwrap();
    let [drain] = &collector.wait_for("drain", 1)[..] else { panic!("one publish from the spool") };
    assert_eq!((drain.trace.as_str(), &drain.parent, drain.kind), (TRACE, &publish.id, SpanKind::Producer));
    assert_has(drain, &[("messaging.message.id", "task:j1:Success"), ("ci_bridge.stream", "CI")]);
    assert!(!drain.is_error, "attempts that are made again are not exported: {drain:?}");
    let [message] = &Streams::of(&nats).messages("CI")[..] else { panic!("one message") };
    assert_eq!(place(message), (TRACE.to_owned(), publish.id.clone()));
}

#[test]
fn a_callback_of_many_jobs_has_few_spans_and_every_message_its_trace() {
    let (nats, collector) = (nats(), Collector::start(Mood::Takes));
    let bridge = Bridge::start(&nats, &collector.section());
    let job = |number: usize| {
        format!("<JobsDetail><JobId>j{number}</JobId><Tag>Transcode</Tag><State>Success</State></JobsDetail>")
    };
    let jobs: String = (0..100).map(job).collect();
    let body = format!("<Response><EventName>TaskFinish</EventName>{jobs}</Response>");
    assert_eq!(bridge.post(body).status, 200);
    let messages = Streams::of(&nats).messages("CI");
    let (status, log) = bridge.terminate();
    assert!(status.success(), "{log}");
    let spans = collector.spans();
    let publishes = spans.iter().filter(|span| span.name == "publish").count();
    assert_eq!(publishes, 32, "{log}");
    assert_eq!(messages.len(), 100);
    for message in &messages {
        let (trace, parent) = place(message);
        assert!(spans.iter().any(|span| span.trace == trace && span.id == parent), "{message:?}");
    }
}

#[test]
fn without_an_endpoint_the_senders_trace_is_passed_on_as_it_is() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let sent = traceparent("01");
    let headers = [("traceparent", sent.as_str()), ("tracestate", "rojo=1"), ("tracestate", "congo=2")];
    assert_eq!(bridge.post_to("/ci/callback", &headers, task("j1")).status, 200);
    assert_eq!(bridge.post_to("/ci/callback", &[("tracestate", "rojo=1")], task("j2")).status, 200);
    let messages = Streams::of(&nats).messages("CI");
    assert_eq!(messages[0].header("traceparent"), Some(sent.as_str()));
    assert_eq!(messages[0].header("tracestate"), Some("rojo=1,congo=2"));
    assert_eq!((messages[1].header("traceparent"), messages[1].header("tracestate")), (None, None));
    assert!(
        !bridge.get("/metrics").text().contains("ci_bridge_spans"),
        "nothing is counted that is not there"
    );
    signal("TERM", bridge.id());
}
