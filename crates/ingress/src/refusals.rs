//! What the log says of callbacks that are refused before they are parsed. Such a one is kept nowhere and may never come
//! again, so an operator must be able to see it; but strangers must not be able to fill the log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

/// The same refusal at the same endpoint is said once in this time.
const INTERVAL: Duration = Duration::from_secs(10);

/// When which refusal was last said: by its reason, and the endpoint's name. Both are few, and neither is a sender's.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<&'static str, HashMap<String, Said>>>);

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid_since: u64,
}

/// A callback that was refused. Nothing of a secret is in it.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) reason: &'static str,
    pub(crate) detail: &'a str,
    pub(crate) endpoint: &'a str,
    /// Of its body, as far as it was announced or read.
    pub(crate) bytes: u64,
    pub(crate) peer: IpAddr,
}

impl Refusals {
    /// A warning, unless the same was said a moment ago.
    pub(crate) fn tell(&self, refusal: &Refusal<'_>) {
        let Refusal { reason, detail, endpoint, bytes, peer } = refusal;
        if let Some(unsaid) = self.is_due(reason, endpoint) {
            warn!(reason, endpoint, bytes, %peer, unsaid, detail, "callback refused, and kept nowhere");
        }
    }

    /// How many have not been said since the last that was; `None` when this one is not due either.
    fn is_due(&self, reason: &'static str, endpoint: &str) -> Option<u64> {
        let now = Instant::now();
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_reason = said.entry(reason).or_default();
        match of_reason.get_mut(endpoint) {
            Some(said) if now.duration_since(said.at) < INTERVAL => {
                said.unsaid_since += 1;
                None
            }
            Some(said) => {
                said.at = now;
                Some(std::mem::take(&mut said.unsaid_since))
            }
            None => {
                of_reason.insert(endpoint.to_owned(), Said { at: now, unsaid_since: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn each_refusal_is_said_once_in_a_while() {
        let refusals = Refusals::default();
        assert_eq!(refusals.is_due("unauthenticated", "a"), Some(0));
        for _ in 0..3 {
            assert_eq!(refusals.is_due("unauthenticated", "a"), None);
        }
        assert_eq!(refusals.is_due("unauthenticated", "b"), Some(0), "another endpoint's");
        assert_eq!(refusals.is_due("body_too_large", "a"), Some(0), "another reason");
        advance(INTERVAL).await;
        assert_eq!(refusals.is_due("unauthenticated", "a"), Some(3));
        assert_eq!(refusals.is_due("unauthenticated", "a"), None);
    }
}
