//! What is published, read with the CloudEvents SDKs of other languages: both modes are one event.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Tool, repository, run};

const PYTHON: Tool = Tool { program: "python3", package: "cloudevents==2.2.0" };
const NODE: Tool = Tool { program: "node", package: "cloudevents@10.0.0" };

/// A walk that finds fewer has lost some.
const LEAST_EVENTS: usize = 100;

#[test]
fn the_python_sdk_reads_one_event_in_both_modes() {
    read_with(&PYTHON, "tests/cloudevents/read.py");
}

#[test]
fn the_javascript_sdk_reads_one_event_in_both_modes() {
    read_with(&NODE, "tests/cloudevents/read.mjs");
}

fn read_with(tool: &Tool, script: &str) {
    let Some(folder) = tool.provision() else { return };
    let events = events();
    let lines: String = events.iter().map(|pair| format!("{pair}\n")).collect();
    let count = tool.run(&folder, &repository(script), &lines).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(count.trim(), events.len().to_string());
}

/// The messages of one body of each fixture, and of one with values that headers cannot hold, in both modes.
fn events() -> Vec<Value> {
    let hostile = json!({
        "EventName": "TaskFinish",
        "JobsDetail": {
            "JobId": "a:b %41\u{e9}\"\n", "State": "100% \u{1}", "Tag": "T", "EndTime": "2024-03-05T09:12:31+0800",
            "Input": { "BucketId": "b%2F/\u{e9} c", "Object": "a%41 \"\u{7f}\n\u{ffff}\u{1f3a7}+?#" },
        },
    });
    let folder = tempfile::tempdir().unwrap();
    let hostile_body = folder.path().join("hostile.json");
    fs::write(&hostile_body, hostile.to_string()).unwrap();
    let configuration = folder.path().join("structured.toml");
    fs::write(&configuration, "[messages]\nformat = \"cloudevents-structured\"\n").unwrap();

    let mut bodies = vec![hostile_body.to_string_lossy().into_owned()];
    for case in fs::read_dir(repository("tests/fixtures")).unwrap().map(|entry| entry.unwrap().path()) {
        let is_read =
            fs::read_to_string(case.join("expect.json")).is_ok_and(|text| text.contains("\"data\""));
        let mut files: Vec<_> =
            fs::read_dir(&case).into_iter().flatten().map(|file| file.unwrap().path()).collect();
        files.retain(|file| is_read && file.file_name().is_some_and(|name| name != "expect.json"));
        files.sort();
        bodies.extend(files.first().map(|file| file.to_string_lossy().into_owned()));
    }
    let rendered = |options: &[&str]| -> Vec<Value> {
        let arguments: Vec<_> =
            ["render"].iter().chain(options).copied().chain(bodies.iter().map(String::as_str)).collect();
        let output = run(&arguments, b"");
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(message).collect()
    };
    let structured = rendered(&["-c", &configuration.to_string_lossy()]);
    let binary = rendered(&[]);
    assert!(binary.len() >= LEAST_EVENTS && binary.len() == structured.len(), "{}", binary.len());
    let pairs = binary.into_iter().zip(structured);
    pairs.map(|(binary, structured)| json!({ "binary": binary, "structured": structured })).collect()
}

/// A line of `render`, as headers and body.
fn message(line: &str) -> Value {
    let line: Value = serde_json::from_str(line).unwrap();
    json!({ "headers": line["headers"], "body": line["data"].to_string() })
}
