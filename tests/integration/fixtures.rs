//! Every fixture, offline through `render` and online through the whole bridge.

use std::fs;
use std::path::PathBuf;

use ci_bridge_schema::{Limits, ModerationEvent, TaskEvent, WorkflowEvent, parse_answer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::support::{Bridge, Streams, nats, repository, run};

/// A folder of `tests/fixtures`.
struct Case {
    name: String,
    bodies: Vec<PathBuf>,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
enum Expected {
    Messages {
        messages: Vec<Message>,
    },
    Probe,
    Unreadable {
        reason: String,
        status: u16,
        line: Option<u32>,
        column: Option<u32>,
        #[serde(default)]
        detail: String,
    },
}

#[derive(Deserialize)]
struct Message {
    subject: String,
    id: String,
    source: String,
    object: Option<String>,
    time: Option<String>,
    r#type: String,
    data: Value,
}

/// A walk that finds fewer has lost some.
const LEAST_CASES: usize = 125;
const LEAST_MESSAGES: usize = 105;
const LEAST_DESCRIBED: usize = 40;

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for folder in fs::read_dir(repository("tests/fixtures")).unwrap().map(|entry| entry.unwrap().path()) {
        if !folder.is_dir() {
            continue;
        }
        let mut bodies: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        bodies.retain(|path| path.file_name().is_some_and(|name| name != "expect.json"));
        bodies.sort();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let expected = serde_json::from_slice(&fs::read(folder.join("expect.json")).unwrap());
        let expected = expected.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!bodies.is_empty(), "{name} has no body");
        cases.push(Case { name, bodies, expected });
    }
    assert!(cases.len() >= LEAST_CASES, "only {} cases", cases.len());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// What CI's query API answers is read by the readers of callbacks: the same element is the same event.
#[test]
fn an_answer_of_the_query_api_gives_what_the_callback_gives() {
    let limits = Limits::default();
    let mut compared = 0;
    for Case { name, bodies, expected } in cases() {
        let Expected::Messages { messages } = expected else { continue };
        let is_described = |message: &Message| {
            let id = if message.r#type.contains(".task.") { "JobId" } else { "RunId" };
            !message.r#type.contains("moderation") && message.data.get(id).is_some()
        };
        if !messages.iter().all(is_described) {
            continue;
        }
        for body in bodies.iter().filter(|body| body.extension().is_some_and(|end| end == "xml")) {
            let bytes = fs::read(body).unwrap();
            let answer = parse_answer(&bytes, &limits).unwrap();
            // One answer is of one kind.
            let described = match messages[0].r#type.contains(".task.") {
                true => answer.jobs(),
                false => answer.runs("none-1300000001"),
            };
            assert_eq!(described.len(), messages.len(), "{name}");
            for (job, message) in described.iter().zip(&messages) {
                let mut data: Value = serde_json::from_slice(job.event.data()).unwrap();
                // Of a run, the host says what the answer does not.
                if message.data.get("BucketId").is_none() && data["BucketId"] == "none-1300000001" {
                    data.as_object_mut().unwrap().remove("BucketId");
                }
                assert_eq!(data, message.data, "{name}");
                assert!(job.has_ended, "{name}");
                compared += 1;
            }
        }
    }
    assert!(compared >= LEAST_DESCRIBED, "only {compared} elements");
}

