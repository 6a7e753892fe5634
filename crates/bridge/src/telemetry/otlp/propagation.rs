//! From spans of `tracing` to W3C trace context, and back.

use std::str::FromStr;

use ci_bridge_publisher::{Propagation, TraceContext};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Knows both.
#[derive(Debug)]
pub(super) struct W3c;

impl Propagation for W3c {
    fn continue_from(&self, span: &Span, parent: &TraceContext) {
        if let Some(remote) = remote(parent) {
            // It fails for a span that is not recorded, and one that has begun already: then it is the root of a trace.
            let _ = span.set_parent(Context::new().with_remote_span_context(remote));
        }
    }

    fn context_of(&self, span: &Span) -> Option<TraceContext> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context();
        let span = context.span();
        let place = span.span_context();
        let flags = (place.trace_flags() & TraceFlags::SAMPLED).to_u8();
        let traceparent = format!("00-{}-{}-{flags:02x}", place.trace_id(), place.span_id());
        TraceContext::parse(&traceparent, Some(&place.trace_state().header()))
    }
}

fn remote(parent: &TraceContext) -> Option<SpanContext> {
    let mut fields = parent.traceparent().split('-').skip(1);
    let trace = TraceId::from_hex(fields.next()?).ok()?;
    let span = SpanId::from_hex(fields.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(fields.next()?, 16).ok()?) & TraceFlags::SAMPLED;
    let state = parent.tracestate().and_then(|text| TraceState::from_str(text).ok()).unwrap_or_default();
    Some(SpanContext::new(trace, span, flags, true, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_trace_is_read_whole() {
        let rows = [("01", true), ("00", false), ("03", true)];
        for (flags, is_sampled) in rows {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            let place = remote(&TraceContext::parse(&text, Some("a=1,b=2")).unwrap()).unwrap();
            assert_eq!(place.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
            assert_eq!(place.span_id().to_string(), "b7ad6b7169203331");
            assert_eq!((place.is_sampled(), place.is_remote()), (is_sampled, true));
            assert_eq!(place.trace_state().header(), "a=1,b=2");
        }
    }
}
