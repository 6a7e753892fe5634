//! HTTP/2, where TLS has agreed on it: the same answers, and bounds of its own.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{SendRequest, handshake};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{
    Authority, Bridge, Connection, PATIENCE, POLL_INTERVAL, Streams, eventually, nats, signal, task,
};

/// A bridge that speaks TLS, and the authority that signed for it.
fn bridge(nats: &crate::support::LocalNats, ingress: &str) -> (Bridge, Authority) {
    let ours = Authority::new();
    ours.sign("bridge");
    let bridge = Bridge::start(nats, &format!("[ingress]\n{ingress}\n{}", ours.section("bridge")));
    (bridge, ours)
}

fn run<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, story).await.expect("in time") })
}

async fn connect(to: SocketAddr, ours: &Authority) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(to).await.unwrap();
    let connector = TlsConnector::from(ours.client(None, &["h2", "http/1.1"]));
    let stream = connector.connect(to.ip().into(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (requests, connection) = handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

fn post(path: &str) -> Request<()> {
    let uri = format!("https://127.0.0.1{path}");
    Request::builder().method(Method::POST).uri(uri).body(()).unwrap()
}

async fn send(requests: &SendRequest<Bytes>, request: Request<()>, body: Vec<u8>) -> (u16, String) {
    let mut requests = requests.clone().ready().await.unwrap();
    let (answer, mut stream) = requests.send_request(request, false).unwrap();
    // What the bridge refuses half-way it does not read to the end.
    let _ = stream.send_data(body.into(), true);
    let (head, mut body) = answer.await.unwrap().into_parts();
    let mut text = String::new();
    while let Some(Ok(bytes)) = body.data().await {
        text.push_str(&String::from_utf8_lossy(&bytes));
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    (head.status.as_u16(), text)
}

#[test]
fn callbacks_over_http2_get_the_same_answers() {
    let nats = nats();
    let (bridge, ours) = bridge(&nats, "max_body = \"100KiB\"\nmax_headers = 8");
    run(async {
        let requests = connect(bridge.address, &ours).await;
        // Larger than a stream's window: it is granted as the body is read.
        let padded = format!("{}{}", " ".repeat(90_000), task("j2"));
        let headers = (0..9).fold(Request::builder(), |r, n| r.header(format!("x-{n}"), "v"));
        let headers = headers.method("POST").uri("https://127.0.0.1/ci/callback").body(()).unwrap();
        let coding = Request::builder().method("POST").uri("https://127.0.0.1/ci/callback");
        let coding = coding.header("content-encoding", "gzip").body(()).unwrap();
        let with = |uri: &str, name: &str, values: &[&str]| {
            let request = Request::builder().method("POST").uri(uri);
            values.iter().fold(request, |request, value| request.header(name, *value)).body(()).unwrap()
        };
        let uri = "https://127.0.0.1/ci/callback";
        let other_host = with(uri, "host", &["127.0.0.2"]);
        let two_hosts = with(uri, "host", &["127.0.0.1", "127.0.0.1"]);
        let user = with("https://user@127.0.0.1/ci/callback", "x", &[]);
        let two_secrets = with(uri, "authorization", &["Bearer a", "Bearer b"]);
        let rows = [
            (with(uri, "host", &["127.0.0.1:443"]), task("j1").into_bytes(), 200, "\"published\""),
            (post("/ci/callback"), task("j1").into_bytes(), 200, "\"published\""),
            (post("/ci/callback"), padded.into_bytes(), 200, "\"published\""),
            (post("/"), task("j1").into_bytes(), 404, "no endpoint"),
            (coding, task("j1").into_bytes(), 415, "gzip"),
            (headers, task("j1").into_bytes(), 431, "max_headers"),
            (other_host, task("j1").into_bytes(), 400, "Host"),
            (two_hosts, task("j1").into_bytes(), 400, "Host"),
            (user, task("j1").into_bytes(), 400, "Host"),
            (two_secrets, task("j1").into_bytes(), 400, "Authorization"),
            (post("/ci/callback"), vec![b' '; 200_000], 413, "max_body"),
            (post("/ci/callback"), b"<Response>".to_vec(), 400, "cut off"),
            (post("/ci/callback"), b"{\"a\":1}".to_vec(), 422, "not a callback"),
        ];
        for (request, body, status, detail) in rows {
            let context = format!("{request:?}");
            let (have, text) = send(&requests, request, body).await;
            assert_eq!(have, status, "{context}: {text}");
            assert!(text.contains(detail), "{context}: {text}");
        }
        assert_eq!(send(&requests, post("/ci/callback"), task("j3").into_bytes()).await.0, 200);
    });
    assert_eq!(Streams::of(&nats).messages("CI").len(), 3);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn fields_behind_a_body_are_counted_like_those_before_it() {
    let nats = nats();
    let (bridge, ours) = bridge(&nats, "max_headers = 8");
    let with_trailers = async |requests: &SendRequest<Bytes>, count: usize| {
        let mut requests = requests.clone().ready().await.unwrap();
        let (answer, mut stream) = requests.send_request(post("/ci/callback"), false).unwrap();
        stream.send_data(task("j1").into(), false).unwrap();
        let name = |n: usize| HeaderName::try_from(format!("x-{n}")).unwrap();
        let trailers = (0..count).map(|n| (name(n), HeaderValue::from_static("v"))).collect();
        stream.send_trailers(trailers).unwrap();
        answer.await.unwrap().status().as_u16()
    };
    run(async {
        let requests = connect(bridge.address, &ours).await;
        assert_eq!(with_trailers(&requests, 8).await, 200);
        assert_eq!(with_trailers(&requests, 9).await, 431);
    });
    assert_eq!(Streams::of(&nats).messages("CI").len(), 1);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn shutdown_finishes_the_requests_of_an_http2_connection() {
    let nats = nats();
    let (bridge, ours) = bridge(&nats, "");
    run(async {
        let mut requests = connect(bridge.address, &ours).await;
        let (answer, mut stream) = requests.send_request(post("/ci/callback"), false).unwrap();
        let body = Bytes::from(task("j1"));
        stream.send_data(body.slice(..20), false).unwrap();
        // The runtime of this test sends only while it is asked.
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await.unwrap_err();
        eventually("begun", || (bridge.metric("ci_bridge_in_flight") >= 1.0).then_some(()));
        signal("TERM", bridge.id());
        eventually("not ready", || bridge.get("/readyz").text().contains("shutting down").then_some(()));
        stream.send_data(body.slice(20..), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
    });
    assert_eq!(bridge.wait_for_end(), Some(0));
}

#[test]
fn no_secret_of_an_http2_request_is_logged() {
    let nats = nats();
    let ours = Authority::new();
    ours.sign("bridge");
    let endpoint = "[log]\nlevel = \"trace\"\n[[ingress.endpoints]]\ntokens = [\"s3cret\"]\n";
    let bridge = Bridge::start(&nats, &format!("{endpoint}{}", ours.section("bridge")));
    run(async {
        let requests = connect(bridge.address, &ours).await;
        for (path, status) in [("/ci/callback/s3cret", 200), ("/s3cret", 404), ("/ci/callback/s3cret2", 401)]
        {
            assert_eq!(send(&requests, post(path), task("j1").into_bytes()).await.0, status);
        }
    });
    let (_, log) = bridge.terminate();
    assert!(log.contains("request rejected") && !log.contains("s3cret"), "{log}");
}

#[test]
fn an_idle_http2_connection_is_closed() {
    let nats = nats();
    let (bridge, ours) = bridge(&nats, "header_timeout = \"300ms\"");
    run(async {
        let requests = connect(bridge.address, &ours).await;
        assert_eq!(send(&requests, post("/ci/callback"), task("j1").into_bytes()).await.0, 200);
        while requests.clone().ready().await.is_ok() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    });
    eventually("closed", || (bridge.metric("ci_bridge_connections") == 0.0).then_some(()));
}

/// What a client that keeps to no rule writes: frames, as RFC 9113 has them.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `POST https://x/ci/callback` in HPACK: the static table, and two literals.
fn request_head() -> Vec<u8> {
    let path = b"/ci/callback";
    [&[0x83, 0x87, 0x04, path.len().to_le_bytes()[0]][..], path, &[0x01, 1, b'x']].concat()
}

/// All frames until the bridge closes, or says goodbye: kind, stream, payload.
fn frames(bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while let Some((head, after)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, after)) = after.split_at_checked(length) else { break };
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        frames.push((head[3], stream, payload.to_vec()));
        rest = after;
    }
    frames
}

fn reason(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[payload.len().min(8) - 4..][..4].try_into().unwrap())
}

fn rude(bridge: &Bridge, ours: &Authority, frames: &[Vec<u8>]) -> Connection {
    let mut client = Connection::open_tls(bridge.address, ours.client(None, &["h2"]));
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, 1, 0, &[])].concat();
    client.write(&[hello, frames.concat()].concat());
    client
}

#[test]
fn more_requests_at_once_than_max_streams_are_refused() {
    let nats = nats();
    let (bridge, ours) = bridge(&nats, "max_streams = 3\nbody_timeout = \"1s\"\nheader_timeout = \"500ms\"");
    let opened: Vec<_> = (0..5).map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &request_head())).collect();
    let bytes = rude(&bridge, &ours, &opened).read_to_end();
    let frames = frames(&bytes);
    let settings = &frames.iter().find(|(kind, ..)| *kind == SETTINGS).unwrap().2;
    assert!(settings.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 3]), "{settings:?}");
    let refused: Vec<_> = frames
        .iter()
        .filter(|(kind, _, payload)| *kind == RST_STREAM && reason(payload) == REFUSED_STREAM)
        .map(|(_, stream, _)| *stream)
        .collect();
    assert_eq!(refused, [7, 9]);
    assert_eq!(bridge.metric("ci_bridge_callbacks_received_total"), 3.0);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn what_hyper_would_drop_is_refused() {
    let nats = nats();
    let (bridge, ours) = bridge(&nats, "header_timeout = \"500ms\"");
    let with_path = |path: &str| {
        let length = path.len().to_le_bytes()[0];
        [&[0x83, 0x87, 0x04, length][..], path.as_bytes(), &[0x01, 1, b'x']].concat()
    };
    let body = task("j1").into_bytes();
    let request = |stream: u32, path: &str, trailers: Option<&[u8]>| {
        let end = trailers.map_or(Vec::new(), |t| frame(HEADERS, END_HEADERS | END_STREAM, stream, t));
        let head = frame(HEADERS, END_HEADERS, stream, &with_path(path));
        let data = frame(DATA, if trailers.is_some() { 0 } else { END_STREAM }, stream, &body);
        [head, data, end].concat()
    };
    let sent = [
        request(1, "/ci/callback#x", None),
        // `:status: 200` behind the body, which hyper reads as no trailers at all.
        request(3, "/ci/callback", Some(b"\x88")),
        request(5, "/ci/callback", Some(b"\x00\x01x\x01#")),
        request(7, "/ci/callback", None),
    ];
    let bytes = rude(&bridge, &ours, &sent).read_to_end();
    // `:status` is the first field of an answer: of the static table (200 and 400 are), or 422 spelt out.
    let statuses: std::collections::BTreeMap<_, _> = frames(&bytes)
        .iter()
        .filter(|(kind, ..)| *kind == HEADERS)
        .map(|(_, stream, payload)| (*stream, payload[0]))
        .collect();
    assert_eq!(statuses, [(1, 0x8c), (3, 0x8c), (5, 0x88), (7, 0x88)].into());
    for reason in ["target", "pseudo_header_in_trailers"] {
        let rejected = bridge.metric(&format!("ci_bridge_rejections_total{{reason=\"{reason}\"}}"));
        assert_eq!(rejected, 1.0, "{reason}");
    }
    bridge.assert_every_callback_is_accounted_for();
}