#[test]
fn render_gives_what_each_fixture_expects() {
    let mut wrong = Vec::new();
    for case in cases() {
        for body in &case.bodies {
            if let Err(difference) = check_rendering(body, &case.expected) {
                wrong.push(format!(
                    "{}/{}: {difference}",
                    case.name,
                    body.file_name().unwrap().to_string_lossy()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn check_rendering(body: &PathBuf, expected: &Expected) -> Result<(), String> {
    let output = run(&["render", "-"], &fs::read(body).unwrap());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let code = output.status.code();
    match expected {
        Expected::Messages { messages } => {
            same("exit code", &code, &Some(0)).map_err(|e| format!("{e}: {stderr}"))?;
            same("number of messages", &lines.len(), &messages.len())?;
            lines.iter().zip(messages).try_for_each(|(line, message)| check_message(line, message))?;
            // Canonical: the bytes are those of compact JSON with sorted names.
            for (line, text) in lines.iter().zip(stdout.lines()) {
                let data = format!("\"data\":{}}}", line["data"]);
                if !text.ends_with(&data) {
                    return Err(format!("not canonical: {text}"));
                }
            }
            Ok(())
        }
        Expected::Probe => same("exit code", &code, &Some(0)).and(same("messages", &lines.len(), &0)),
        Expected::Unreadable { reason, line, column, detail, .. } => {
            same("exit code", &code, &Some(65))?;
            let place =
                line.map(|line| format!("line {line}, column {}", column.unwrap_or(0))).unwrap_or_default();
            match [reason, &place, detail].into_iter().find(|part| !stderr.contains(part.as_str())) {
                None => Ok(()),
                Some(part) => Err(format!("{part:?} is not in {stderr:?}")),
            }
        }
    }
}

fn check_message(line: &Value, expected: &Message) -> Result<(), String> {
    let header = |name: &str| line["headers"][name].as_str().map(str::to_owned);
    same("subject", &line["subject"].as_str(), &Some(expected.subject.as_str()))?;
    same("Nats-Msg-Id", &header("Nats-Msg-Id").as_ref(), &Some(&expected.id))?;
    same("ce-id", &header("ce-id").as_deref().map(decoded).as_ref(), &Some(&expected.id))?;
    same("ce-source", &header("ce-source").as_deref().map(decoded).as_ref(), &Some(&expected.source))?;
    same("ce-datacontenttype", &header("ce-datacontenttype"), &header("Content-Type"))?;
    same("ce-type", &header("ce-type").as_ref(), &Some(&expected.r#type))?;
    same("ce-subject", &header("ce-subject"), &expected.object)?;
    same("ce-time", &header("ce-time"), &expected.time)?;
    same("data", &line["data"], &expected.data)
}

/// A header's value as the NATS binding of CloudEvents has it read.
fn decoded(value: &str) -> String {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, have: &T, expected: &T) -> Result<(), String> {
    match have == expected {
        true => Ok(()),
        false => Err(format!("{what}:\n   is       {have:?}\n   expected {expected:?}")),
    }
}

#[test]
fn every_fixture_is_answered_and_stored_as_it_says() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    let (mut events, mut quarantined) = (Vec::new(), 0);
    for case in cases() {
        let before = events.len();
        for body in &case.bodies {
            let answer = bridge.post(fs::read(body).unwrap());
            let context =
                format!("{}/{}: {answer:?}", case.name, body.file_name().unwrap().to_string_lossy());
            match &case.expected {
                Expected::Messages { messages } => {
                    assert_eq!(answer.status, 200, "{context}");
                    let report = answer.json();
                    assert_eq!(report["outcome"], "published", "{context}");
                    let ids: Vec<_> =
                        report["messages"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
                    assert_eq!(ids, messages.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), "{context}");
                    if events.len() == before {
                        events.extend(
                            messages.iter().map(|m| (m.subject.clone(), m.id.clone(), m.data.clone())),
                        );
                    }
                }
                Expected::Probe => assert_eq!(
                    (answer.status, &answer.json()["outcome"]),
                    (200, &"probe".into()),
                    "{context}"
                ),
                Expected::Unreadable { status, .. } => {
                    assert_eq!(answer.status, *status, "{context}");
                    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{context}");
                    quarantined += 1;
                }
            }
        }
    }
    // Bodies of one case are one event; so are cases that happen to tell of the same.
    let mut seen = std::collections::BTreeSet::new();
    events.retain(|(_, id, _)| seen.insert(id.clone()));
    let streams = Streams::of(&nats);
    let stored = streams.messages("CI");
    let stored: Vec<_> = stored.iter().map(|m| (m.subject.clone(), m.id().to_owned(), m.json())).collect();
    assert_eq!(stored, events);
    assert_eq!(streams.messages("CI_QUARANTINE").len(), quarantined, "each broken body is kept once");
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn a_subscriber_reads_every_message_and_loses_nothing_of_it() {
    let mut read = 0;
    for case in cases() {
        let Expected::Messages { messages } = case.expected else { continue };
        for message in messages {
            let (name, data) = (&case.name, message.data);
            match message.r#type.as_str() {
                "com.tencent.ci.task.v1" => assert_round_trip::<TaskEvent>(name, &data),
                "com.tencent.ci.workflow.v1" => assert_round_trip::<WorkflowEvent>(name, &data),
                _ => assert_round_trip::<ModerationEvent>(name, &data),
            }
            read += 1;
        }
    }
    assert!(read >= LEAST_MESSAGES, "{read} messages");
}

fn assert_round_trip<T: DeserializeOwned + Serialize>(name: &str, data: &Value) {
    let event: T = serde_json::from_value(data.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(&serde_json::to_value(event).unwrap(), data, "{name}");
}
