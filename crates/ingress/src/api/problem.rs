//! Why a request of the API is refused: RFC 9457, with a sentence for whoever asked.

use std::time::Duration;

use bytes::Bytes;
use ci_bridge_publisher::SpoolError;
use ci_bridge_publisher::nats::LookupError;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use crate::answer::json;

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), header: None }
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    pub(super) fn foreign_host() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the request's Host is not this listener's: use its address or localhost, or name the host in [admin] hosts",
        )
    }

    pub(super) fn no_such_resource() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing here: docs/admin-api.md has what there is")
    }

    pub(super) fn no_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "the page is off, and what it reads as well ([admin] page = false)")
    }

    pub(super) fn too_many_listeners() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "as many pages listen as may: close one, or come back")
            .with(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    pub(super) fn method_not_allowed(methods: &[Method]) -> Self {
        // Wherever GET is, so is HEAD.
        let head = methods.contains(&Method::GET).then_some("HEAD");
        let allowed: Vec<_> = methods.iter().map(Method::as_str).chain(head).collect();
        let allowed = allowed.join(", ");
        // Method names are header values.
        let value = HeaderValue::from_str(&allowed).unwrap_or(HeaderValue::from_static("GET"));
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}")).with(header::ALLOW, value)
    }

    pub(super) fn no_token_configured() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "nothing can be changed without a token: set [admin] token_file, and send what it holds as Authorization: Bearer",
        )
    }

    pub(super) fn unauthenticated(has_presented: bool) -> Self {
        let detail = match has_presented {
            true => "the token is none of [admin] token_file",
            false => "a token of [admin] token_file is needed, as Authorization: Bearer",
        };
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ci-bridge admin\""))
    }

    pub(super) fn too_many_guesses(wait: Duration) -> Self {
        let seconds = HeaderValue::from(wait.as_secs().max(1));
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many wrong tokens came from this address: wait a minute",
        )
        .with(header::RETRY_AFTER, seconds)
    }

    pub(super) fn other_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "a browser sent this from another site, or does not say from which: nothing was changed",
        )
    }

    pub(super) fn unreadable(why: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("not posted, it still cannot be read: {why}"))
    }

    pub(super) fn not_posted(why: &str) -> Self {
        Self::new(StatusCode::CONFLICT, format!("not posted: {why}"))
    }

    pub(super) fn no_such_job(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no job or run {id:?} has ended"))
    }

    /// Why a message cannot be had.
    pub(super) fn of_lookup(why: &LookupError) -> Self {
        let problem = |status| Self::new(status, why.to_string());
        match why {
            LookupError::Gone(_) => problem(StatusCode::NOT_FOUND),
            LookupError::Away(_) => problem(StatusCode::SERVICE_UNAVAILABLE)
                .with(header::RETRY_AFTER, HeaderValue::from_static("5")),
            LookupError::Unanswered(_) => problem(StatusCode::GATEWAY_TIMEOUT),
            LookupError::Refused(_) => problem(StatusCode::BAD_GATEWAY),
        }
    }

    pub(super) fn bodies_need_a_token() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "the listener is not on loopback, so bodies and headers are shown with a token only: set [admin] token_file",
        )
    }

    pub(super) fn bad_parameter(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn no_spool() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "this bridge has no spool: spool.enabled is false, or delivery is core",
        )
    }

    pub(super) fn no_such_message(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no message {id:?} waits in the spool"))
    }

    pub(super) fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "others are looking already: ask again")
            .with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "an internal error; the log has more")
    }

    pub(super) fn of_spool(error: &SpoolError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            .with(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let mut response = json(self.status, "application/problem+json", &body);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }
}
