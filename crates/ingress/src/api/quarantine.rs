//! Quarantine as a resource: what is kept and why, and the body itself.

use ci_bridge_publisher::nats::{LookupError, Range, StoredMessage};
use ci_bridge_publisher::{HeaderName, MessageId};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::time::{Duration, Instant};

use super::access::Permit;
use super::parameters::Parameters;
use super::problem::Problem;
use super::stored_message::Body;
use super::{Api, Reply};
use crate::answer::json;
use crate::rejection::whole_bytes;
use crate::shown::milliseconds_since_1970;

/// Entries of an answer, unless it is told otherwise, and at most.
const LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 200;
/// Sequences that one request looks at: those that were replayed or dropped leave gaps.
const MAX_LOOKED_AT: u64 = 500;
/// How long that may take; what lies behind is on the next page.
const LOOK_TIME: Duration = Duration::from_secs(3);

#[derive(Serialize)]
struct Page<'a> {
    stream: &'a str,
    total: u64,
    entries: Vec<Entry>,
    /// What `before` must be for those behind; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// An entry without its body.
#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    described: Described,
    /// Bytes of the body as it came.
    bytes: u64,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    described: Described,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    headers: &'a [(String, String)],
    #[serde(flatten)]
    body: Body<'a>,
}

/// What an entry's headers say of it.
#[derive(Serialize)]
struct Described {
    seq: u64,
    time: u64,
    id: String,
    reason: String,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// Where a message belongs that JetStream refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    media_type: String,
}

impl Api {
    pub(super) async fn quarantine(&self, mut parameters: Parameters) -> Reply {
        let limit = parameters.number("limit", 1..=MAX_LIMIT)?.unwrap_or(LIMIT);
        let before = parameters.number("before", 1..=u64::MAX)?;
        parameters.end()?;
        let _turn = self.turn()?;
        let range = self.publisher.quarantine_range().await.map_err(|why| Problem::of_lookup(&why))?;
        let (entries, next) = self.entries(range, before, limit).await?;
        let page = Page { stream: self.publisher.quarantine_stream(), total: range.messages, entries, next };
        Ok(json(StatusCode::OK, "application/json", &page))
    }

    /// Backwards from the newest, or from `before`.
    async fn entries(
        &self,
        range: Range,
        before: Option<u64>,
        limit: u64,
    ) -> Result<(Vec<Entry>, Option<u64>), Problem> {
        let stream = self.publisher.quarantine_stream();
        let last = before.map_or(range.last_seq, |before| range.last_seq.min(before - 1));
        let first = range.first_seq.max(1);
        let (mut entries, begun) = (Vec::new(), Instant::now());
        if range.messages == 0 {
            return Ok((entries, None));
        }
        for sequence in (first..=last).rev() {
            let looked_at = last - sequence;
            if entries.len() as u64 == limit || looked_at == MAX_LOOKED_AT || begun.elapsed() > LOOK_TIME {
                return Ok((entries, Some(sequence + 1)));
            }
            match self.publisher.stored_message(stream, sequence).await {
                Ok(kept) => entries.push(Entry::of(&kept)),
                Err(LookupError::Gone(_)) => {}
                Err(why) => return Err(Problem::of_lookup(&why)),
            }
        }
        Ok((entries, None))
    }

    pub(super) async fn quarantined(&self, seq: u64, parameters: Parameters, permit: Permit) -> Reply {
        parameters.end()?;
        let kept = self.stored_message(self.publisher.quarantine_stream(), seq, permit).await?;
        let described = Described::of(&kept);
        let (line, column) = position(&described.detail).unzip();
        let body = Body::of(&kept.body, whole_bytes(&described.detail));
        let whole = Whole { described, line, column, headers: &kept.headers, body };
        Ok(json(StatusCode::OK, "application/json", &whole))
    }

    /// The bytes as they came. Whatever they are, no browser makes anything of them.
    pub(super) async fn quarantined_body(&self, seq: u64, parameters: Parameters, permit: Permit) -> Reply {
        parameters.end()?;
        let kept = self.stored_message(self.publisher.quarantine_stream(), seq, permit).await?;
        let mut response = Response::new(kept.body.into());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers
            .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
        let disposition = format!("attachment; filename=\"quarantine-{seq}\"");
        if let Ok(disposition) = HeaderValue::from_str(&disposition) {
            headers.insert(header::CONTENT_DISPOSITION, disposition);
        }
        Ok(response)
    }
}

impl Described {
    fn of(kept: &StoredMessage) -> Self {
        let text = |name: HeaderName| kept.header(name.as_str()).map(str::to_owned);
        Self {
            seq: kept.sequence,
            time: milliseconds_since_1970(kept.time),
            id: kept.header(MessageId::HEADER).unwrap_or_default().to_owned(),
            reason: text(HeaderName::CiReason).unwrap_or_default(),
            detail: text(HeaderName::CiDetail).unwrap_or_default(),
            endpoint: text(HeaderName::CiEndpoint),
            subject: text(HeaderName::CiSubject),
            media_type: text(HeaderName::ContentType).unwrap_or_default(),
        }
    }
}

impl Entry {
    fn of(kept: &StoredMessage) -> Self {
        let described = Described::of(kept);
        let bytes = whole_bytes(&described.detail).unwrap_or(kept.body.len() as u64);
        Self { described, bytes }
    }
}

/// Line and column of a reason that begins with them.
fn position(detail: &str) -> Option<(u32, u32)> {
    let (line, rest) = detail.strip_prefix("line ")?.split_once(", column ")?;
    let (column, _) = rest.split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_a_reason_has_it() {
        for (detail, expected) in [
            ("line 3, column 14: syntax error", Some((3, 14))),
            ("line 3", None),
            ("no JobsDetail at line 3, column 1: x", None),
            ("line x, column 1: y", None),
            ("", None),
        ] {
            assert_eq!(position(detail), expected, "{detail}");
        }
    }
}
