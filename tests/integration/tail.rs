//! `ci-bridge tail`, as a person watches with it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};

use serde_json::Value;

use crate::support::{Bridge, LocalNats, ci_bridge, eventually, nats, signal, task, task_with};

/// A running `tail`; killed when dropped.
struct Tail {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    said: BufReader<ChildStderr>,
}

impl Tail {
    fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = ci_bridge();
        command.arg("tail").args(arguments).env("NATS_URL", url);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines, said }
    }

    fn rows(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.lines.next().unwrap().unwrap()).collect()
    }

    /// Ctrl-C; gives what was said on standard error.
    fn interrupt(mut self) -> String {
        signal("INT", self.child.id());
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said}");
        said
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three jobs, two of them failed, and a body that nobody can read.
fn some_messages(nats: &LocalNats) -> Bridge {
    let bridge = Bridge::start(nats, "");
    for (job, tag, state) in
        [("j1", "Transcode", "Success"), ("j2", "Transcode", "Failed"), ("j3", "Tts", "Failed")]
    {
        assert_eq!(bridge.post(task_with(job, tag, state)).status, 200);
    }
    assert_eq!(bridge.post("<broken").status, 400);
    bridge
}

fn words(row: &str) -> Vec<&str> {
    row.split_whitespace().skip(1).collect()
}

#[test]
fn stored_messages_come_first_in_columns_and_then_new_ones() {
    let nats = nats();
    let bridge = some_messages(&nats);
    let mut tail = Tail::start(&nats.url(), &["--since", "1h"]);
    let rows = tail.rows(4);
    assert_eq!(rows[0].split_whitespace().next(), Some("TIME"), "{rows:?}");
    let first = ["1", "task", "Transcode", "Success", "in/j1.mp3", "ci.task.Transcode.success"];
    assert_eq!(words(&rows[1]), first);
    assert_eq!(words(&rows[3]), ["3", "task", "Tts", "Failed", "in/j3.mp3", "ci.task.Tts.failed"]);
    assert!(rows[1].find("Success") == rows[2].find("Failed"), "columns: {rows:#?}");
    assert!(!rows.concat().contains('\u{1b}'), "no colour in a pipe");
    bridge.post(task_with("j4", "Tts", "Success"));
    assert_eq!(words(&tail.rows(1)[0])[..4], ["4", "task", "Tts", "Success"]);
    let said = tail.interrupt();
    assert!(said.contains("4 messages in ") && said.contains(": 2 Failed, 2 Success"), "{said}");
    let host = nats.url().replace("nats://", "");
    assert!(said.contains(&format!("ci.> at {host}: new messages appear as they come")), "{said}");
}

#[test]
fn the_last_are_those_that_the_filters_let_through() {
    let nats = nats();
    let bridge = some_messages(&nats);
    // The job that is wanted stands far behind the last one: the look back widens until it is there.
    for number in 0..40 {
        bridge.post(task_with(&format!("k{number}"), "Tts", "Success"));
    }
    for (arguments, expect) in [
        (&["--last", "1", "--tag", "transcode"][..], &["2"][..]),
        (&["--last", "2", "--state", "FAILED"], &["2", "3"]),
        (&["--last", "2", "--kind", "task"], &["42", "43"]),
        (&["ci.task.*.failed", "--last", "1"], &["3"]),
        (&["--last", "5", "--kind", "quarantine"], &["1"]),
        (&["--since", "2020-01-01T00:00:00Z", "--state", "failed", "--tag", "Tts,Transcode"], &["2", "3"]),
    ] {
        let mut tail = Tail::start(&nats.url(), arguments);
        let rows = tail.rows(expect.len() + 1);
        let sequences: Vec<_> = rows[1..].iter().map(|row| words(row)[0]).collect();
        assert_eq!(sequences, expect, "{arguments:?}: {rows:?}");
    }
    let mut tail = Tail::start(&nats.url(), &["--last", "1", "--kind", "quarantine"]);
    let rows = tail.rows(3);
    assert_eq!(words(&rows[1]), ["1", "quarantine", "-", "syntax", "-", "ci-quarantine.syntax"]);
    assert!(rows[2].starts_with("  why line 1"), "{rows:?}");
}

#[test]
fn bodies_alone_and_json_are_for_pipes() {
    let nats = nats();
    let _bridge = some_messages(&nats);
    let raw = Tail::start(&nats.url(), &["--last", "1", "--raw"]).rows(1);
    assert_eq!(serde_json::from_str::<Value>(&raw[0]).unwrap()["JobId"], "j3");
    let json = Tail::start(&nats.url(), &["--last", "1", "--json"]).rows(1);
    let line: Value = serde_json::from_str(&json[0]).unwrap();
    assert_eq!(
        (&line["stream"], &line["seq"], &line["data"]["Tag"]),
        (&"CI".into(), &3.into(), &"Tts".into())
    );
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
}

