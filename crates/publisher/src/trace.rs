//! W3C trace context: which trace a callback or a message belongs to, and who knows of the spans in between.
//!
//! Spans are those of `tracing`, with [`SPANS`] for their target. Nobody looks at them unless somebody exports them, and
//! then they cost nothing; whoever does is a [`Propagation`].

use std::fmt;

use tracing::Span;

/// The target of every span. Nothing else has it, so that the log can leave spans out and an exporter everything else.
pub const SPANS: &str = "ci_bridge_spans";

/// Bytes of a `tracestate`: what the recommendation asks everybody to pass on.
const MAX_TRACESTATE: usize = 512;
/// Its members; more make it invalid.
const MAX_MEMBERS: usize = 32;

/// A place in a trace, as two headers carry it from one program to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    traceparent: String,
    tracestate: Option<String>,
}

/// Knows the spans of `tracing` by the ids that they have outside.
pub trait Propagation: fmt::Debug + Send + Sync {
    /// Makes the span a child of what another program began; it must not have been entered yet.
    fn continue_from(&self, span: &Span, parent: &TraceContext);

    /// The span's own place; `None` for one that nobody looks at.
    fn context_of(&self, span: &Span) -> Option<TraceContext>;
}

impl TraceContext {
    /// Takes a `traceparent` of the form that the recommendation gives, and the `tracestate` beside it if that has it
    /// too; anything else is a stranger's text.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let tracestate = tracestate.map(str::trim).filter(|text| is_tracestate(text));
        is_traceparent(traceparent)
            .then(|| Self { traceparent: traceparent.to_owned(), tracestate: tracestate.map(str::to_owned) })
    }

    /// `00-<trace>-<parent>-<flags>`.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// What tracing systems on the way had to add.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }
}

fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let [version, trace, parent, flags] = [(); 4].map(|()| fields.next().unwrap_or_default());
    let is_hex = |field: &str, digits: usize| {
        field.len() == digits && field.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_set = |field: &str| field.bytes().any(|b| b != b'0');
    fields.next().is_none()
        && is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_set(trace)
        && is_hex(parent, 16)
        && is_set(parent)
        && is_hex(flags, 2)
}

fn is_tracestate(text: &str) -> bool {
    let is_member = |member: &str| match member.trim_matches([' ', '\t']).split_once('=') {
        Some((key, value)) => {
            !key.is_empty()
                && key.bytes().all(|b| {
                    b.is_ascii_lowercase()
                        || b.is_ascii_digit()
                        || matches!(b, b'_' | b'-' | b'*' | b'/' | b'@')
                })
                && !value.is_empty()
                && value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=')
        }
        // The recommendation has empty members.
        None => member.trim().is_empty(),
    };
    !text.is_empty()
        && text.len() <= MAX_TRACESTATE
        && text.split(',').count() <= MAX_MEMBERS
        && text.split(',').all(is_member)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_a_well_formed_traceparent_is_passed_on() {
        let rows = [
            (GOOD, true),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("Nats-Rollup: all", false),
            ("", false),
        ];
        for (text, valid) in rows {
            assert_eq!(TraceContext::parse(text, None).is_some(), valid, "{text}");
        }
    }

    #[test]
    fn a_tracestate_goes_with_it_if_it_is_one() {
        let (long, many) = (format!("a={}", "x".repeat(MAX_TRACESTATE)), "a=b,".repeat(MAX_MEMBERS));
        let rows = [
            ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true),
            (" 1@vendor=a b , ,b=c ", true),
            ("", false),
            ("rojo", false),
            ("Rojo=1", false),
            ("rojo=a=b", false),
            ("rojo=\u{e9}", false),
            ("rojo=1\r\nNats-Rollup: all", false),
            (&long, false),
            (&many, false),
        ];
        for (text, valid) in rows {
            let context = TraceContext::parse(GOOD, Some(text)).unwrap();
            assert_eq!(context.tracestate(), valid.then_some(text.trim()), "{text}");
            assert_eq!(TraceContext::parse("none", Some(text)), None);
        }
    }
}
