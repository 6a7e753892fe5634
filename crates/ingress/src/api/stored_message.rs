//! Single messages of the configured streams, and the last one of a job, each read when it is asked for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ci_bridge_publisher::HeaderName;
use ci_bridge_publisher::nats::{LookupError, StoredMessage};
use hyper::StatusCode;
use serde::Serialize;

use super::access::Permit;
use super::parameters::Parameters;
use super::problem::Problem;
use super::{Api, Reply};
use crate::answer::json;
use crate::shown::milliseconds_since_1970;

/// So much of a body is shown, in bytes; `nats stream get` has all of it.
const MAX_SHOWN: usize = 2 << 20;

/// A message, behind what it was asked for by.
#[derive(Serialize)]
struct Shown<'a, By> {
    #[serde(flatten)]
    by: By,
    time: u64,
    subject: &'a str,
    headers: &'a [(String, String)],
    #[serde(flatten)]
    body: Body<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Object<'a>>,
}

#[derive(Serialize)]
struct StreamPosition<'a> {
    stream: &'a str,
    seq: u64,
}

#[derive(Serialize)]
struct Job<'a> {
    id: &'a str,
}

/// A body as text, or else in base64; and how much of it there is.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Bytes that are here.
    kept: usize,
    /// Bytes that there are.
    bytes: u64,
}

/// What the message stands for.
#[derive(Serialize)]
struct Object<'a> {
    bucket: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

impl<'a, By: Serialize> Shown<'a, By> {
    fn of(message: &'a StoredMessage, by: By) -> Self {
        Self {
            by,
            time: milliseconds_since_1970(message.time),
            subject: &message.subject,
            headers: &message.headers,
            body: Body::of(&message.body, None),
            object: object(message),
        }
    }
}

impl<'a> Body<'a> {
    /// Of a body that has `whole` bytes, if these are not all of them.
    pub(super) fn of(bytes: &'a [u8], whole: Option<u64>) -> Self {
        let end = bytes.len().min(MAX_SHOWN);
        let total = whole.unwrap_or(bytes.len() as u64);
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let end = (0..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                Self { body: Some(&text[..end]), body_base64: None, kept: end, bytes: total }
            }
            Err(_) => {
                let base64 = Some(STANDARD.encode(&bytes[..end]));
                Self { body: None, body_base64: base64, kept: end, bytes: total }
            }
        }
    }
}

fn object(message: &StoredMessage) -> Option<Object<'_>> {
    let (bucket, name) = message.header(HeaderName::CiObject.as_str())?.split_once('/')?;
    let bytes = message.header(HeaderName::CiObjectBytes.as_str()).and_then(|bytes| bytes.parse().ok());
    Some(Object { bucket, name, bytes })
}

impl Api {
    pub(super) async fn stored(
        &self,
        stream: &str,
        sequence: u64,
        parameters: Parameters,
        permit: Permit,
    ) -> Reply {
        parameters.end()?;
        let message = self.stored_message(stream, sequence, permit).await?;
        let shown = Shown::of(&message, StreamPosition { stream, seq: message.sequence });
        Ok(json(StatusCode::OK, "application/json", &shown))
    }

    pub(super) async fn job(&self, id: &str, parameters: Parameters, permit: Permit) -> Reply {
        parameters.end()?;
        if !permit.bodies {
            return Err(Problem::bodies_need_a_token());
        }
        let _turn = self.turn()?;
        let found = match self.publisher.job(id).await {
            Ok(found) => found,
            Err(LookupError::Gone(_)) if self.publisher.has_jobs() => None,
            Err(why) => return Err(Problem::of_lookup(&why)),
        };
        let message = found.ok_or_else(|| Problem::no_such_job(id))?;
        let shown = Shown::of(&message, Job { id });
        Ok(json(StatusCode::OK, "application/json", &shown))
    }

    /// A message with all that a sender wrote, for who may see that. A few at a time: each may be large.
    pub(super) async fn stored_message(
        &self,
        stream: &str,
        sequence: u64,
        permit: Permit,
    ) -> Result<StoredMessage, Problem> {
        if !permit.bodies {
            return Err(Problem::bodies_need_a_token());
        }
        let _turn = self.turn()?;
        self.publisher.stored_message(stream, sequence).await.map_err(|why| Problem::of_lookup(&why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_cut_where_a_character_ends() {
        let text = "长".repeat(MAX_SHOWN / 3 + 10);
        let body = Body::of(text.as_bytes(), None);
        assert!(body.kept <= MAX_SHOWN && body.kept > MAX_SHOWN - 3 && body.kept.is_multiple_of(3));
        assert_eq!((body.body.map(str::len), body.bytes), (Some(body.kept), text.len() as u64));
        let binary = Body::of(&[0xff, 0xfe], Some(10));
        assert_eq!((binary.body, binary.body_base64.as_deref()), (None, Some("//4=")));
        assert_eq!((binary.kept, binary.bytes), (2, 10));
    }
}