#[test]
fn colours_follow_the_usual_variables() {
    let nats = nats();
    let _bridge = some_messages(&nats);
    for (variables, coloured) in [
        (&[("CLICOLOR_FORCE", "1")][..], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&[], false),
    ] {
        let mut command = ci_bridge();
        command.args(["tail", "--last", "1"]).env("NATS_URL", nats.url()).envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let rows = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
        assert_eq!(rows[1].contains("\u{1b}[31mFailed"), coloured, "{variables:?}: {rows:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn what_cannot_be_looked_at_is_said_with_a_remedy() {
    let fails = |url: &str, arguments: &[&str]| {
        let output = ci_bridge().arg("tail").args(arguments).env("NATS_URL", url).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let server = nats();
    let (code, said) = fails(&server.url(), &["--last", "1"]);
    assert!(code == Some(1) && said.contains("no stream CI yet: `ci-bridge serve` makes it"), "{said}");
    let (code, said) = fails(&server.url(), &["--since", "yesterday"]);
    assert!(code == Some(2) && said.contains("write a span such as 10m"), "{said}");
    let granted = "permissions: { publish: { allow: [\"$JS.API.STREAM.INFO.CI\", \"$JS.API.CONSUMER.CREATE.CI\", \
                   \"$JS.API.CONSUMER.CREATE.CI.>\", \"$JS.API.CONSUMER.DELETE.CI.*\", \"$JS.FC.>\"] }, \
                   subscribe: { allow: \"_INBOX.>\" } }";
    let config = format!(
        "authorization {{ users: [{{ user: w, password: p, {granted} }}, {{ user: b, password: p }}] }}"
    );
    let granting = LocalNats::start(&config).unwrap();
    let bridge = Bridge::start_towards(&granting.url().replace("nats://", "nats://b:p@"), "");
    bridge.wait_until_ready();
    bridge.post(task_with("j1", "Tts", "Success"));
    // As docs/operations.md has them.
    let mut tail = Tail::start(&granting.url().replace("nats://", "nats://w:p@"), &["--last", "1"]);
    assert_eq!(words(&tail.rows(2)[1])[0], "1");
    let deny = "permissions: { publish: { deny: \"$JS.>\" } }";
    let config = format!("authorization {{ users: [{{ user: w, password: p, {deny} }}] }}");
    let strict = LocalNats::start(&config).unwrap();
    let (code, said) = fails(&strict.url().replace("nats://", "nats://w:p@"), &["--since", "1m"]);
    assert!(code == Some(1) && said.contains("leave --since and --last out"), "{said}");
}

#[test]
fn tail_ends_when_it_may_not_see_the_subject() {
    let denied = "permissions: { subscribe: { deny: \"ci.>\" } }";
    let nats =
        LocalNats::start(&format!("authorization {{ users: [{{ user: w, password: p, {denied} }}] }}"))
            .unwrap();
    let tail = |user: &str, subject: &str| {
        let url = nats.url().replace("nats://", &format!("nats://{user}@"));
        let output = ci_bridge().args(["tail", subject]).env("NATS_URL", url).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{user} {subject}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let denied = "ci-bridge: NATS says: Permissions Violation for Subscription to \"ci.>\": allow the user of [nats] to \
                  subscribe to it, or name a subject that it may see\n";
    let said = tail("w:p", "ci.>");
    assert!(said.ends_with(denied), "{said}");
    let refused = tail("w:wrong", "other.>");
    assert!(
        refused.starts_with("ci-bridge: NATS refuses the connection: authorization violation"),
        "{refused}"
    );
    assert!(!refused.contains("wrong") && refused.lines().count() == 1, "{refused}");
}

#[test]
fn tail_waits_for_a_server_that_is_not_there_and_says_so_once() {
    let mut nats = nats();
    nats.kill().unwrap();
    let mut tail = ci_bridge();
    tail.args(["tail", "--json"]).env("NATS_URL", nats.url()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let mut said = BufReader::new(tail.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    let host = nats.url().replace("nats://", "");
    assert!(first.starts_with(&format!("ci-bridge: waiting for NATS at {host}: ")), "{first}");
    nats.restart(None).unwrap();
    let bridge = Bridge::start(&nats, "");
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let stdout = BufReader::new(tail.stdout.take().unwrap());
    let reader = std::thread::spawn(move || stdout.lines().for_each(|line| drop(arrived.send(line))));
    let mut number = 0;
    // Its subscription may come after the first message.
    let line = eventually("a message", || {
        number += 1;
        bridge.post(task(&format!("j{number}")));
        arrivals.recv_timeout(crate::support::POLL_INTERVAL).ok()
    });
    assert!(line.unwrap().contains("ci.task.NoiseReduction.success"));
    signal("TERM", tail.id());
    assert_eq!(tail.wait().unwrap().code(), Some(0));
    let mut more = String::new();
    said.read_to_string(&mut more).unwrap();
    assert!(!more.contains("waiting for NATS"), "once is enough: {more}");
    reader.join().unwrap();
}
