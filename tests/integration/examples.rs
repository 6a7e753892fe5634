//! The subscribers of `examples/`, with the real client libraries, beside a bridge: small events and large ones. A
//! language that is not there is left out, with a sentence.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::support::{
    Bridge, LocalNats, POLL_INTERVAL, Streams, eventually, moderation, nats, rendered, repository, speech,
    task,
};

/// A package client on a cold cache, or a compiler: longer than anything else here.
const PATIENCE: Duration = Duration::from_secs(120);

/// An example that runs until it is dropped.
struct Subscriber {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Subscriber {
    fn start(command: &mut Command, nats: &LocalNats) -> Self {
        command.env("NATS_URL", nats.url()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the example starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).for_each(|line| drop(send.send(line)));
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the example prints a line for each message")
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A copy of an example, where its packages can be installed; kept from run to run.
fn workplace(language: &str) -> PathBuf {
    let folder = repository("target/examples").join(language);
    std::fs::create_dir_all(&folder).unwrap();
    copy(&repository("examples").join(language), &folder);
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Whether a program runs to a good end; `false`, with a sentence, where it is not there or its packages cannot be had.
fn runs(language: &str, command: &mut Command) -> bool {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            println!("the {language} example is left out: {command:?} failed: {said}");
            false
        }
        Err(error) => {
            println!("the {language} example is left out: {command:?}: {error}");
            false
        }
    }
}

/// Posts a small callback, five hours of speech, and an hour of video moderation at a frame a second, with the defaults of
/// the bridge and of nats-server; the subscriber prints size and digest of each body as it got it.
fn assert_gets_all(command: &mut Command) {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\ndeadline = \"15s\"\n");
    let streams = Streams::of(&nats);
    let callbacks = [task("small"), speech("speech", 6000), moderation("video", 3600)];
    for body in &callbacks {
        bridge.post_and_store(body);
    }
    let stored = streams.messages("CI");
    let mut expected: Vec<_> = callbacks.iter().map(|body| described(&rendered(body))).collect();
    for large in &stored[1..] {
        let object = large.header("Ci-Object").expect("it names its object");
        assert!(object.starts_with(&format!("CI_LARGE/{}:", large.id())), "{object}");
    }
    let subscriber = Subscriber::start(command.env("CI_SUBJECT", "ci.>"), &nats);
    while !expected.is_empty() {
        let line = subscriber.line();
        // Some print a line before it.
        expected.retain(|described| !line.ends_with(described));
    }
}

fn described(data: &[u8]) -> String {
    let digest: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes, SHA-256 {digest}", data.len())
}

/// Asks for a job before it has ended, and again when it has; prints its state and object.
fn assert_waits(command: impl Fn() -> Command) {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[jobs]\nbucket = \"CI_JOBS\"\n");
    let streams = Streams::of(&nats);
    // Without the service there are no responders.
    eventually("the service", || streams.request("$SRV.PING.ci-bridge"));
    let before = Subscriber::start(command().arg("j1"), &nats);
    let deadline = std::time::Instant::now() + PATIENCE;
    while bridge.metric("ci_bridge_job_requests_waiting") < 1.0 {
        assert!(std::time::Instant::now() < deadline, "it does not ask");
        std::thread::sleep(POLL_INTERVAL);
    }
    assert_eq!(bridge.post(task("j1")).status, 200);
    assert_eq!(before.line(), "Success in/j1.mp3");
    let after = Subscriber::start(command().arg("j1"), &nats);
    assert_eq!(after.line(), "Success in/j1.mp3");
}

#[test]
fn the_rust_example_waits_for_a_job() {
    let example = Path::new(env!("CARGO_BIN_EXE_ci-bridge")).with_file_name("examples").join("wait");
    match example.is_file() {
        true => assert_waits(|| Command::new(&example)),
        false => println!("the Rust example is left out: {} was not built", example.display()),
    }
}

#[test]
fn the_rust_example_gets_small_and_large_events() {
    let example = Path::new(env!("CARGO_BIN_EXE_ci-bridge")).with_file_name("examples").join("subscribe");
    match example.is_file() {
        true => assert_gets_all(&mut Command::new(example)),
        // `cargo xtask test` builds it; `cargo test --package ci-bridge` does not.
        false => println!("the Rust example is left out: {} was not built", example.display()),
    }
}

#[test]
fn the_python_examples_get_small_and_large_events_and_wait_for_a_job() {
    let folder = workplace("python");
    let python = folder.join("venv/bin/python");
    if !python.exists()
        && !runs("Python", Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")))
    {
        return;
    }
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
    if runs("Python", Command::new(&python).args(install).current_dir(&folder)) {
        assert_gets_all(Command::new(&python).arg("subscribe.py").current_dir(&folder));
        assert_waits(|| {
            let mut command = Command::new(&python);
            command.arg("wait.py").current_dir(&folder);
            command
        });
    }
}

#[test]
fn the_node_examples_get_small_and_large_events_and_wait_for_a_job() {
    let folder = workplace("node");
    if runs("Node", Command::new("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&folder)) {
        assert_gets_all(Command::new("node").arg("subscribe.mjs").current_dir(&folder));
        assert_waits(|| {
            let mut command = Command::new("node");
            command.arg("wait.mjs").current_dir(&folder);
            command
        });
    }
}

#[test]
fn the_go_examples_get_small_and_large_events_and_wait_for_a_job() {
    let folder = workplace("go");
    let build = |folder: &Path| {
        runs("Go", Command::new("go").args(["mod", "tidy"]).current_dir(folder))
            && runs("Go", Command::new("go").args(["build", "-o", "subscribe", "."]).current_dir(folder))
            && runs("Go", Command::new("go").args(["build", "-o", "waits", "./wait"]).current_dir(folder))
    };
    if build(&folder) {
        assert_gets_all(&mut Command::new(folder.join("subscribe")));
        assert_waits(|| Command::new(folder.join("waits")));
    }
}
