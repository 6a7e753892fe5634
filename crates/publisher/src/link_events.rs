//! What the connection to NATS tells: logged, counted, and given to whoever knows what it means.

use tracing::{debug, info, warn};

use crate::health::Health;
use crate::metrics::Metrics;
use crate::nats::{LinkEvent, ServerError, Waiting};

/// `waiting` is there while requests for jobs are taken.
pub(crate) fn take(event: LinkEvent, waiting: Option<&Waiting>, health: &Health, metrics: &Metrics) {
    match event {
        LinkEvent::Connected => {
            info!("connected to NATS");
            metrics.connections.inc();
            health.connected();
        }
        LinkEvent::Disconnected => {
            warn!("not connected to NATS: the connection ended; reconnecting for ever");
            health.disconnected();
        }
        LinkEvent::LameDuck => {
            info!("the NATS server is about to go");
            health.lame_duck();
        }
        LinkEvent::PayloadExceeded(bytes) => {
            warn!(
                bytes,
                "the account or the user may publish less than the server's max_payload, and NATS closed the connection \
                 for a message of this size: from now on messages as large go to the object store, or are refused with 413"
            );
        }
        LinkEvent::ServerError(ServerError::PublishForbidden { subject, text }) => {
            publish_forbidden(&subject, &text, waiting, health);
        }
        LinkEvent::ServerError(ServerError::SubscribeForbidden { subject, text }) => {
            subscribe_forbidden(&subject, text, waiting, health);
        }
        LinkEvent::ServerError(ServerError::PayloadExceeded) => {}
        LinkEvent::ServerError(ServerError::Other(error)) => {
            debug!(error, "NATS reports an error");
            health.server_error(error);
        }
    }
}

fn publish_forbidden(subject: &str, text: &str, waiting: Option<&Waiting>, health: &Health) {
    if waiting.is_some_and(|waiting| waiting.is_reply(subject)) {
        health.heard();
        if health.forbidden_lines.admits("reply", "") {
            warn!(
                subject,
                remedy = "give the NATS user allow_responses with expires = jobs.max_wait, or let it publish to inboxes",
                "NATS forbids an answer to whoever waits for a job: it is lost"
            );
        }
    } else if waiting.is_some() && subject.ends_with(".STREAM.NAMES") {
        // Which other streams take requests is good to know, and no more.
        health.heard();
        debug!(subject, "only the stream of events is looked at for requests");
    } else if health.forbidden(subject, text) && health.forbidden_lines.admits("publish", "") {
        warn!(subject, error = text, "NATS forbids something: compare the user's permissions");
    }
}

/// To be found by `nats micro ls` is optional, and so is to be asked for jobs.
fn subscribe_forbidden(subject: &str, text: String, waiting: Option<&Waiting>, health: &Health) {
    let is_request = waiting.is_some_and(|waiting| waiting.is_request(subject));
    if is_request {
        warn!(subject, error = text, "nobody can wait for jobs: NATS forbids to take their requests");
    } else if health.forbidden_lines.admits("subscribe", "") {
        warn!(subject, error = text, "NATS forbids something: compare the user's permissions");
    }
    if !subject.starts_with("$SRV") && !is_request {
        health.subscription_forbidden(text);
    }
}
