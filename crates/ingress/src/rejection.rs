//! Why a body becomes no event, and what of it quarantine keeps.

use bytes::Bytes;
use ci_bridge_publisher::MessageId;
use ci_bridge_schema::ParseError;

use crate::answer::Answer;
use crate::metrics::Outcome;

/// Why a body becomes no event.
pub(crate) enum Rejection {
    Unreadable(ParseError),
    TooLarge(String),
    /// CI knows nothing of it, or says otherwise.
    Unverified(String),
}

impl Rejection {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(error) => error.reason().as_str(),
            Self::TooLarge(_) => "oversize",
            Self::Unverified(_) => "unverified",
        }
    }

    /// The body, or as much of its beginning as NATS takes; and what is wrong with it, with how much is kept.
    pub(crate) fn kept_of(&self, body: &Bytes, max_payload: usize) -> (Bytes, String) {
        let (kept, mut detail) = (kept(body, max_payload), self.detail());
        if kept.len() < body.len() {
            detail.push_str(&format!("{KEPT_ARE}{} of {} bytes", kept.len(), body.len()));
        }
        (kept, detail)
    }

    fn detail(&self) -> String {
        match self {
            Self::Unreadable(error) => error.to_string(),
            Self::TooLarge(why) | Self::Unverified(why) => why.clone(),
        }
    }

    /// The answer to a body that quarantine keeps under this id.
    pub(crate) fn answer(self, id: MessageId) -> Answer {
        match self {
            Self::Unreadable(error) => Answer::Unreadable(error, id),
            Self::TooLarge(failure) => Answer::MessageTooLarge(failure, id),
            // Answered as if it had been published: nobody shall learn from it which jobs there are.
            Self::Unverified(_) => Answer::Silent(Outcome::Quarantined),
        }
    }
}

/// How much is kept, in bytes, of a body that NATS would not take whole.
const KEPT_OF_TOO_LARGE: usize = 64 * 1024;
/// What the headers of a message in quarantine take at most, in bytes.
const QUARANTINE_HEADERS: usize = 4 * 1024;

/// How a reason ends whose body is not kept whole.
const KEPT_ARE: &str = "; kept are the first ";

/// How many bytes a body had of which only the beginning is in quarantine, as its reason says.
pub(crate) fn whole_bytes(detail: &str) -> Option<u64> {
    let (_, kept) = detail.rsplit_once(KEPT_ARE)?;
    kept.strip_suffix(" bytes")?.split_once(" of ")?.1.parse().ok()
}

/// The body, or as much of its beginning as NATS takes.
fn kept(body: &Bytes, max_payload: usize) -> Bytes {
    match body.len() + QUARANTINE_HEADERS > max_payload {
        true => body.slice(..body.len().min(KEPT_OF_TOO_LARGE).min(max_payload / 2)),
        false => body.clone(),
    }
}
