//! Requests over HTTP/2, held to what `framing.rs` asks of those over HTTP/1.1.
//!
//! Where a request ends is beyond doubt there. But a proxy that speaks HTTP/2 to one side and HTTP/1.1 to the other
//! writes one as the other, and what it could write in two ways is refused here as well.

mod frames;
mod hpack;
mod huffman;

use hyper::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Version};

use crate::authority::{is_authority, is_same};
use crate::fault::Fault;
use crate::framing;
pub(crate) use frames::Frames;

/// The field that [`Frames`] adds to a head or to trailers that are faulty; hyper itself drops what shows it. Whoever
/// sends it calls its own request faulty, and no more.
const MARK: &str = "ci-bridge-fault";
const MARK_NAME: HeaderName = HeaderName::from_static(MARK);

/// `MARK: fault` in HPACK: a field that is in no table and enters none (RFC 7541, section 6.2.3).
fn mark(fault: Fault) -> Vec<u8> {
    const NEVER_INDEXED: u8 = 0x10;
    // Both are shorter than 127 bytes, so that their lengths are a byte each.
    let length = |text: &str| text.len().to_le_bytes()[0];
    let (name, value) = (MARK, fault.as_str());
    [&[NEVER_INDEXED, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// The fault that a head or trailers are marked with.
pub(crate) fn marked(fields: &HeaderMap) -> Option<Fault> {
    let value = fields.get(MARK_NAME)?;
    Fault::ALL.into_iter().find(|fault| value.as_bytes() == fault.as_str().as_bytes())
}

/// What is wrong with the head of a request over HTTP/2; `None` for one over HTTP/1.1, which has been looked at.
pub(crate) fn fault<B>(request: &Request<B>) -> Option<Fault> {
    if request.version() != Version::HTTP_2 {
        return None;
    }
    if let Some(fault) = marked(request.headers()) {
        return Some(fault);
    }
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    // HTTP/2 has no absolute form: its target is a path.
    let is_path = target.starts_with('/') || target == "*";
    let is_web = request.uri().scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    if !framing::is_method(request.method().as_str().as_bytes()) {
        Some(Fault::RequestLine)
    } else if !is_path || !is_web || !framing::is_target(target.as_bytes()) {
        Some(Fault::Target)
    } else if !names_one_host(request) {
        Some(Fault::Host)
    } else if request.headers().get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        Some(Fault::TwoLengths)
    } else {
        None
    }
}

/// `:authority` or `Host`, or both when they agree (RFC 9113, section 8.3.1).
fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, other) = (hosts.next(), hosts.next());
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let port: &[u8] = if request.uri().scheme_str() == Some("http") { b"80" } else { b"443" };
    match (authority, host.map(HeaderValue::as_bytes), other) {
        (_, _, Some(_)) | (None, None, None) => false,
        (Some(authority), None, None) => is_authority(authority),
        (None, Some(host), None) => !host.is_empty() && is_authority(host),
        (Some(authority), Some(host), None) => is_same(authority, host, port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().version(Version::HTTP_2).method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn a_head_is_read_as_strictly_as_over_http_1() {
        type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<Fault>);
        let rows: [Row<'_>; 16] = [
            ("POST", "https://x/ci/callback?a=b", &[], None),
            ("POST", "https://x/", &[("host", "X:443")], None),
            ("POST", "/ci/callback", &[("host", "x")], None),
            ("OPTIONS", "*", &[("host", "x")], None),
            ("POST", "https://x/", &[("host", "y")], Some(Fault::Host)),
            ("POST", "https://x/", &[("host", "x:80")], Some(Fault::Host)),
            ("POST", "https://x/", &[("host", "x"), ("host", "x")], Some(Fault::Host)),
            ("POST", "https://x/", &[("host", "")], Some(Fault::Host)),
            ("POST", "https://user@x/", &[], Some(Fault::Host)),
            ("POST", "/ci/callback", &[], Some(Fault::Host)),
            ("POST", "/ci/callback", &[("host", "a, b")], Some(Fault::Host)),
            ("POST", "httpx://x/", &[], Some(Fault::Target)),
            ("POST", "https://x/\u{e9}", &[], Some(Fault::Target)),
            ("CONNECT", "x:443", &[], Some(Fault::Target)),
            ("P!ST", "https://x/", &[], Some(Fault::RequestLine)),
            (
                "POST",
                "https://x/",
                &[("content-length", "5"), ("content-length", "5")],
                Some(Fault::TwoLengths),
            ),
        ];
        for (method, uri, headers, expected) in rows {
            let request = request(method, uri, headers);
            assert_eq!(fault(&request), expected, "{request:?}");
        }
    }
}