/// A client may assume no limit before it has read SETTINGS.
#[test]
fn a_client_that_sends_before_it_knows_the_limit_keeps_its_connection() {
    const POSTS: u32 = 1000;
    let nats = nats();
    let (bridge, ours) = bridge(&nats, "header_timeout = \"1s\"");
    let stream = |number: u32| 2 * number + 1;
    // Whole heads first, so that all are open at once; each with DATA in two frames.
    let heads = (0..POSTS).map(|n| frame(HEADERS, END_HEADERS, stream(n), &request_head()));
    let data = (0..POSTS)
        .map(|n| [frame(DATA, 0, stream(n), b"{"), frame(DATA, END_STREAM, stream(n), b"}")].concat());
    let last = frame(HEADERS, END_HEADERS, stream(POSTS), &request_head());
    let last = [last, frame(DATA, END_STREAM, stream(POSTS), task("j1").as_bytes())].concat();
    let mut client = rude(&bridge, &ours, &heads.chain(data).collect::<Vec<_>>());
    eventually("at rest", || {
        let received = bridge.metric("ci_bridge_callbacks_received_total") >= 128.0;
        (received && bridge.metric("ci_bridge_in_flight") == 0.0).then_some(())
    });
    client.write(&last);
    let bytes = client.read_to_end();
    let frames = frames(&bytes);
    let streams = |wanted: &dyn Fn(u8, &[u8]) -> bool| {
        let of = frames.iter().filter(|(kind, _, payload)| wanted(*kind, payload));
        of.map(|(_, stream, _)| *stream).collect::<std::collections::BTreeSet<_>>()
    };
    let answered = streams(&|kind, _| kind == HEADERS);
    let refused = streams(&|kind, payload| kind == RST_STREAM && reason(payload) == REFUSED_STREAM);
    assert!(answered.len() > 128, "{}", answered.len());
    assert!(answered.is_disjoint(&refused));
    assert_eq!(answered.len() + refused.len(), POSTS as usize + 1, "nobody was left without an answer");
    assert!(answered.contains(&stream(POSTS)), "the connection goes on");
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"published\"}"), 1.0);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn rapid_resets_end_the_connection() {
    let nats = nats();
    let (bridge, ours) = bridge(&nats, "");
    let pairs = (0..500).map(|n| {
        let opened = frame(HEADERS, END_HEADERS, 2 * n + 1, &request_head());
        [opened, frame(RST_STREAM, 0, 2 * n + 1, &CANCEL.to_be_bytes())].concat()
    });
    let bytes = rude(&bridge, &ours, &pairs.collect::<Vec<_>>()).read_to_end();
    let frames = frames(&bytes);
    let goodbye = frames.iter().find(|(kind, ..)| *kind == GOAWAY).expect("a GOAWAY");
    assert_eq!(reason(&goodbye.2), ENHANCE_YOUR_CALM, "{frames:?}");
    assert!(bridge.metric("ci_bridge_callbacks_received_total") < 100.0);
    bridge.assert_every_callback_is_accounted_for();
}
