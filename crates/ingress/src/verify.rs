//! Verification: a callback is a hint, and what is published is CI's own account of the job. Who asks CI is somebody else;
//! what its answer means for a callback is decided here.

use std::collections::BTreeSet;
use std::sync::Arc;

use ci_bridge_publisher::Message;
use ci_bridge_schema::{Event, Kind};
use futures_util::future::BoxFuture;

/// What a callback says of one job, before anybody believes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What it is about.
    pub kind: Kind,
    /// The job's, the run's or the result's id.
    pub id: Option<String>,
    /// `Success`, …
    pub state: Option<String>,
    /// A job's tag.
    pub tag: Option<String>,
    /// A moderation's event.
    pub event: Option<String>,
    /// The bucket.
    pub bucket: Option<String>,
}

/// What CI says to a claim.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// There is such a job, in this state, and this is CI's own account of it.
    Confirmed(Arc<Event<'static>>),
    /// There is none, or it is in another state.
    Denied(String),
    /// CI is away, or takes no key of ours.
    Unknown(String),
    /// It cannot be told for a reason that whoever sends callbacks can bring about, by their number or by what they name:
    /// nothing is ever published then.
    Unasked(String),
}

/// Asks CI.
pub trait Verifier: Send + Sync {
    /// What CI says to the claims of a callback, each in its place, within the time that a callback has.
    fn verify(&self, claims: Vec<Claim>) -> BoxFuture<'_, Vec<Verdict>>;
}

/// What becomes of a callback when CI is away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutAnswer {
    /// 503: nothing of it is published.
    #[default]
    Refuse,
    /// It is published as it came, with `Ci-Verified: false`.
    Publish,
}

/// The messages of an event, and the rules that drop it.
pub(crate) type Routes = (Vec<Message>, BTreeSet<usize>);

/// A callback, verified.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    pub(crate) messages: Vec<Message>,
    /// The rules that drop what was confirmed.
    pub(crate) rules: BTreeSet<usize>,
    /// Why part of it is not believed.
    pub(crate) denied: Option<String>,
    /// Why part of it is published although CI did not confirm it.
    pub(crate) unverified: Option<String>,
    /// Why nothing can be said of part of it, where that ends the callback.
    pub(crate) unknown: Option<String>,
}

/// Asks about every event of a callback, and routes what is confirmed as CI describes it; `route` gives `None` for what
/// the endpoint does not take.
pub(crate) async fn ask(
    verifier: Option<&dyn Verifier>,
    events: &[Event<'_>],
    route: impl Fn(&Event<'_>, bool) -> Option<Routes>,
    without_answer: WithoutAnswer,
) -> Verified {
    let mut verdicts = match verifier {
        Some(verifier) => verifier.verify(events.iter().map(Claim::of).collect()).await.into_iter(),
        None => Vec::new().into_iter(),
    };
    let mut verified = Verified::default();
    for event in events {
        let verdict = verdicts.next().unwrap_or_else(|| Verdict::Unasked("nobody can ask it".to_owned()));
        let routes = match verdict {
            Verdict::Confirmed(account) => route(&account, true)
                .ok_or_else(|| "CI's account is of a bucket that the endpoint does not take".to_owned()),
            Verdict::Denied(why) => Err(why),
            Verdict::Unknown(why) if without_answer == WithoutAnswer::Publish => {
                verified.unverified = Some(why);
                Ok(route(event, false).unwrap_or_default())
            }
            Verdict::Unknown(why) | Verdict::Unasked(why) => {
                verified.unknown =
                    Some(format!("CI, which is asked about each callback here, does not answer: {why}"));
                continue;
            }
        };
        match routes {
            Ok((messages, rules)) => {
                verified.messages.extend(messages);
                verified.rules.extend(rules);
            }
            Err(why) => verified.denied = Some(why),
        }
    }
    verified
}

impl Claim {
    fn of(event: &Event<'_>) -> Self {
        let routing = event.routing();
        let owned = |value: &Option<std::borrow::Cow<'_, str>>| value.as_deref().map(str::to_owned);
        Self {
            kind: event.kind(),
            id: owned(&routing.id),
            state: owned(&routing.state),
            tag: owned(&routing.tag),
            event: owned(&routing.event),
            bucket: owned(&routing.bucket),
        }
    }
}
