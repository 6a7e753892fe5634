//! The schemas that are committed, and the AsyncAPI document of a configuration that uses everything.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Tool, repository, run};

const PARSER: Tool = Tool { program: "node", package: "@asyncapi/parser@3.6.6" };

/// A configuration whose messages go wherever they can.
const EVERYWHERE: &str = r#"
[nats]
servers = ["nats://user:secret@a.example.net:4222,tls://b.example.net:4223", "c.example.net"]

[messages]
format = "cloudevents-structured"

[[ingress.endpoints]]
name = "default"

[[ingress.endpoints]]
name = "tenant b"
path = "/b"
subjects = { task = "ci.b.{endpoint}.{tag}", quarantine = "ci-quarantine.b.{reason}" }

[[rules]]
match = { kind = "task", state = "Failed" }
subject = "ci.alerts.{tag:upper}.{tag}"
copy = true

[[rules]]
match = { bucket = "draft-*" }
drop = true

[[rules]]
match = { kind = "work*", endpoint = "tenant*" }
subject = "ci.runs.{endpoint}"
stream = "RUNS"

[[rules]]
match = { kind = "moderation" }
subject = "ci.reviews.{verdict}"
"#;

fn printed(arguments: &[&str]) -> String {
    let output = run(&[&["schema"], arguments].concat(), b"");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn everywhere() -> String {
    described(EVERYWHERE)
}

/// The AsyncAPI document of a configuration.
fn described(configuration: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ci-bridge.toml");
    fs::write(&path, configuration).unwrap();
    printed(&["asyncapi", "-c", &path.to_string_lossy()])
}

#[test]
fn asyncapi_describes_the_bucket_of_jobs_and_who_waits_for_them() {
    let document: Value = serde_json::from_str(&described("[jobs]\nbucket = \"JOBS\"\n")).unwrap();
    let address = |name: &str| document["channels"][name]["address"].as_str().map(str::to_owned);
    assert_eq!(address("jobs").as_deref(), Some("$KV.JOBS.{id}"));
    assert_eq!(address("await").as_deref(), Some("ci.await.{id}"));
    let reply = &document["operations"]["answer-await"]["reply"]["channel"]["$ref"];
    assert_eq!(reply, "#/channels/await-reply");
    let messages = document["channels"]["await-reply"]["messages"].as_object().unwrap();
    assert_eq!(messages.keys().collect::<Vec<_>>(), ["moderation", "task", "workflow"]);
}

#[test]
fn the_committed_schemas_are_what_the_types_say() {
    for (document, file) in [
        ("task", "task.schema.json"),
        ("workflow", "workflow.schema.json"),
        ("moderation", "moderation.schema.json"),
        ("asyncapi", "asyncapi.json"),
    ] {
        let committed = fs::read_to_string(repository("schemas").join(file)).unwrap_or_default();
        let again = format!("cargo run -- schema {document} > schemas/{file}");
        assert!(committed == printed(&[document]), "schemas/{file} is another one: {again}");
    }
}

#[test]
fn asyncapi_describes_what_the_configuration_publishes() {
    let text = everywhere();
    assert!(!text.contains("secret"), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    let hosts: Vec<_> =
        document["servers"].as_object().unwrap().values().map(|server| &server["host"]).collect();
    assert_eq!(hosts, ["a.example.net:4222", "b.example.net:4223", "c.example.net"]);
    let channels = document["channels"].as_object().unwrap();
    let addresses: Vec<_> = channels
        .iter()
        .map(|(name, channel)| {
            let messages: Vec<_> =
                channel["messages"].as_object().unwrap().keys().map(String::as_str).collect();
            (name.as_str(), channel["address"].as_str().unwrap(), messages.join(" "))
        })
        .collect();
    let expected = [
        ("quarantine", "ci-quarantine.{reason}", "quarantine"),
        ("rule-0", "ci.alerts.{tag}.{tag}", "task"),
        ("rule-2", "ci.runs.{endpoint}", "workflow"),
        // All reviews go there, so no other channel has any.
        ("rule-3", "ci.reviews.{verdict}", "moderation"),
        ("task", "ci.task.{tag}.{state}", "task"),
        ("tenant_b-quarantine", "ci-quarantine.b.{reason}", "quarantine"),
        ("tenant_b-task", "ci.b.{endpoint}.{tag}", "task"),
        ("workflow", "ci.workflow.{state}", "workflow"),
    ];
    assert_eq!(addresses, expected.map(|(name, address, kinds)| (name, address, kinds.to_owned())));
    assert_eq!(channels["rule-2"]["parameters"]["endpoint"]["enum"], json!(["tenant b"]));
    let summary = channels["rule-2"]["summary"].as_str().unwrap();
    assert_eq!(summary, "rules.2 publishes here instead, in the stream RUNS");
    let messages = &document["components"]["messages"];
    assert_eq!(messages["task"]["contentType"], "application/cloudevents+json");
    assert!(messages["task"]["payload"]["properties"]["data"]["properties"]["JobId"].is_object());
    assert!(messages["task"]["headers"]["properties"]["ce-id"].is_null());
    assert!(messages["quarantine"]["headers"]["properties"]["ce-id"].is_object());
}

#[test]
fn the_official_parser_has_nothing_to_say() {
    let Some(folder) = PARSER.provision() else { return };
    for document in [printed(&["asyncapi"]), everywhere(), described("[jobs]\nbucket = \"CI_JOBS\"\n")] {
        let said = PARSER.run(&folder, &repository("tests/asyncapi/parse.mjs"), &document);
        assert_eq!(said.as_deref(), Ok(""), "{document}");
    }
}
