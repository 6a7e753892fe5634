//! What a request asks for, and how it is answered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::client::PublishError;
use async_nats::jetstream::message::StreamMessage;
use async_nats::service::{Request, error};

use super::counts::Outcome;
use crate::filter::covers;
use crate::patterns::Patterns;

/// Replies that are remembered: NATS says a moment later that one was forbidden.
const MAX_REPLIES: usize = 64;
/// Instructions to the stream of the bucket: whoever stores a reply has another.
const FOR_THE_STREAM: [&str; 2] = ["Nats-Expected-Stream", "Nats-Expected-Last-Subject-Sequence"];

/// Why a request is not answered with a message.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) outcome: Outcome,
    why: String,
}

impl Refusal {
    pub(super) fn new(outcome: Outcome, why: String) -> Self {
        Self { outcome, why }
    }
}

/// Where answers go. Whoever asks chooses the subject and the bridge publishes there with its own rights, so it must be
/// none that only the bridge may write to: with a key of the bucket as its reply, one job's message would stand for another.
#[derive(Debug)]
pub(super) struct Replies {
    own: Vec<String>,
    /// What the bridge publishes to.
    patterns: Patterns,
    last: Mutex<VecDeque<String>>,
}

impl Replies {
    pub(super) fn new(own: Vec<String>, patterns: Patterns) -> Self {
        Self { own, patterns, last: Mutex::default() }
    }

    pub(super) fn may_go_to(&self, reply: &str) -> bool {
        let patterns = self.patterns.get();
        let mut own = self.own.iter().chain(patterns.iter().map(|(pattern, _)| pattern));
        !reply.starts_with('$') && !own.any(|filter| covers(filter, reply))
    }

    pub(super) fn note(&self, reply: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= MAX_REPLIES {
            last.pop_front();
        }
        last.push_back(reply.to_owned());
    }

    pub(super) fn had(&self, subject: &str) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|reply| reply == subject)
    }
}

/// The key that a request is for, the last token of its subject, and how long it waits at most.
pub(super) fn key_and_time(request: &Request, most: Duration) -> Result<(&str, Duration), Refusal> {
    let key = request.message.subject.rsplit('.').next().unwrap_or_default();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)) {
        let why = "an id is letters, digits, '-' and '_'; any other byte of it is '=' and two digits";
        return Err(Refusal::new(Outcome::Invalid, why.to_owned()));
    }
    Ok((key, time_in(&request.message.payload, most)?))
}

/// The body says how long the requester waits, as the configuration would: the bridge cannot know when it has gone.
fn time_in(body: &[u8], most: Duration) -> Result<Duration, Refusal> {
    if body.is_empty() {
        return Ok(most);
    }
    let text = std::str::from_utf8(body).ok().map(str::trim);
    let time = text.and_then(|text| humantime::parse_duration(text).ok());
    let why = "the body is empty, or how long to wait, such as 30s or 5m";
    time.map(|time| time.min(most)).ok_or_else(|| Refusal::new(Outcome::Invalid, why.to_owned()))
}

/// Sends the job's message with its headers, or `Nats-Service-Error` and its code.
pub(super) async fn send(
    request: &Request,
    found: Result<StreamMessage, Refusal>,
) -> Result<(), PublishError> {
    match found {
        Ok(message) => {
            request.respond_with_headers(Ok(message.payload), for_requesters(&message.headers)).await
        }
        Err(Refusal { outcome, why }) => {
            // A header is one line.
            let status = why.replace(['\r', '\n'], " ");
            request.respond(Err(error::Error { code: outcome.code(), status })).await
        }
    }
}

fn for_requesters(stored: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in stored.iter() {
        let name: &str = name.as_ref();
        if FOR_THE_STREAM.contains(&name) {
            continue;
        }
        for value in values {
            headers.append(name, value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_how_long_to_wait() {
        let hour = Duration::from_secs(3600);
        let rows: [(&[u8], Option<u64>); 8] = [
            (b"", Some(3600)),
            (b"30s", Some(30)),
            (b" 5m\n", Some(300)),
            (b"0s", Some(0)),
            (b"2h", Some(3600)),
            (b"30", None),
            (b"{}", None),
            (b"\xff", None),
        ];
        for (body, expected) in rows {
            let time = time_in(body, hour).ok().map(|time| time.as_secs());
            assert_eq!(time, expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn no_reply_goes_where_only_the_bridge_may_write() {
        let patterns = Patterns::new(vec![("ci.task.*.*".to_owned(), "CI".to_owned())]);
        let replies = Replies::new(vec!["ci-quarantine.>".to_owned()], patterns);
        for (reply, expected) in [
            ("_INBOX.a.b", true),
            ("orders.replies.7", true),
            ("$KV.CI_JOBS.j2", false),
            ("$JS.API.STREAM.DELETE.CI", false),
            ("ci.task.Forged.success", false),
            ("ci-quarantine.syntax", false),
        ] {
            assert_eq!(replies.may_go_to(reply), expected, "{reply}");
        }
        assert!(!replies.had("_INBOX.a.b"));
        replies.note("_INBOX.a.b");
        assert!(replies.had("_INBOX.a.b"));
        (0..MAX_REPLIES).for_each(|number| replies.note(&number.to_string()));
        assert!(!replies.had("_INBOX.a.b"));
    }

    #[test]
    fn a_reply_has_the_headers_of_the_message_and_no_order_to_a_stream() {
        let mut stored = HeaderMap::new();
        stored.insert("ce-id", "task:j1:Success");
        stored.insert("Nats-Expected-Stream", "KV_CI_JOBS");
        stored.insert("Nats-Expected-Last-Subject-Sequence", "0");
        let headers = for_requesters(&stored);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers.get("ce-id").map(async_nats::HeaderValue::as_str), Some("task:j1:Success"));
    }
}
