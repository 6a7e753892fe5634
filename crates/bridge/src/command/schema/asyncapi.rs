//! AsyncAPI 3 of what this configuration publishes.

use ci_bridge_publisher::{Delivery, Format, MessageId};
use ci_bridge_schema::{ModerationEvent, TaskEvent, WorkflowEvent};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::channels::{self, Channel, KINDS, QUARANTINE, summary};
use super::jobs;
use crate::config::{Config, Settings};

pub(super) fn document(config: &Config, settings: &Settings) -> Value {
    let channels = channels::of(config);
    let operations = channels.iter().map(|(name, _)| {
        let channel = json!({ "$ref": format!("#/channels/{name}") });
        (format!("publish-{name}"), json!({ "action": "send", "channel": channel }))
    });
    let mut operations: Map<_, _> = operations.collect();
    let mut channels: Map<_, _> = channels.iter().map(|(name, of)| (name.clone(), channel(of))).collect();
    jobs::describe(config, &mut channels, &mut operations);
    let messages =
        KINDS.iter().chain([&QUARANTINE]).map(|kind| ((*kind).to_owned(), message(kind, settings, config)));
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "ci-bridge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Callbacks of Tencent Cloud Infinite (CI), one NATS message per job",
            "license": { "name": "Apache-2.0 OR MIT" },
        },
        "defaultContentType": "application/json",
        "servers": servers(&settings.publisher.connection.servers),
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages.collect::<Map<_, _>>() },
    })
}

/// Each server of its own, without credentials.
fn servers(urls: &[String]) -> Map<String, Value> {
    let urls = urls.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|url| !url.is_empty());
    let servers = urls.enumerate().map(|(at, url)| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let mut server = json!({ "host": host, "protocol": "nats" });
        if scheme == "tls" {
            server["description"] = "TLS".into();
        }
        (if at == 0 { "nats".to_owned() } else { format!("nats-{}", at + 1) }, server)
    });
    servers.collect()
}

fn channel(channel: &Channel) -> Value {
    let parameters = channel.parameters.iter().map(|(name, description)| {
        let mut parameter = json!({ "description": description });
        if name == "endpoint" {
            parameter["enum"] = channel.endpoints.iter().cloned().collect();
        }
        (name.clone(), parameter)
    });
    let messages = channel
        .kinds
        .iter()
        .map(|kind| ((*kind).to_owned(), json!({ "$ref": format!("#/components/messages/{kind}") })));
    json!({
        "address": channel.address,
        "summary": channel.reasons.join("; "),
        "parameters": parameters.collect::<Map<_, _>>(),
        "messages": messages.collect::<Map<_, _>>(),
    })
}

/// In the draft that AsyncAPI knows, and in one piece: a reference would point into the document around it.
fn payload_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().into()
}

fn message(kind: &str, settings: &Settings, config: &Config) -> Value {
    let data = match kind {
        "task" => payload_of::<TaskEvent>(),
        "workflow" => payload_of::<WorkflowEvent>(),
        "moderation" => payload_of::<ModerationEvent>(),
        _ => return quarantined(settings),
    };
    let is_structured = config.messages.format == Format::CloudeventsStructured;
    let content_type = if is_structured { "application/cloudevents+json" } else { "application/json" };
    let mut headers = headers_of_all(settings, &json!({ "const": content_type }));
    if !is_structured {
        headers.extend(attributes(kind).map(|(name, schema)| (format!("ce-{name}"), schema)));
        headers.insert("ce-datacontenttype".to_owned(), json!({ "const": content_type }));
    }
    if settings.publisher.large.is_some() {
        let object =
            "<bucket>/<name> of the object that holds the whole body; this one is without its long lists";
        headers.insert("Ci-Object".to_owned(), text(object));
        headers.insert("Ci-Object-Bytes".to_owned(), text("the size of the whole body, in bytes"));
    }
    json!({
        "name": format!("com.tencent.ci.{kind}.v1"),
        "summary": summary(kind),
        "contentType": content_type,
        "headers": object(&headers, |name| !OPTIONAL.contains(&name)),
        "payload": if is_structured { envelope(kind, data) } else { data },
    })
}

