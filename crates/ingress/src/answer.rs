//! What a callback is answered. The one place that knows status codes.

use std::collections::BTreeSet;

use ci_bridge_publisher::MessageId;
use ci_bridge_schema::{ParseError, Reason};
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::fault::Fault;
use crate::metrics::Outcome;
use crate::published::Published;
use crate::report;

/// How long a sender should wait before it comes again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The reason of a callback whose bucket is not on the endpoint's list; what is remembered of it names that list.
pub(crate) const BUCKET_NOT_ALLOWED: &str = "bucket_not_allowed";

/// What became of a request, before it is HTTP.
#[derive(Debug)]
pub(crate) enum Answer {
    Published(Vec<Published>),
    /// These rules drop every event of it.
    Dropped(BTreeSet<usize>),
    Probe,
    /// A callback that CI was asked about: whatever became of it, the answer does not tell.
    Silent(Outcome),
    /// Kept in quarantine under this id.
    Unreadable(ParseError, MessageId),
    /// The same.
    MessageTooLarge(String, MessageId),
    BodyTooLarge {
        limit: usize,
    },
    BodyTooSlow,
    BodyBroken,
    TooManyBytes {
        limit: usize,
    },
    Malformed(Fault),
    NoSuchPath,
    MethodNotAllowed,
    ContentCoding(String),
    Unauthenticated(&'static str),
    AddressNotAllowed,
    BucketNotAllowed(String),
    Overloaded(&'static str),
    Unavailable(String),
}

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    /// Under which quarantine keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
}

impl Answer {
    /// The one outcome that the callback is counted under.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Published(messages) if messages.iter().any(Published::is_spooled) => Outcome::Spooled,
            Self::Published(messages) if messages.iter().all(Published::is_duplicate) => Outcome::Duplicate,
            Self::Published(_) => Outcome::Published,
            Self::Dropped(_) => Outcome::Dropped,
            Self::Probe => Outcome::Probe,
            Self::Silent(outcome) => *outcome,
            Self::Unreadable(..) | Self::MessageTooLarge(..) => Outcome::Quarantined,
            Self::Overloaded(_) | Self::TooManyBytes { .. } | Self::Unavailable(_) => Outcome::Unavailable,
            _ => Outcome::Rejected,
        }
    }

    /// The same for who asks what a callback came to, when what it came to must not show.
    pub(crate) fn silenced(self) -> Self {
        match self {
            Self::Published(_) | Self::Dropped(_) => Self::Silent(self.outcome()),
            other => other,
        }
    }

    /// Why the request was turned away, as a label of metrics; `None` when it was not.
    pub(crate) fn rejection(&self) -> Option<&'static str> {
        match self {
            Self::BodyTooLarge { .. } => Some("body_too_large"),
            Self::BodyTooSlow => Some("body_too_slow"),
            Self::BodyBroken => Some("body_broken"),
            Self::TooManyBytes { .. } => Some("too_many_bytes"),
            Self::Malformed(fault) => Some(fault.as_str()),
            Self::NoSuchPath => Some("no_such_path"),
            Self::MethodNotAllowed => Some("method_not_allowed"),
            Self::ContentCoding(_) => Some("content_coding"),
            Self::Unauthenticated(_) => Some("unauthenticated"),
            Self::AddressNotAllowed => Some("address_not_allowed"),
            Self::BucketNotAllowed(_) => Some(BUCKET_NOT_ALLOWED),
            Self::Overloaded(_) => Some("overloaded"),
            Self::Published(_)
            | Self::Dropped(_)
            | Self::Probe
            | Self::Silent(_)
            | Self::Unreadable(..)
            | Self::MessageTooLarge(..)
            | Self::Unavailable(_) => None,
        }
    }

    /// What kept the callback from being published, in a word; `None` when nothing did.
    pub(crate) fn error_type(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable(error, _) => Some(error.reason().as_str()),
            Self::MessageTooLarge(..) => Some(Reason::Oversize.as_str()),
            Self::Unavailable(_) => Some("unavailable"),
            other => other.rejection(),
        }
    }

    /// Whether what was turned away may have been a callback that is kept nowhere.
    pub(crate) fn loses_callback(&self) -> bool {
        matches!(
            self,
            Self::BodyTooLarge { .. }
                | Self::BodyTooSlow
                | Self::ContentCoding(_)
                | Self::Unauthenticated(_)
                | Self::AddressNotAllowed
                | Self::BucketNotAllowed(_)
        )
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Published(_) | Self::Dropped(_) | Self::Probe | Self::Silent(_) => StatusCode::OK,
            Self::Unreadable(error, _) => match error.reason() {
                Reason::Syntax => StatusCode::BAD_REQUEST,
                Reason::Shape => StatusCode::UNPROCESSABLE_ENTITY,
                Reason::Oversize => StatusCode::PAYLOAD_TOO_LARGE,
            },
            Self::MessageTooLarge(..) | Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::Malformed(fault) if fault.is_excess() => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentCoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::AddressNotAllowed | Self::BucketNotAllowed(_) => StatusCode::FORBIDDEN,
            Self::Overloaded(_) | Self::TooManyBytes { .. } | Self::Unavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// A sentence for whoever reads the answer. Nothing of a secret is in it.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Published(_) | Self::Dropped(_) | Self::Probe | Self::Silent(_) => String::new(),
            Self::Unreadable(error, _) => error.to_string(),
            Self::MessageTooLarge(failure, _) => failure.clone(),
            Self::BodyTooLarge { limit } => format!("the body is larger than {limit} bytes (max_body)"),
            Self::BodyTooSlow => "the body did not arrive within body_timeout".to_owned(),
            Self::BodyBroken => "the body ended early, or its chunks cannot be read".to_owned(),
            Self::TooManyBytes { limit } => {
                format!(
                    "the bodies of all requests at once are larger than {limit} bytes (max_bytes_in_flight)"
                )
            }
            Self::Malformed(fault) => fault.detail().to_owned(),
            Self::NoSuchPath => "no endpoint has this path".to_owned(),
            Self::MethodNotAllowed => "callbacks are POSTed".to_owned(),
            Self::ContentCoding(coding) => {
                format!("content coding {coding:?} is not accepted: send the body as it is")
            }
            Self::Unauthenticated(why) => (*why).to_owned(),
            Self::AddressNotAllowed => {
                "the sender's address is not on the endpoint's allow-list (allow_from)".to_owned()
            }
            Self::BucketNotAllowed(bucket) if bucket.is_empty() => {
                "the callback names no bucket, as one of a URL's moderation does not; allow_buckets must hold \"\" \
                 to take such; nothing was published"
                    .to_owned()
            }
            Self::BucketNotAllowed(bucket) => {
                format!(
                    "bucket {bucket:?} is not on the endpoint's allow-list (allow_buckets); nothing was published"
                )
            }
            Self::Overloaded(what) => format!("too many {what} at once"),
            Self::Unavailable(why) => format!("nothing durable can take the callback now: {why}"),
        }
    }

    /// The answer as HTTP.
    pub(crate) fn into_response(self) -> Response<Full<bytes::Bytes>> {
        let status = self.status();
        let report = |outcome, messages| body(status, "application/json", report::write(outcome, messages));
        match &self {
            Self::Published(messages) if messages.iter().any(Published::is_spooled) => {
                report("spooled", messages)
            }
            Self::Published(messages) => report("published", messages),
            Self::Dropped(rules) => body(status, "application/json", report::write_dropped(rules)),
            Self::Probe => report("probe", &[]),
            Self::Silent(_) => report("published", &[]),
            _ => self.problem(status),
        }
    }

    fn problem(&self, status: StatusCode) -> Response<Full<bytes::Bytes>> {
        let (position, id) = match self {
            Self::Unreadable(error, id) => (error.position(), Some(id)),
            Self::MessageTooLarge(_, id) => (None, Some(id)),
            _ => (None, None),
        };
        let problem = Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &self.detail(),
            id: id.map(MessageId::as_str),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
        };
        let mut response = json(status, "application/problem+json", &problem);
        let headers = response.headers_mut();
        match self {
            Self::MethodNotAllowed => headers.insert(header::ALLOW, HeaderValue::from_static("POST")),
            Self::ContentCoding(_) => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            }
            Self::Unauthenticated(_) => headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ci-bridge\"")),
            Self::Overloaded(_) | Self::Unavailable(_) => headers.insert(header::RETRY_AFTER, RETRY_AFTER),
            Self::TooManyBytes { .. } => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                headers.insert(header::RETRY_AFTER, RETRY_AFTER)
            }
            // The rest of the body is not wanted, so the connection cannot be used again.
            Self::BodyTooSlow | Self::BodyTooLarge { .. } | Self::BodyBroken | Self::Malformed(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"))
            }
            _ => None,
        };
        response
    }
}

pub(crate) fn json(
    status: StatusCode,
    content_type: &'static str,
    value: &impl Serialize,
) -> Response<Full<bytes::Bytes>> {
    // Our own types always serialise; an empty body would be the worst that could come of it.
    body(status, content_type, serde_json::to_vec(value).unwrap_or_default())
}

fn body(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Full<bytes::Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
