//! W3C trace context: what of a request's `traceparent` is passed on.

use hyper::header::{HeaderMap, HeaderName};

/// As a constant, it need not be read again for each request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A `traceparent` of the form that the recommendation gives; anything else is a stranger's text and dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Traceparent(String);

impl Traceparent {
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(TRACEPARENT)?.to_str().ok()?;
        let fields: Vec<_> = text.split('-').collect();
        let [version, trace, parent, flags] = fields.as_slice() else {
            return None;
        };
        let is_hex = |field: &str, digits: usize| {
            field.len() == digits && field.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let is_set = |field: &str| field.bytes().any(|b| b != b'0');
        let valid = is_hex(version, 2)
            && *version != "ff"
            && is_hex(trace, 32)
            && is_set(trace)
            && is_hex(parent, 16)
            && is_set(parent)
            && is_hex(flags, 2);
        valid.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_passed_on() {
        let rows = [
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true),
            ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false),
            ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
            ("Nats-Rollup: all", false),
        ];
        for (text, valid) in rows {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", text.parse().unwrap());
            assert_eq!(Traceparent::read(&headers).is_some(), valid, "{text}");
        }
    }
}
