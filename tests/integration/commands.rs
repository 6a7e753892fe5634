//! The commands beside `serve`, as a person or a script runs them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Bridge, LocalNats, Streams, ci_bridge, nats, repository, run, task};

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
fn a_demo_that_is_stopped_leaves_nothing_behind() {
    for name in ["INT", "TERM", "HUP", "KILL"] {
        if name == "HUP" && hangups_are_ignored() {
            eprintln!(
                "SIGHUP is left out: whoever started the tests ignores it (nohup), and so does what they start"
            );
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut demo = ci_bridge();
        demo.args(["demo", "--keep"]).env("TMPDIR", folder.path()).stdout(Stdio::piped());
        let mut demo = demo.spawn().unwrap();
        let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("Ctrl-C ends it")));
        let config =
            std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path().join("nats.conf");
        let serving = || {
            std::fs::read_dir("/proc").is_ok_and(|mut all| all.any(|process| runs_with(&process, &config)))
        };
        assert!(serving() || !Path::new("/proc/self").exists());
        crate::support::signal(name, demo.id());
        let code = crate::support::eventually("the demo ends", || demo.try_wait().unwrap()).code();
        if name == "KILL" {
            // Nobody is left to wait for it but a shell, which the kernel wakes.
            crate::support::eventually("nats-server has gone", || (!serving()).then_some(()));
            let empty = || std::fs::read_dir(folder.path()).unwrap().next().is_none();
            crate::support::eventually("its folder too", || empty().then_some(()));
            continue;
        }
        assert_eq!(code, Some(0), "{name}");
        assert!(!serving(), "{name}: nats-server goes with it");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{name}: so does its folder");
    }
}

/// By the system's own account; where there is none, no.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

fn runs_with(process: &std::io::Result<std::fs::DirEntry>, config: &Path) -> bool {
    let Ok(process) = process else { return false };
    let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains(&*config.to_string_lossy())
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
    assert_eq!(run(&["render", "/nowhere"], b"").status.code(), Some(65));
}

#[test]
fn send_shows_the_answer_and_fails_with_it() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[[ingress.endpoints]]\ntokens = [\"s3cret\"]\n");
    let url = format!("http://{}/ci/callback", bridge.address);
    let send = |arguments: &[&str]| run(&[&["send", "--url", &url], arguments].concat(), b"");
    let output = send(&["--sample", "batch", "--token", "s3cret"]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("  CI #3  task:"), "{stdout}");
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

#[test]
fn schema_describes_every_subject_from_the_types() {
    let document = |arguments: &[&str]| -> Value {
        let output = run(&[&["schema"], arguments].concat(), b"");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let task = document(&["task"]);
    assert_eq!(task["title"], "TaskEvent");
    assert!(task["properties"]["JobId"]["description"].is_string(), "{task}");
    assert_eq!(document(&["workflow"])["title"], "WorkflowEvent");
    assert_eq!(document(&["moderation"])["title"], "ModerationEvent");
    let asyncapi = document(&["asyncapi"]);
    assert_eq!(asyncapi, document(&[]), "it is the default");
    assert_eq!(asyncapi["asyncapi"], "3.1.0");
    let addresses: Vec<_> = ["task", "workflow", "moderation"]
        .iter()
        .map(|kind| &asyncapi["channels"][kind]["address"])
        .collect();
    assert_eq!(
        addresses,
        ["ci.task.{tag}.{state}", "ci.workflow.{state}", "ci.moderation.{event}.{verdict}"]
    );
    assert!(!asyncapi.to_string().contains("$defs"), "references would point nowhere");
}

#[test]
fn quarantine_is_listed_shown_and_replayed() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    assert_eq!(bridge.post("<broken").status, 400);
    assert_eq!(bridge.post("a=1").status, 422);
    let quarantine = |arguments: &[&str]| {
        let mut command = ci_bridge();
        let output = command.arg("quarantine").args(arguments).env("NATS_URL", nats.url()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, list) = quarantine(&["list"]);
    let lines: Vec<_> = list.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3), "{list}");
    assert!(lines[1].starts_with("1  ") && lines[1].contains("  quarantine:"), "{list}");
    assert!(lines[1].contains("  syntax ") && lines[1].contains("  line 1, "), "{list}");
    assert_eq!(quarantine(&["show", "2"]), (Some(0), "a=1".to_owned()));
    assert_eq!(quarantine(&["show", "3"]).0, Some(1));
    let url = format!("http://{}/ci/callback", bridge.address);
    let (code, report) = quarantine(&["replay", "--url", &url]);
    assert_eq!(code, Some(1), "neither can be read now: {report}");
    assert_eq!(quarantine(&["list"]).1.lines().count(), 3);
    // What was fixed meanwhile: a bridge that takes the body. Here, a body that can be taken.
    let streams = Streams::of(&nats);
    streams.publish("ci-quarantine.syntax", &task("j1"));
    let (code, report) = quarantine(&["replay", "3", "--url", &url]);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(streams.subjects("CI"), ["ci.task.NoiseReduction.success"]);
    assert_eq!(quarantine(&["list"]).1.lines().count(), 3, "what was taken has left");
}

