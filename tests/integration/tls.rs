//! TLS on the callback listener: who is let in, with which certificate, over which HTTP.

use std::net::SocketAddr;
use std::process::Output;

use crate::support::{
    Answer, Authority, Bridge, Connection, Streams, ci_bridge, eventually, nats, run, signal, task,
};

fn failed_handshakes(bridge: &Bridge, reason: &str) -> f64 {
    bridge.metric(&format!("ci_bridge_failed_handshakes_total{{reason=\"{reason}\"}}"))
}

fn send(to: SocketAddr, arguments: &[&str]) -> (Option<i32>, String) {
    let url = format!("https://{to}/ci/callback");
    let command = ["send", "--sample", "noise-reduction", "--url", &url];
    let Output { status, stdout, stderr } = run(&[&command[..], arguments].concat(), b"");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn https_is_served_to_whom_it_is_trusted_by() {
    let nats = nats();
    let (ours, other) = (Authority::new(), Authority::new());
    ours.sign("bridge");
    let bridge = Bridge::start(&nats, &ours.section("bridge"));
    let ca = ours.file("ca.pem");
    let (code, output) = send(bridge.address, &["--ca", ca.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{output}");
    assert_eq!(Streams::of(&nats).messages("CI").len(), 1);
    let mut client = Connection::open_tls(bridge.address, ours.client(None, &[]));
    assert_eq!(client.post(&task("j1")).unwrap().status, 200, "HTTP/1.1 without ALPN");
    let mut faulty = Connection::open_tls(bridge.address, ours.client(None, &["http/1.1"]));
    faulty.write(b"POST /ci/callback HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n");
    assert_eq!(faulty.read_answer().status, 400, "heads are looked at as without TLS");
    for (arguments, count) in [(&["--ca", other.file("ca.pem").to_str().unwrap()][..], 1.0), (&[], 2.0)] {
        let (code, output) = send(bridge.address, arguments);
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains("TLS with 127.0.0.1: invalid peer certificate"), "{output}");
        assert!(output.contains("name its authority with --ca FILE"), "{output}");
        eventually("counted", || (failed_handshakes(&bridge, "refused_by_client") >= count).then_some(()));
    }
    assert_eq!(Streams::of(&nats).messages("CI").len(), 2);
}

#[test]
fn with_an_authority_of_clients_nobody_else_gets_in() {
    let nats = nats();
    let (ours, other) = (Authority::new(), Authority::new());
    for name in ["bridge", "sender"] {
        ours.sign(name);
        other.sign(name);
    }
    let section = format!("{}client_ca = {:?}\n", ours.section("bridge"), ours.file("ca.pem"));
    let bridge = Bridge::start(&nats, &section);
    let post = |config| Connection::open_tls(bridge.address, config).post(&task("j1"));
    assert!(post(ours.client(None, &[])).is_none(), "no certificate");
    eventually("counted", || (failed_handshakes(&bridge, "no_client_certificate") >= 1.0).then_some(()));
    // The client of another authority, which trusts ours all the same.
    std::fs::copy(ours.file("ca.pem"), other.file("ca.pem")).unwrap();
    assert!(post(other.client(Some("sender"), &[])).is_none(), "somebody else's certificate");
    eventually("counted", || (failed_handshakes(&bridge, "client_certificate") >= 1.0).then_some(()));
    assert!(Streams::of(&nats).messages("CI").is_empty());
    assert_eq!(post(ours.client(Some("sender"), &[])).unwrap().status, 200);
    let files = ["ca.pem", "sender.pem", "sender.key"].map(|name| ours.file(name));
    let [ca, cert, key] = files.each_ref().map(|file| file.to_str().unwrap());
    let (code, output) = send(bridge.address, &["--ca", ca, "--cert", cert, "--key", key]);
    assert_eq!(code, Some(0), "{output}");
    let (code, output) = send(bridge.address, &["--ca", ca]);
    assert_eq!(code, Some(1), "{output}");
    bridge.assert_every_callback_is_accounted_for();
}

fn check(configuration: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    std::fs::write(&file, configuration).unwrap();
    let output = ci_bridge().args(["check", "-c"]).arg(&file).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn client_certificates_are_authentication() {
    let ours = Authority::new();
    ours.sign("bridge");
    let open = format!("[ingress]\nlisten = \"0.0.0.0:8080\"\n{}", ours.section("bridge"));
    let (code, stderr) = check(&open);
    assert_eq!(code, Some(78), "encryption alone keeps nobody out");
    assert!(stderr.contains("or ingress.tls.client_ca"), "{stderr}");
    let (code, stderr) = check(&format!("{open}client_ca = {:?}\n", ours.file("ca.pem")));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

#[test]
fn files_that_cannot_be_used_are_named_with_a_way_out() {
    let (ours, other) = (Authority::new(), Authority::new());
    ours.sign("bridge");
    other.sign("bridge");
    std::fs::write(ours.file("empty"), "").unwrap();
    std::fs::write(ours.file("text"), "no PEM at all").unwrap();
    std::fs::write(ours.file("cut"), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    let sealed = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(ours.file("sealed"), sealed).unwrap();
    let path = |name: &str| ours.file(name).display().to_string();
    let (cert, key, others) = (path("bridge.pem"), path("bridge.key"), other.file("bridge.key"));
    let others = others.display().to_string();
    let rows = [
        ("cert", &cert, "", "", "", "ingress.tls.cert: needs ingress.tls.key beside it"),
        ("", &key, "", &key, "", "ingress.tls.key: needs ingress.tls.cert beside it"),
        ("", &cert, "", "", &cert, "ingress.tls.client_ca: needs ingress.tls.cert"),
        ("", &cert, "/nowhere/c.pem", &key, "", "ingress.tls.cert: cannot read /nowhere/c.pem"),
        ("", &cert, &cert, "/nowhere/k.pem", "", "ingress.tls.key: cannot read /nowhere/k.pem"),
        ("", &cert, &path("empty"), &key, "", "empty is empty; a PEM file is needed"),
        ("", &cert, &path("text"), &key, "", "text holds no certificate"),
        ("", &cert, &path("cut"), &key, "", "cut is cut off or is no PEM"),
        ("", &cert, &key, &key, "", "bridge.key holds no certificate"),
        ("", &cert, &cert, &cert, "", "ingress.tls.key: "),
        ("", &cert, &cert, &path("sealed"), "", "sealed holds no private key that can be used"),
        ("", &cert, &cert, &others, "", "bridge.key is not the key of the certificate"),
        ("", &cert, &cert, &key, &path("text"), "ingress.tls.client_ca: "),
        ("", &cert, &cert, &key, "/nowhere/ca", "ingress.tls.client_ca: cannot read /nowhere/ca"),
    ];
    for (only, first, cert, key, client_ca, message) in rows {
        let configuration = match only {
            "" => format!("[ingress.tls]\ncert = {cert:?}\nkey = {key:?}\nclient_ca = {client_ca:?}\n"),
            only => format!("[ingress.tls]\n{only} = {first:?}\n"),
        };
        let (code, stderr) = check(&configuration);
        assert_eq!(code, Some(78), "{configuration}: {stderr}");
        assert!(stderr.contains(message), "{configuration}:\n   is       {stderr}\n   expected {message}");
        assert!(!stderr.contains("PRIVATE"), "{stderr}");
    }
}

#[test]
fn a_replaced_certificate_is_served_without_a_restart() {
    let nats = nats();
    let ours = Authority::new();
    let first = ours.sign("bridge");
    let bridge = Bridge::start(&nats, &ours.section("bridge"));
    let reloads = |outcome: &str| bridge.metric(&format!("ci_bridge_reloads_total{{outcome=\"{outcome}\"}}"));
    let connect = |job: &str| {
        let mut client = Connection::open_tls(bridge.address, ours.client(None, &[]));
        assert_eq!(client.post(&task(job)).unwrap().status, 200);
        client
    };
    let mut old = connect("j1");
    assert_eq!(old.certificate(), first);
    std::fs::write(ours.file("bridge.pem"), "half a certif").unwrap();
    eventually("refused", || (reloads("refused") >= 1.0).then_some(()));
    assert_eq!(connect("j2").certificate(), first, "a bad file changes nothing");
    let applied = reloads("applied");
    let second = ours.sign("bridge");
    signal("HUP", bridge.id());
    eventually("applied", || (reloads("applied") > applied).then_some(()));
    let mut new = connect("j3");
    assert_eq!(new.certificate(), second);
    assert_eq!(old.post(&task("j4")).unwrap().status, 200, "an open connection goes on");
    // TLS itself is no matter of a reload.
    let refused = reloads("refused");
    std::fs::write(bridge.folder().join("ci-bridge.toml"), "").unwrap();
    eventually("refused", || (reloads("refused") > refused).then_some(()));
    assert_eq!(new.post(&task("j5")).unwrap().status, 200);
    let (_, log) = bridge.terminate();
    assert!(log.contains("bridge.pem holds no certificate"), "{log}");
    assert!(log.contains("TLS can be neither begun nor ended while it runs"), "{log}");
}

#[test]
fn who_speaks_no_tls_is_told_so_and_who_says_nothing_is_cut() {
    let nats = nats();
    let ours = Authority::new();
    ours.sign("bridge");
    let configuration = format!("[ingress]\nhandshake_timeout = \"300ms\"\n{}", ours.section("bridge"));
    let bridge = Bridge::start(&nats, &configuration);
    let plain: Answer = bridge.post(task("j1"));
    assert_eq!(plain.status, 400);
    assert!(plain.json()["detail"].as_str().unwrap().contains("https://"), "{plain:?}");
    assert_eq!(failed_handshakes(&bridge, "plain_text"), 1.0);
    for half in [&b""[..], &b"\x16\x03\x01\x02\x00\x01"[..]] {
        let mut silent = Connection::open(bridge.address);
        silent.write(half);
        assert_eq!(silent.read_to_end(), b"", "cut without an answer");
    }
    assert_eq!(failed_handshakes(&bridge, "timeout"), 2.0);
    let mut broken = Connection::open(bridge.address);
    broken.write(b"\x16\x03\x01\x00\x04\xff\xff\xff\xff");
    broken.read_to_end();
    eventually("counted", || (failed_handshakes(&bridge, "protocol") >= 1.0).then_some(()));
    let mut gone = Connection::open(bridge.address);
    gone.write(b"\x16\x03\x01");
    gone.close_write();
    eventually("counted", || (failed_handshakes(&bridge, "closed") >= 1.0).then_some(()));
    eventually("no connection is left", || (bridge.metric("ci_bridge_connections") == 0.0).then_some(()));
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn a_handshake_takes_a_place_among_the_connections() {
    let nats = nats();
    let ours = Authority::new();
    ours.sign("bridge");
    let configuration = format!("[ingress]\nmax_connections = 1\n{}", ours.section("bridge"));
    let bridge = Bridge::start(&nats, &configuration);
    let mut silent = Connection::open(bridge.address);
    let answer = eventually("a place", || {
        Connection::open_tls(bridge.address, ours.client(None, &[])).post(&task("j1"))
    });
    assert_eq!(answer.status, 200);
    assert_eq!(silent.read_to_end(), b"", "closed for the other");
    assert_eq!(bridge.metric("ci_bridge_connections_closed_total{reason=\"evicted\"}"), 1.0);
}
