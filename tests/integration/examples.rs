//! The subscribers of `examples/`, with the real client libraries, beside a bridge: small events and large ones. A
//! language that is not there is left out, with a sentence.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Bridge, LocalNats, Streams, nats, repository};

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
    for entry in std::fs::read_dir(repository("examples").join(language)).unwrap().flatten() {
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    folder
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

fn callback(kind: &str, id: &str, entries: usize) -> String {
    let list = |entry: &str| vec![entry; entries].join(",");
    match kind {
        "task" => format!(
            r#"{{"EventName":"TaskFinish","JobsDetail":{{"JobId":"{id}","Tag":"VideoTag","State":"Failed","Operation":{{"Frames":[{}]}}}}}}"#,
            list(r#"{"Time":"1","Label":"a label that takes some room"}"#)
        ),
        "workflow" => format!(
            r#"{{"EventName":"WorkflowFinish","WorkflowExecution":{{"RunId":"{id}","State":"Success","Object":"o","Tasks":[{}]}}}}"#,
            list(r#"{"Type":"Transcode","State":"Success","JobId":"j"}"#)
        ),
        _ => format!(
            r#"{{"EventName":"ReviewVideo","JobsDetail":{{"JobId":"{id}","State":"Success","Result":1,"ForbidState":0,"Snapshot":[{}]}}}}"#,
            list(r#"{"SnapshotTime":1000,"Url":"https://example.com/a/frame.jpg"}"#)
        ),
    }
}

/// Posts a small and a large callback; the subscriber prints the size of each body as it got it.
fn assert_gets_both(name: &str, kind: &str, command: &mut Command) {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[ingress]\ndeadline = \"15s\"\n");
    for (id, entries) in [("small", 2), ("large", 40_000)] {
        assert_eq!(bridge.post(callback(kind, id, entries)).json()["outcome"], "published", "{name} {id}");
    }
    let streams = Streams::of(&nats);
    let stored = streams.messages("CI");
    assert_eq!(stored[1].header("Ci-Object"), Some(format!("CI_LARGE/{}", stored[1].id()).as_str()));
    let sizes = [stored[0].payload.len(), streams.object("CI_LARGE", stored[1].id()).len()];
    assert!(sizes[1] > 1 << 20, "{name}: {sizes:?}");
    let subscriber = Subscriber::start(command, &nats);
    for size in sizes {
        let line = subscriber.line();
        assert!(line.ends_with(&format!(" {size} bytes")), "{name}: {line:?}, {size} bytes are stored");
    }
}

#[test]
fn the_python_example_gets_small_and_large_events() {
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
        assert_gets_both("Python", "task", Command::new(&python).arg("subscribe.py").current_dir(&folder));
    }
}

#[test]
fn the_node_example_gets_small_and_large_events() {
    let folder = workplace("node");
    if runs("Node", Command::new("npm").args(["install", "--no-audit", "--no-fund"]).current_dir(&folder)) {
        assert_gets_both(
            "Node",
            "moderation",
            Command::new("node").arg("subscribe.mjs").current_dir(&folder),
        );
    }
}

#[test]
fn the_go_example_gets_small_and_large_events() {
    let folder = workplace("go");
    let build = |folder: &Path| {
        runs("Go", Command::new("go").args(["mod", "tidy"]).current_dir(folder))
            && runs("Go", Command::new("go").args(["build", "-o", "subscribe", "."]).current_dir(folder))
    };
    if build(&folder) {
        assert_gets_both("Go", "workflow", &mut Command::new(folder.join("subscribe")));
    }
}
