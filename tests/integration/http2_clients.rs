//! HTTP/2 as other languages speak it: many callbacks at once over a new connection, each answered 200.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Authority, Bridge, nats, repository};

/// As many as clients send at once before they have read how many they may (RFC 9113, section 6.5.2, recommends it).
const POSTS: usize = 100;
const ROUNDS: usize = 20;

/// A program of this name on the path, or where its installer puts it.
fn program(name: &str, usual: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from(usual)]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Every post of every round is answered 200.
fn assert_all_are_answered(command: &mut Command) {
    let nats = nats();
    let ours = Authority::new();
    ours.sign("bridge");
    let bridge = Bridge::start(&nats, &ours.section("bridge"));
    command.arg(bridge.address.port().to_string()).arg(ours.file("ca.pem"));
    command.args([POSTS.to_string(), ROUNDS.to_string()]);
    let output = command.output().expect("the client runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let rounds: Vec<_> = text.lines().collect();
    assert_eq!(rounds, vec![format!("200: {POSTS}"); ROUNDS], "{errors}");
    assert_eq!(bridge.metric("ci_bridge_callbacks_received_total"), (POSTS * ROUNDS) as f64);
    bridge.assert_every_callback_is_accounted_for();
}

fn client(file: &str) -> PathBuf {
    repository(&format!("tests/integration/clients/{file}"))
}

#[test]
fn node_posts_many_at_once_over_a_new_connection() {
    match program("node", "/usr/bin") {
        Some(node) => assert_all_are_answered(Command::new(node).arg(client("posts.mjs"))),
        None => eprintln!("left out: there is no node"),
    }
}

#[test]
fn go_posts_many_at_once_over_a_new_connection() {
    let Some(go) = program("go", "/usr/local/go/bin") else {
        eprintln!("left out: there is no go");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let built = folder.path().join("posts");
    let build = |to: &Path| {
        let mut command = Command::new(&go);
        // Nothing is fetched: the program needs the standard library alone.
        command.arg("build").arg("-o").arg(to).arg(client("posts.go")).current_dir(folder.path());
        command.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GOFLAGS", "").output()
    };
    let output = build(&built).expect("go runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_all_are_answered(&mut Command::new(built));
}
