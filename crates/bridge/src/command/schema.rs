//! `ci-bridge schema`: what is published, as JSON Schema and AsyncAPI 3, made from the types themselves.

use std::io::{self, Write};
use std::process::ExitCode;

use ci_bridge_schema::{ModerationEvent, TaskEvent, WorkflowEvent};
use clap::ValueEnum;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

use crate::cli::Failure;
use crate::config::{Config, Settings};

/// What to describe.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Document {
    /// JSON Schema of a task message's data
    Task,
    /// JSON Schema of a workflow message's data
    Workflow,
    /// JSON Schema of a moderation message's data
    Moderation,
    /// AsyncAPI 3: every subject with its message
    Asyncapi,
}

pub(crate) fn run(document: Document, config: &Config, settings: &Settings) -> Result<ExitCode, Failure> {
    let value = match document {
        Document::Task => of::<TaskEvent>(),
        Document::Workflow => of::<WorkflowEvent>(),
        Document::Moderation => of::<ModerationEvent>(),
        Document::Asyncapi => asyncapi(config, settings),
    };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, &value).map_err(io::Error::from)?;
    writeln!(stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn of<T: JsonSchema>() -> Value {
    schema_for!(T).into()
}

/// In the draft that AsyncAPI knows, and in one piece: a reference would point into the document around it.
fn payload_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().into()
}

fn asyncapi(config: &Config, settings: &Settings) -> Value {
    let servers = settings.publisher.connection.servers_without_credentials();
    let subjects = &config.subjects;
    let messages = [
        ("task", &subjects.task, payload_of::<TaskEvent>(), "One finished job"),
        ("workflow", &subjects.workflow, payload_of::<WorkflowEvent>(), "One finished workflow instance"),
        ("moderation", &subjects.moderation, payload_of::<ModerationEvent>(), "One moderation result"),
    ];
    let (mut channels, mut operations, mut components) = (Map::new(), Map::new(), Map::new());
    for (kind, subject, schema, summary) in messages {
        channels.insert(kind.into(), channel(subject, kind, summary));
        operations.insert(format!("publish-{kind}"), operation(kind));
        components.insert(kind.into(), message(kind, summary, &schema));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "ci-bridge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Callbacks of Tencent Cloud Infinite (CI), one NATS message per job",
            "license": { "name": "Apache-2.0 OR MIT" },
        },
        "defaultContentType": "application/json",
        "servers": { "nats": { "host": servers, "protocol": "nats" } },
        "channels": channels,
        "operations": operations,
        "components": { "messages": components },
    })
}

/// A template with its modifiers left out, which AsyncAPI has no word for.
fn channel(subject: &str, kind: &str, summary: &str) -> Value {
    let (mut address, mut parameters) = (String::new(), Map::new());
    let mut rest = subject;
    while let Some((literal, (placeholder, after))) =
        rest.split_once('{').and_then(|(literal, after)| Some((literal, after.split_once('}')?)))
    {
        let (name, modifier) = placeholder.split_once(':').unwrap_or((placeholder, ""));
        let description = match modifier {
            "" => format!("{name}, percent-encoded outside [A-Za-z0-9_-]; _ when there is none"),
            case => {
                format!("{name} in {case} case, percent-encoded outside [A-Za-z0-9_-]; _ when there is none")
            }
        };
        address.push_str(&format!("{literal}{{{name}}}"));
        parameters.insert(name.to_owned(), json!({ "description": description }));
        rest = after;
    }
    address.push_str(rest);
    json!({
        "address": address,
        "summary": summary,
        "parameters": parameters,
        "messages": { kind: { "$ref": format!("#/components/messages/{kind}") } },
    })
}

fn operation(kind: &str) -> Value {
    json!({ "action": "send", "channel": { "$ref": format!("#/channels/{kind}") } })
}

fn message(kind: &str, summary: &str, schema: &Value) -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "name": format!("com.tencent.ci.{kind}.v1"),
        "summary": summary,
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "required": ["Nats-Msg-Id", "ce-id", "ce-source", "ce-specversion", "ce-type"],
            "properties": {
                "Nats-Msg-Id": text("the same for every repetition of the same callback"),
                "ce-id": text("the same as Nats-Msg-Id"),
                "ce-source": text("/ci/<bucket>"),
                "ce-specversion": { "const": "1.0" },
                "ce-type": { "const": format!("com.tencent.ci.{kind}.v1") },
                "ce-time": text("RFC 3339"),
                "ce-subject": text("the object's key, percent-encoded"),
                "traceparent": text("W3C trace context of the callback's request"),
            },
        },
        "payload": schema,
    })
}