#[test]
fn the_spool_is_looked_at_and_drained_without_the_bridge() {
    let mut nats = nats();
    nats.kill().unwrap();
    let bridge = Bridge::start_towards(&nats.url(), "");
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    let dir = bridge.folder().join("spool");
    let dir = dir.as_path();
    // Another bridge than the one that the configuration names, and there is none.
    let (code, _, stderr) = spool(&nats, dir, &["status"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("127.0.0.1:1 (admin.listen) does not answer"), "{stderr}");
    let _folder = bridge.stop_and_keep_folder();
    let (code, stdout, stderr) = spool(&nats, dir, &["status"]);
    assert!(code == Some(0) && stdout.starts_with("messages 1\n"), "{stdout}{stderr}");
    assert_eq!(spool(&nats, dir, &["drain", "--seconds", "0"]).0, Some(1), "NATS is not there");
    nats.restart(None).unwrap();
    let (code, _, stderr) = spool(&nats, dir, &["drain"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(Streams::of(&nats).subjects("CI"), ["ci.task.NoiseReduction.success"]);
}

fn spool(nats: &LocalNats, dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = ci_bridge();
    command.arg("spool").args(arguments).env("NATS_URL", nats.url()).env("CI_BRIDGE__SPOOL__DIR", dir);
    command.env("CI_BRIDGE__ADMIN__LISTEN", "127.0.0.1:1");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What a command says on standard error, up to a line that holds `expected`.
fn said_until(command: &mut std::process::Child, expected: &str) -> String {
    let mut said = String::new();
    let mut lines = BufReader::new(command.stderr.take().unwrap()).lines();
    while !said.contains(expected) {
        said.push_str(&lines.next().unwrap_or_else(|| panic!("no {expected:?} in {said:?}")).unwrap());
        said.push('\n');
    }
    // Nobody reads on: what else is said finds a closed pipe, and changes nothing.
    said
}

#[test]
fn a_command_that_waits_says_for_what() {
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let rows: [(&[&str], &str); 2] = [
        (&["quarantine", "list"], "asking NATS at 127.0.0.1:"),
        (&["reconcile", "--bucket", "media-1250000000@ap-beijing"], "waiting for NATS, up to 15 s"),
    ];
    for (arguments, expected) in rows {
        let folder = tempfile::tempdir().unwrap();
        let mut command = ci_bridge();
        command.args(arguments).env("NATS_URL", &url).current_dir(&folder);
        command.env("TENCENTCLOUD_SECRET_ID", "AKIDx").env("TENCENTCLOUD_SECRET_KEY", "x");
        let mut command = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = said_until(&mut command, expected);
        assert!(said.starts_with("ci-bridge: "), "{said}");
        command.kill().unwrap();
        command.wait().unwrap();
    }
}

#[test]
fn a_command_that_asks_a_frozen_bridge_says_so() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let mut status = ci_bridge();
    status.args(["spool", "status"]).current_dir(bridge.folder());
    status.env("CI_BRIDGE__ADMIN__LISTEN", bridge.admin.to_string());
    crate::support::signal("STOP", bridge.id());
    let mut status = status.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let said = said_until(&mut status, "waiting for the bridge at 127.0.0.1:");
    crate::support::signal("CONT", bridge.id());
    assert_eq!(status.wait().unwrap().code(), Some(0), "{said}");
}
