//! An endpoint: a path, who may use it, and where its callbacks go.

use ci_bridge_publisher::{Glob, Router};
use ci_bridge_schema::Event;
use hyper::{HeaderMap, Uri};

use crate::auth::{self, AllowFrom, Secrets};
use crate::verify::WithoutAnswer;

/// One path that callbacks come to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Stands in logs, metrics and subjects; never the path, which may hold a secret.
    pub name: String,
    /// `/ci/callback`; a token may follow as a further segment.
    pub path: String,
    /// The secrets that are accepted; none means that none is asked for.
    pub secrets: Secrets,
    /// The addresses that may send.
    pub allow_from: AllowFrom,
    /// The buckets whose callbacks are taken; none means all.
    pub allow_buckets: Vec<Glob>,
    /// Whether CI is asked about each callback before anything of it is published, and what is done when it does not
    /// answer.
    pub verify: Option<WithoutAnswer>,
    /// Where its callbacks go.
    pub router: Router,
}

impl Endpoint {
    /// Whether a callback of this event would be taken, as far as its bucket goes.
    #[must_use]
    pub fn takes(&self, event: &Event<'_>) -> bool {
        self.forbidden_bucket(std::slice::from_ref(event)).is_none()
    }

    /// Whether its callbacks may be of this bucket.
    #[must_use]
    pub fn takes_bucket(&self, bucket: &str) -> bool {
        self.allow_buckets.is_empty() || self.allow_buckets.iter().any(|glob| glob.matches(bucket))
    }

    /// Whether a callback to this URL would be let in, as far as the URL goes: `None` when it leads elsewhere. Whoever
    /// reports it needs not repeat the URL, which may hold a secret.
    #[must_use]
    pub fn admits_url(&self, url: &Uri) -> Option<bool> {
        let token = self.token_in(url.path())?;
        let headers = HeaderMap::new();
        let mut presented = auth::presented(token, url.query(), &headers);
        // A client sends it as basic authentication.
        let user_info = url.authority().and_then(|authority| authority.as_str().rsplit_once('@'));
        presented.extend(
            user_info.and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password.into()),
        );
        Some(self.secrets.is_empty() || self.secrets.accept(&presented))
    }

    /// The first bucket of these events that is not on the allow-list.
    pub(crate) fn forbidden_bucket(&self, events: &[Event<'_>]) -> Option<String> {
        if self.allow_buckets.is_empty() {
            return None;
        }
        events.iter().find_map(|event| {
            let bucket = event.routing().bucket.as_deref().unwrap_or_default().to_owned();
            let allowed = self.allow_buckets.iter().any(|glob| glob.matches(&bucket));
            (!allowed).then_some(bucket)
        })
    }

    /// What follows the endpoint's path in `path`: nothing, or a token.
    pub(crate) fn token_in<'p>(&self, path: &'p str) -> Option<Option<&'p str>> {
        let rest = path.strip_prefix(self.path.as_str())?;
        match rest.strip_prefix('/') {
            None if rest.is_empty() => Some(None),
            Some("") => Some(None),
            Some(token) if !token.contains('/') && !self.secrets.is_empty() => Some(Some(token)),
            _ => None,
        }
    }
}