/// Which headers and attributes not every message has.
const OPTIONAL: [&str; 9] = [
    "ce-time",
    "ce-subject",
    "time",
    "subject",
    "traceparent",
    "tracestate",
    "Nats-Expected-Stream",
    "Ci-Object",
    "Ci-Object-Bytes",
];

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn headers_of_all(settings: &Settings, content_type: &Value) -> Map<String, Value> {
    let mut headers = Map::new();
    headers.insert("Content-Type".to_owned(), content_type.clone());
    headers.insert(
        MessageId::HEADER.to_owned(),
        text("the same for every repetition of the same callback; a copy's ends in @ and its subject"),
    );
    headers.insert(
        "traceparent".to_owned(),
        text("W3C trace context: of the callback's request, or of the message's own span in the same trace"),
    );
    headers.insert("tracestate".to_owned(), text("what tracing systems on the way had to add to it"));
    if settings.publisher.delivery == Delivery::Jetstream {
        headers.insert("Nats-Expected-Stream".to_owned(), text("the stream that had to store it"));
    }
    headers
}

/// The attributes of CloudEvents, as their values are when decoded.
fn attributes(kind: &str) -> impl Iterator<Item = (&'static str, Value)> {
    let attributes = [
        ("specversion", json!({ "const": "1.0" })),
        ("id", text("the same as Nats-Msg-Id")),
        ("source", text("/ci/<bucket>, a URI reference")),
        ("type", json!({ "const": format!("com.tencent.ci.{kind}.v1") })),
        ("time", text("RFC 3339: when it ended, else when it began")),
        ("subject", text("the object's key")),
    ];
    attributes.into_iter()
}

/// The whole event, as structured mode has it in the body.
fn envelope(kind: &str, data: Value) -> Value {
    let mut members: Map<_, _> = attributes(kind).map(|(name, schema)| (name.to_owned(), schema)).collect();
    members.insert("datacontenttype".to_owned(), json!({ "const": "application/json" }));
    members.insert("data".to_owned(), data);
    object(&members, |name| !OPTIONAL.contains(&name))
}

/// What is kept in quarantine is in binary mode, whatever the messages are in.
fn quarantined(settings: &Settings) -> Value {
    let looks_like = text("what the body looks like");
    let mut headers = headers_of_all(settings, &looks_like);
    headers.extend(attributes(QUARANTINE).map(|(name, schema)| (format!("ce-{name}"), schema)));
    // A message that JetStream refused keeps its own attributes.
    headers.insert("ce-type".to_owned(), text("com.tencent.ci.quarantine.v1; of a refused message its own"));
    headers.insert("ce-datacontenttype".to_owned(), looks_like);
    headers.insert("Ci-Reason".to_owned(), text("one word: syntax, shape, oversize, refused, …"));
    headers.insert("Ci-Detail".to_owned(), text("one sentence, with line and column where there are any"));
    headers.insert("Ci-Endpoint".to_owned(), text("the endpoint's name; not of a refused message"));
    // In structured mode a refused message has none.
    let is_required = |name: &str| matches!(name, "Content-Type" | "Nats-Msg-Id" | "Ci-Reason" | "Ci-Detail");
    json!({
        "name": "com.tencent.ci.quarantine.v1",
        "summary": summary(QUARANTINE),
        "contentType": "application/octet-stream",
        "headers": object(&headers, is_required),
        "payload": { "description": "the bytes as they came, or the whole message that was refused" },
    })
}

fn object(properties: &Map<String, Value>, is_required: impl Fn(&str) -> bool) -> Value {
    let required: Vec<_> = properties.keys().filter(|name| is_required(name)).cloned().collect();
    json!({ "type": "object", "required": required, "properties": properties })
}
