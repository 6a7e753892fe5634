//! The spans of publishing: one for each message that leaves for NATS, and one for what goes to the spool.

use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::message::{HeaderName, Message};
use crate::nats::Failure;
use crate::receipt::Receipt;
use crate::spool::SpoolError;
use crate::trace::{Propagation, SPANS, TraceContext};

/// Messages of one callback that have a span each. One with a thousand jobs would else fill the queue of any exporter; the
/// further ones carry the span of the callback itself.
const MOST_SPANS: usize = 32;

/// Messages on their way, each with the place of its own span in its headers.
pub(crate) struct Outgoing {
    pub(crate) messages: Vec<Message>,
    pub(crate) spans: Vec<Span>,
}

impl Outgoing {
    /// The spans are children of the one that is entered, if one is.
    pub(crate) fn begin(propagation: &dyn Propagation, messages: &[Message]) -> Self {
        let mut messages = messages.to_vec();
        let begun = messages.iter_mut().take(MOST_SPANS).map(|message| {
            // A key is a copy of a message that has one.
            let span = if message.is_key() { Span::none() } else { publish(message) };
            if let Some(context) = propagation.context_of(&span) {
                message.headers.replace_trace(&context);
            }
            span
        });
        let spans = begun.collect();
        Self { messages, spans }
    }
}

/// The span of a message on its way to NATS; what stands before the name says whose child it is.
macro_rules! span_of {
    ($message:expr, $($parent_and_name:tt)+) => {
        info_span!(
            target: SPANS,
            $($parent_and_name)+,
            otel.kind = "producer",
            otel.status_code = Empty,
            messaging.system = "nats",
            messaging.operation.name = "publish",
            messaging.operation.r#type = "send",
            messaging.destination.name = $message.subject.as_str(),
            messaging.message.id = $message.id.as_str(),
            messaging.message.body.size = $message.payload.len(),
            ci_bridge.stream = Empty,
            ci_bridge.sequence = Empty,
            ci_bridge.duplicate = Empty,
            ci_bridge.tried_again = Empty,
            error.r#type = Empty,
        )
    };
}

fn publish(message: &Message) -> Span {
    span_of!(message, "publish")
}

/// The same for a message of the spool: it goes on in the trace that its headers name, and has none without.
pub(crate) fn drain(propagation: Option<&dyn Propagation>, message: &Message) -> Span {
    let Some((propagation, parent)) = propagation.zip(context_of(message)) else { return Span::none() };
    let span = span_of!(message, parent: None, "drain");
    propagation.continue_from(&span, &parent);
    span
}

pub(crate) fn spool(messages: usize) -> Span {
    info_span!(
        target: SPANS,
        "spool",
        otel.status_code = Empty,
        messaging.batch.message_count = messages,
        error.r#type = Empty,
    )
}

/// Ends a span now, although the messages beside it may take longer.
pub(crate) fn ended(span: &Span, result: &Result<Receipt, Failure>) {
    span.in_scope(|| match result {
        Ok(Receipt::Stored { stream, sequence, duplicate }) => {
            span.record("ci_bridge.stream", &**stream);
            span.record("ci_bridge.sequence", sequence);
            span.record("ci_bridge.duplicate", duplicate);
        }
        Ok(Receipt::Spooled | Receipt::Sent) => {}
        Err(failure) => failed(span, failure.as_str()),
    });
}

/// Of a message that stays in the spool. It may be tried for days: only the attempt that ends it is exported.
pub(crate) fn tried_again(span: &Span) {
    span.record("ci_bridge.tried_again", true);
}

pub(crate) fn spooled(span: &Span, result: &Result<(), SpoolError>) {
    if let Err(error) = result {
        failed(span, error.as_str());
    }
}

pub(crate) fn failed(span: &Span, kind: &'static str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

fn context_of(message: &Message) -> Option<TraceContext> {
    let value = |wanted| message.headers.iter().find_map(|(name, value)| (name == wanted).then_some(value));
    TraceContext::parse(value(HeaderName::Traceparent)?, value(HeaderName::Tracestate))
}
