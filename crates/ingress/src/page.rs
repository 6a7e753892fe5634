//! The page of the admin listener: three files of our own, built in, that ask `/api/v1` and nobody else.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};

/// One file of the page.
#[derive(Debug)]
struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const FILES: [File; 3] = [
    File { path: "/", content_type: "text/html; charset=utf-8", text: include_str!("page/index.html") },
    File { path: "/page.css", content_type: "text/css; charset=utf-8", text: include_str!("page/page.css") },
    File {
        path: "/page.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("page/page.js"),
    },
];

/// What a browser may load and where it may send: whatever a sender wrote, it stays text, and goes nowhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    // A new version of the bridge shows its own page: the browser asks, and is mostly told that nothing has changed.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// The files with their tags, which change when a file does.
#[derive(Debug)]
pub(crate) struct Page {
    tags: [HeaderValue; FILES.len()],
}

impl Page {
    pub(crate) fn new() -> Self {
        Self { tags: FILES.each_ref().map(|file| tag(file.text)) }
    }

    pub(crate) fn has(path: &str) -> bool {
        FILES.iter().any(|file| file.path == path)
    }

    /// The file at a path that the page has.
    pub(crate) fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        response.headers_mut().extend(SECURITY);
        if !matches!(*method, Method::GET | Method::HEAD) {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some((file, tag)) = FILES.iter().zip(&self.tags).find(|(file, _)| file.path == path) else {
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        };
        response.headers_mut().insert(header::ETAG, tag.clone());
        if has_it(headers, tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        *response.body_mut() = Full::from(file.text);
        response
    }
}

/// An entity tag of what a file holds.
fn tag(text: &str) -> HeaderValue {
    let hash: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn has_it(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known =
        known.flat_map(|value| value.split(',')).map(|value| value.trim().trim_start_matches("W/"));
    known.any(|known| known == "*" || known.as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of the page, in bytes: it is there at once over the slowest line.
    const MOST: usize = 48 * 1024;

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        let bytes: usize = FILES.iter().map(|file| file.text.len()).sum();
        assert!(bytes <= MOST, "{bytes} bytes");
        for File { path, text, .. } in FILES {
            // The namespace of SVG is a name, and is not fetched.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for foreign in ["http://", "https://", "src=\"//", "@import", "url("] {
                assert!(!text.contains(foreign), "{path} has {foreign}");
            }
        }
    }

    #[test]
    fn what_a_sender_wrote_is_only_ever_set_as_text() {
        let way_to_html =
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "createContextualFragment"];
        let ways_to_code = ["eval(", "new Function", "setHTML", "DOMParser", "srcdoc", "javascript:"];
        for File { path, text, .. } in FILES {
            for way in way_to_html.iter().chain(&ways_to_code) {
                assert!(!text.contains(way), "{path} has {way}");
            }
        }
        let html = FILES[0].text;
        // The policy forbids them, so they would only fail where nobody looks.
        assert!(!html.contains(" style=") && !html.contains("<style") && !html.contains(" onclick="));
        assert_eq!(html.matches("<script").count(), html.matches("<script src=\"page.js\"").count());
    }

    #[test]
    fn a_browser_that_has_a_file_is_told_so() {
        let page = Page::new();
        let first = page.answer(&Method::GET, "/page.js", &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].clone();
        let ask = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().unwrap());
            page.answer(&Method::GET, "/page.js", &headers).status().as_u16()
        };
        let tag = tag.to_str().unwrap();
        for (value, expected) in [
            (tag, 304),
            (&format!("W/{tag}"), 304),
            (&format!("\"other\", {tag}"), 304),
            ("*", 304),
            ("\"other\"", 200),
            (tag.trim_matches('"'), 200),
        ] {
            assert_eq!(ask(value), expected, "{value}");
        }
        assert_eq!(page.answer(&Method::POST, "/page.js", &HeaderMap::new()).status(), 405);
        let answer = page.answer(&Method::GET, "/", &HeaderMap::new());
        assert!(
            answer.headers()[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none';")
        );
    }
}
