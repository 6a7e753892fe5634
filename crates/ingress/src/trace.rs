//! The trace that a callback belongs to: read from its request, and passed on to its messages.
//!
//! Only a request that an endpoint lets in has a span: of others, strangers can make as many as they like.

use std::net::IpAddr;

use ci_bridge_publisher::{Propagation, SPANS, TraceContext};
use hyper::header::{HeaderMap, HeaderName};
use hyper::{Request, Version};
use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::answer::Answer;
use crate::endpoint::Endpoint;

/// As constants, they need not be read again for each request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace of one callback. Small, because each connection has room for one: the context is on the heap.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    span: Option<Span>,
    /// What its messages carry: the span's place, or the request's where there is no span.
    context: Option<Box<TraceContext>>,
}

/// What of a trace the processing of a callback needs.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) span: Span,
    pub(crate) context: Option<Box<TraceContext>>,
}

impl Trace {
    /// Begins the span of a callback, if anybody exports it.
    pub(crate) fn begin<B>(
        propagation: Option<&dyn Propagation>,
        request: &Request<B>,
        endpoint: &Endpoint,
        peer: IpAddr,
        is_tls: bool,
    ) -> Self {
        let arrived = read(request.headers());
        let Some(propagation) = propagation else {
            return Self { span: None, context: arrived.map(Box::new) };
        };
        let span = begin(request, endpoint, peer, is_tls);
        if let Some(parent) = &arrived {
            propagation.continue_from(&span, parent);
        }
        let context = propagation.context_of(&span).or(arrived).map(Box::new);
        Self { span: Some(span), context }
    }

    pub(crate) fn thread(&mut self) -> Thread {
        Thread { span: self.span.clone().unwrap_or_else(Span::none), context: self.context.take() }
    }

    /// Ends the span with what the callback was answered.
    pub(crate) fn answered(&mut self, answer: &Answer, bytes: u64) {
        let Some(span) = self.span.take() else { return };
        let status = answer.status();
        span.in_scope(|| {
            span.record("http.request.body.size", bytes);
            span.record("http.response.status_code", status.as_u16());
            span.record("ci_bridge.outcome", answer.outcome().as_str());
            if let Some(kind) = answer.error_type() {
                span.record("error.type", kind);
            }
            // By the semantic conventions, what is wrong with a request is no error of the server that says so.
            if status.is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
        });
    }
}

impl Drop for Trace {
    /// The sender went away before its callback was answered.
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            span.in_scope(|| span.record("error.type", "sender_left"));
        }
    }
}

/// The path is the endpoint's: in that of the request, a token may follow.
fn begin<B>(request: &Request<B>, endpoint: &Endpoint, peer: IpAddr, is_tls: bool) -> Span {
    info_span!(
        target: SPANS,
        parent: None,
        "callback",
        otel.name = %format_args!("POST {}", endpoint.path),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.route = endpoint.path,
        url.path = endpoint.path,
        url.scheme = if is_tls { "https" } else { "http" },
        network.protocol.version = if request.version() == Version::HTTP_2 { "2" } else { "1.1" },
        client.address = %peer,
        ci_bridge.endpoint = endpoint.name,
        http.request.body.size = Empty,
        http.response.status_code = Empty,
        ci_bridge.outcome = Empty,
        error.r#type = Empty,
    )
}

/// The span of parse and normalise.
pub(crate) fn parse() -> Span {
    info_span!(target: SPANS, "parse", error.r#type = Empty)
}

/// The span of asking CI about a callback.
pub(crate) fn verify() -> Span {
    info_span!(target: SPANS, "verify")
}

fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let traceparent = headers.get(TRACEPARENT)?.to_str().ok()?;
    let states: Option<Vec<_>> =
        headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect();
    // Several are one list.
    let tracestate = states.filter(|states| !states.is_empty()).map(|states| states.join(","));
    TraceContext::parse(traceparent, tracestate.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_headers_of_state_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap(),
        );
        for state in ["a=1", "b=2,c=3"] {
            headers.append("tracestate", state.parse().unwrap());
        }
        assert_eq!(read(&headers).unwrap().tracestate(), Some("a=1,b=2,c=3"));
        headers.remove("traceparent");
        assert_eq!(read(&headers), None);
    }
}
