//! `ci-bridge send`, and the other side of it: what it says of an answer, and where it goes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Bridge, Streams, nats, run, task};

fn said(arguments: &[&str], input: &[u8]) -> (Option<i32>, String) {
    let output = run(&[&["send"], arguments].concat(), input);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn an_answer_comes_in_words_or_as_it_is() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let url = format!("http://{}/ci/callback", bridge.address);
    let (code, words) = said(&["-", "--url", &url], task("j1").as_bytes());
    assert_eq!(code, Some(0), "{words}");
    assert!(words.starts_with("-: 200 published ("), "{words}");
    assert!(words.contains("\n  ci.task.NoiseReduction.success  CI #1  task:j1:Success\n"), "{words}");
    let (code, raw) = said(&["-", "--url", &url, "--json"], task("j1").as_bytes());
    let answer: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!((code, &answer["messages"][0]["duplicate"]), (Some(0), &true.into()), "{raw}");
    let (code, words) = said(&["--sample", "broken", "--url", &url], b"");
    assert!(code == Some(1) && words.starts_with("broken: 400 line 7, column 5"), "{words}");
    assert!(words.contains("kept in quarantine as quarantine:"), "{words}");
}

/// The file of a bridge that runs, with the port that it took.
fn configuration_of(bridge: &Bridge, rest: &str) -> std::path::PathBuf {
    let file = bridge.folder().join("sender.toml");
    std::fs::write(&file, format!("[ingress]\nlisten = \"{}\"\n{rest}", bridge.address)).unwrap();
    file
}

#[test]
fn address_path_and_token_come_from_the_configuration() {
    let nats = nats();
    let endpoints = "[[ingress.endpoints]]\nname = \"a\"\npath = \"/a\"\ntokens = [\"token-of-a\"]\n\
                     [[ingress.endpoints]]\nname = \"b\"\npath = \"/b\"\ntokens = [\"token-of-b\"]\n";
    let bridge = Bridge::start(&nats, endpoints);
    let file = configuration_of(&bridge, endpoints);
    let file = file.to_str().unwrap();
    for name in ["a", "b"] {
        let (code, words) = said(&["--sample", "batch", "-c", file, "--endpoint", name], b"");
        assert_eq!(code, Some(0), "{name}: {words}");
    }
    assert_eq!(said(&["--sample", "batch", "-c", file], b"").0, Some(0), "the first");
    let (code, words) = said(&["--sample", "batch", "-c", file, "--token", "wrong"], b"");
    assert!(code == Some(1) && words.contains("401"), "{words}");
    let (code, words) = said(&["--sample", "batch", "-c", file, "--endpoint", "c"], b"");
    assert!(code == Some(1) && words.contains("the configuration has a, b"), "{words}");
}

/// As docs/operations.md makes one.
fn self_made(folder: &Path, days: &str) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args([
        "-days",
        days,
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ]);
    openssl.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("cert.pem"));
    match openssl.output() {
        Ok(output) => output.status.success(),
        Err(error) => {
            eprintln!("NOT HELD AGAINST openssl: {error}");
            false
        }
    }
}

#[test]
fn a_certificate_of_ones_own_is_trusted_by_name() {
    let folder = tempfile::tempdir().unwrap();
    if !self_made(folder.path(), "2") {
        return;
    }
    let nats = nats();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let tls = format!("[ingress.tls]\ncert = {cert:?}\nkey = {key:?}\n");
    let bridge = Bridge::start(&nats, &tls);
    let url = format!("https://{}/ci/callback", bridge.address);
    let (code, words) = said(&["--sample", "batch", "--url", &url, "--ca", cert.to_str().unwrap()], b"");
    assert_eq!(code, Some(0), "{words}");
    let file = configuration_of(&bridge, &tls);
    let (code, words) = said(&["--sample", "batch", "-c", file.to_str().unwrap()], b"");
    assert_eq!(code, Some(0), "the configuration names the certificate: {words}");
    // Another one, with the same names: not the one that is trusted.
    let other = tempfile::tempdir().unwrap();
    assert!(self_made(other.path(), "2"));
    let ca = other.path().join("cert.pem");
    let (code, words) = said(&["--sample", "batch", "--url", &url, "--ca", ca.to_str().unwrap()], b"");
    assert!(code == Some(1) && words.contains("invalid peer certificate"), "{words}");
    assert_eq!(Streams::of(&nats).messages("CI").len(), 3, "and nothing came in");
}
