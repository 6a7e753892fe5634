//! The commands beside `serve`, as a person or a script runs them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Bridge, ci_bridge, nats, repository, run, task};

#[test]
fn the_demo_shows_the_main_job() {
    let output = run(&["demo", "--json"], b"");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let subjects: Vec<_> = lines.iter().map(|line| line["subject"].as_str().unwrap()).collect();
    let expected = [
        "ci.task.NoiseReduction.success",
        "ci.task.Transcode.failed",
        "ci.task.Snapshot.success",
        "ci.task.Snapshot.success",
        "ci.task.MediaInfo.success",
        "ci.workflow.Failed",
        "ci.moderation.ReviewImage.violation",
        "ci-quarantine.syntax",
    ];
    assert_eq!(subjects, expected);
    assert_eq!(lines[0]["seq"], 1);
    assert_eq!(lines[0]["headers"]["ce-type"], "com.tencent.ci.task.v1");
}

#[test]
fn render_reads_files_standard_input_and_captured_requests() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("callback.xml");
    std::fs::write(&file, task("j1")).unwrap();
    let capture = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\n{}", task("j2"));
    let output = run(&["render", file.to_str().unwrap(), "-"], capture.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    let stdout = String::from_utf8_lossy(&output.stdout);
    let ids: Vec<_> = stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["data"]["JobId"].clone())
        .collect();
    assert_eq!(ids, ["j1", "j2"]);
}

#[test]
fn render_prints_the_good_and_names_the_bad() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.xml"), folder.path().join("bad.xml"));
    std::fs::write(&good, task("j1")).unwrap();
    std::fs::write(&bad, "<Response>\n<JobsDetail>\n</Job>").unwrap();
    let output = run(&["render", bad.to_str().unwrap(), good.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(65));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("bad.xml: syntax: line 3, column 1: </Job> closes <JobsDetail>"), "{stderr}");
    assert_eq!(run(&["render", "/nowhere"], b"").status.code(), Some(1));
}

#[test]
fn send_shows_the_answer_and_fails_with_it() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[[ingress.endpoints]]\ntokens = [\"s3cret\"]\n");
    let url = format!("http://{}/ci/callback", bridge.address);
    let send = |arguments: &[&str]| run(&[&["send", "--url", &url], arguments].concat(), b"");
    let output = send(&["--sample", "batch", "--token", "s3cret"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("\"seq\":3"), "{stdout}");
    let file = repository("crates/bridge/samples/broken.json");
    let output = send(&[file.to_str().unwrap(), "--token", "s3cret"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains(": 400 "));
    assert_eq!(send(&["--sample", "probe"]).status.code(), Some(1), "no token");
    let output = run(&["send", "--sample", "probe", "--url", "http://127.0.0.1:1/"], b"");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is `ci-bridge serve` running?"));
}

#[test]
fn tail_prints_messages_as_they_come() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let mut tail = ci_bridge();
    tail.args(["tail", "--json", "ci.task.>"]).env("NATS_URL", nats.url()).stdout(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // Its subscription is there when the first message comes; until then, new ones are sent.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let line = std::thread::scope(|scope| {
        let bridge = &bridge;
        scope.spawn(move || {
            for number in 0.. {
                bridge.post(task(&format!("j{number}")));
                if stopped.recv_timeout(std::time::Duration::from_millis(20)).is_ok() {
                    return;
                }
            }
        });
        let line = lines.next().unwrap().unwrap();
        stop.send(()).unwrap();
        line
    });
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["subject"], "ci.task.NoiseReduction.success");
    assert_eq!(line["data"]["Tag"], "NoiseReduction");
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn check_connect_asks_nats() {
    let nats = nats();
    let check = |url: &str| {
        let mut command = ci_bridge();
        command.args(["check", "--connect"]).env("NATS_URL", url);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, stdout) = check(&nats.url());
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("stream CI does not exist yet: serve will create it"), "{stdout}");
    let bridge = Bridge::start(&nats, "");
    let (code, stdout) = check(&nats.url());
    assert_eq!(code, Some(0), "{stdout}");
    drop(bridge);
    let (code, stdout) = check("nats://127.0.0.1:1");
    assert_eq!(code, Some(78), "{stdout}");
    assert!(stdout.contains("FAILED nats: not connected"), "{stdout}");
}
