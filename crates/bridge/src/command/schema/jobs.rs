//! What `[jobs]` adds: each job's last message under its id, and requests that wait for it.

use ci_bridge_publisher::key_value;
use serde_json::{Map, Value, json};

use super::channels::KINDS;
use crate::config::Config;

const ID: &str = "The JobId of a task or a moderation result, or the RunId of a workflow, written as a key: bytes outside \
                  A-Z, a-z, 0-9, _ and - are = and two hexadecimal digits";

/// Adds the channels and operations of `[jobs]`, where it is on.
pub(super) fn describe(
    config: &Config,
    channels: &mut Map<String, Value>,
    operations: &mut Map<String, Value>,
) {
    let jobs = &config.jobs;
    if jobs.bucket.is_empty() {
        return;
    }
    let ended: Map<_, _> = KINDS
        .iter()
        .map(|kind| ((*kind).to_owned(), reference(&format!("components/messages/{kind}"))))
        .collect();
    let by_id = json!({ "id": { "description": ID } });
    channels.insert(
        "jobs".to_owned(),
        json!({
            "address": key_value::subject(&jobs.bucket, "{id}"),
            "summary": "Each job's last message, in a key-value bucket",
            "parameters": by_id,
            "messages": ended,
        }),
    );
    operations.insert("publish-jobs".to_owned(), json!({ "action": "send", "channel": channel("jobs") }));
    channels.insert(
        "await".to_owned(),
        json!({
            "address": format!("{}.{{id}}", jobs.await_prefix),
            "summary": "Requests that wait for a job's end",
            "parameters": by_id,
            "messages": { "request": {
                "title": "How long to wait, such as 30m; empty: jobs.max_wait",
                "contentType": "text/plain",
                "payload": { "type": "string" },
            } },
        }),
    );
    // Where it goes is the requester's to say: an inbox.
    let reply =
        json!({ "address": null, "summary": "The job's message, to whoever asked", "messages": ended });
    channels.insert("await-reply".to_owned(), reply);
    operations.insert(
        "answer-await".to_owned(),
        json!({ "action": "receive", "channel": channel("await"), "reply": { "channel": channel("await-reply") } }),
    );
}

fn channel(name: &str) -> Value {
    reference(&format!("channels/{name}"))
}

fn reference(to: &str) -> Value {
    json!({ "$ref": format!("#/{to}") })
}
