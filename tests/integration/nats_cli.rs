//! The nats CLI as a witness: what an operator types finds the bridge, its messages and its objects. Where there is no Go to
//! build it, a sentence says that it was left out.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::support::{Bridge, LocalNats, nats, rendered, repository, speech, task};

const VERSION: &str = "v0.5.1";

/// The program, built once into `target/`.
fn program() -> Option<&'static PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_ref()
}

fn build() -> Option<PathBuf> {
    let folder = repository("target/natscli");
    let program = folder.join("nats");
    let is_there = || {
        let output = Command::new(&program).arg("--version").stdin(Stdio::null()).output().ok()?;
        (output.status.success() && String::from_utf8_lossy(&output.stdout).trim() == VERSION).then_some(())
    };
    if is_there().is_none() {
        let package = format!("github.com/nats-io/natscli/nats@{VERSION}");
        let built = Command::new("go")
            .args(["install", &package])
            .env("GOBIN", &folder)
            .stdin(Stdio::null())
            .output();
        let why = match built {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            println!("the nats CLI is left out: go install {package}: {why}");
            return None;
        }
    }
    Some(program)
}

/// What it prints, whose end must be a good one.
fn ask(program: &PathBuf, nats: &LocalNats, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(["--server", &nats.url(), "--no-context"]).args(arguments);
    if !arguments.contains(&"--timeout") {
        command.args(["--timeout", "10s"]);
    }
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    assert!(output.status.success(), "nats {arguments:?}: {said}");
    said
}

#[test]
fn the_nats_cli_finds_the_bridge_its_messages_and_its_objects() {
    let Some(program) = program() else { return };
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\ndeadline = \"15s\"\n");
    let large = speech("large", 6000);
    for body in [task("small"), large.clone()] {
        bridge.post_and_store(body);
    }
    let ask = |arguments: &[&str]| ask(program, &nats, arguments);

    let services = ask(&["micro", "ls"]);
    assert!(services.contains("ci-bridge") && services.contains(env!("CARGO_PKG_VERSION")), "{services}");
    let info = ask(&["req", "$SRV.INFO.ci-bridge", "", "--raw"]);
    let info: serde_json::Value = serde_json::from_str(info.trim()).unwrap_or_else(|e| panic!("{e}: {info}"));
    assert_eq!(info["metadata"]["listen"], bridge.address.to_string());

    let message = ask(&["stream", "get", "CI", "1"]);
    for part in [
        "ci.task.NoiseReduction.success",
        "Nats-Msg-Id: task:small:Success",
        "ce-type: com.tencent.ci.task.v1",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // `stream view` shows the same, on a terminal only.
    let large_message = ask(&["stream", "get", "CI", "2"]);
    let (_, object) = large_message.split_once("Ci-Object: CI_LARGE/").expect("it names its object");
    let object = object.split_whitespace().next().unwrap();
    assert!(object.starts_with("task:large:Success:"), "{large_message}");

    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("whole.json");
    ask(&[
        "object",
        "get",
        "CI_LARGE",
        object,
        "--output",
        path.to_str().unwrap(),
        "--force",
        "--no-progress",
    ]);
    assert!(std::fs::read(&path).unwrap() == rendered(&large), "byte for byte");
}

/// `nats req` before and after the job has ended, and `nats kv get`; one bridge receives, the other answers.
#[test]
fn the_nats_cli_waits_for_a_job_and_reads_its_key() {
    let Some(program) = program() else { return };
    let nats = nats();
    let jobs = "[jobs]\nbucket = \"CI_JOBS\"\n";
    let receives = Bridge::start(&nats, &format!("{jobs}[nats]\nmicro = false\n"));
    let answers = Bridge::start(&nats, jobs);
    let ask = |arguments: &[&str]| ask(program, &nats, arguments);
    crate::support::eventually("the service", || {
        ask(&["req", "$SRV.INFO.ci-bridge", "", "--raw"]).contains("ci.await.*").then_some(())
    });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ask(&["req", "ci.await.j1", "", "--timeout", "60s"]));
        crate::support::eventually("it waits", || {
            (answers.metric("ci_bridge_job_requests_waiting") == 1.0).then_some(())
        });
        assert_eq!(receives.post(task("j1")).status, 200);
        let said = waiting.join().unwrap();
        assert!(said.contains("ce-id: task:j1:Success") && said.contains("\"State\":\"Success\""), "{said}");
    });
    let said = ask(&["req", "ci.await.j1", ""]);
    assert!(said.contains("ce-id: task:j1:Success"), "{said}");
    let value = ask(&["kv", "get", "CI_JOBS", "j1", "--raw"]);
    assert!(value.contains("\"JobId\":\"j1\""), "{value}");
}
