//! Posting again out of quarantine: a body to its own endpoint, a refused message to its own subject.

use ci_bridge_publisher::nats::{LookupError, StoredMessage};
use ci_bridge_publisher::{HeaderName, MessageId, REFUSED};
use ci_bridge_schema::parse;
use hyper::StatusCode;
use serde::Serialize;
use tracing::info;

use super::access::Permit;
use super::parameters::Parameters;
use super::problem::Problem;
use super::{Api, Reply, View};
use crate::answer::{Answer, json};
use crate::metrics::Outcome;
use crate::published::Published;
use crate::rejection::whole_bytes;

/// What came of posting a body again.
#[derive(Serialize)]
struct Replayed {
    status: u16,
    outcome: &'static str,
    detail: String,
    messages: Vec<Published>,
    /// It is out of quarantine.
    removed: bool,
}

impl Api {
    /// Lets a body come to its own endpoint again, or a refused message to its own subject.
    pub(super) async fn replay(
        &self,
        view: &View,
        seq: u64,
        parameters: Parameters,
        permit: Permit,
    ) -> Reply {
        parameters.end()?;
        let kept = self.stored_message(self.publisher.quarantine_stream(), seq, permit).await?;
        let _turn = self.turn()?;
        let mut replayed = match kept.header(HeaderName::CiReason.as_str()) == Some(REFUSED) {
            true => self.publish_refused(&kept).await?,
            false => self.post_again(view, &kept).await?,
        };
        if replayed.removed {
            // Out of quarantine only now, when all of it is durable elsewhere.
            match self.publisher.remove_from_quarantine(seq).await {
                Ok(()) | Err(LookupError::Gone(_)) => {}
                Err(why) => {
                    replayed.removed = false;
                    replayed.detail.push_str(&format!("; it stays in quarantine all the same: {why}"));
                }
            }
        }
        let (id, outcome) = (kept.header(MessageId::HEADER).unwrap_or_default(), replayed.outcome);
        info!(sequence = seq, id, outcome, removed = replayed.removed, "posted again out of quarantine");
        Ok(json(StatusCode::OK, "application/json", &replayed))
    }

    async fn publish_refused(&self, kept: &StoredMessage) -> Result<Replayed, Problem> {
        let published = self.publisher.publish_refused(kept).await;
        let (message, receipt) = published.map_err(|why| Problem::not_posted(&why))?;
        let message = Published::new(message, receipt);
        let outcome = if message.is_duplicate() { Outcome::Duplicate } else { Outcome::Published };
        let detail = sentence(std::slice::from_ref(&message));
        let messages = vec![message];
        Ok(Replayed { status: 200, outcome: outcome.as_str(), detail, messages, removed: true })
    }

    async fn post_again(&self, view: &View, kept: &StoredMessage) -> Result<Replayed, Problem> {
        let detail = kept.header(HeaderName::CiDetail.as_str()).unwrap_or_default();
        if whole_bytes(detail).is_some() {
            return Err(Problem::not_posted("only the beginning of this body was kept"));
        }
        // It would be kept once more, as anybody's would: what cannot be read now either is not posted.
        if let Err(error) = parse(&kept.body, &view.ingress.limits.parse) {
            return Err(Problem::unreadable(&error.to_string()));
        }
        let endpoint = kept.header(HeaderName::CiEndpoint.as_str()).unwrap_or_default();
        let endpoints = view.ingress.endpoints();
        // Another endpoint may be another tenant's.
        let endpoint = endpoints.iter().find(|known| known.name == endpoint).ok_or_else(|| {
            Problem::not_posted(&format!("it came to the endpoint {endpoint:?}, which there is no more"))
        })?;
        let answer = view.ingress.take_again(endpoint, kept.body.clone()).await;
        let outcome = answer.outcome();
        let (status, detail) = (answer.status().as_u16(), told(&answer, outcome));
        let messages = match answer {
            Answer::Published(messages) => messages,
            _ => Vec::new(),
        };
        Ok(Replayed { status, outcome: outcome.as_str(), detail, messages, removed: is_taken(outcome) })
    }
}

/// Whether nothing of the callback needs quarantine any more. What CI denies is answered 200 as well, and is there again.
fn is_taken(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Published | Outcome::Duplicate | Outcome::Spooled | Outcome::Dropped => true,
        Outcome::Quarantined | Outcome::Rejected | Outcome::Unavailable | Outcome::Probe => false,
    }
}

fn told(answer: &Answer, outcome: Outcome) -> String {
    if let Answer::Published(messages) = answer
        && !messages.is_empty()
    {
        return sentence(messages);
    }
    match outcome {
        Outcome::Published | Outcome::Duplicate | Outcome::Spooled => {
            "published as CI describes it".to_owned()
        }
        Outcome::Dropped => "a rule drops it".to_owned(),
        Outcome::Probe => "it is a probe, and tells of nothing".to_owned(),
        Outcome::Quarantined if answer.detail().is_empty() => {
            "it is in quarantine again: CI denies it".to_owned()
        }
        _ => answer.detail(),
    }
}

/// Where the messages are now.
fn sentence(messages: &[Published]) -> String {
    let one = |message: &Published| {
        let subject = message.subject();
        match message.stored() {
            Some((stream, seq)) => {
                let before = if message.is_duplicate() { ", where it was already" } else { "" };
                format!("{subject}, {stream} #{seq}{before}")
            }
            None => format!("{subject}, in the spool"),
        }
    };
    messages.iter().map(one).collect::<Vec<_>>().join("; ")
}
