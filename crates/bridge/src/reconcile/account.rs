//! What an account is made of: whom to ask, for which tags, and what to compare with.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use ci_bridge_ingress::Endpoint;
use ci_bridge_publisher::nats::StreamSpec;
use ci_bridge_publisher::{MessageId, Publisher};
use ci_bridge_tencent::{Client, documented_tags};

use crate::config::Search;

/// Whom to ask, what to compare with, and who publishes.
pub(crate) struct Account<'a> {
    pub(crate) client: &'a Client,
    pub(crate) publisher: &'a Publisher,
    pub(crate) endpoints: &'a [Arc<Endpoint>],
    /// The streams that endpoints publish to; the first is that of events.
    pub(crate) streams: &'a [StreamSpec],
    pub(crate) search: &'a Search,
    /// Ids in a spool that this process does not drain.
    pub(crate) spooled: &'a HashSet<MessageId>,
    /// Nothing is published.
    pub(crate) is_dry: bool,
}

/// What stands among tags for workflow runs, which have none.
pub(super) const RUNS: &str = "Workflow";

/// The tags whose jobs are listed, the documented ones first.
pub(super) struct Tags {
    pub(super) listed: Vec<String>,
    /// How many that the stream has seen are not among them.
    pub(super) left_out: usize,
}

/// Tags beside the documented ones that are listed because the stream has seen them, those with the most messages. Each is
/// one request and more, and whoever has a token can make up as many as he likes.
pub(super) const MOST_SEEN_TAGS: usize = 32;

impl Account<'_> {
    /// Whether workflow runs are looked for. They have neither tag nor queue: where either is named, they must be as well.
    pub(super) fn wants_runs(&self) -> bool {
        let Search { tags, queues, .. } = self.search;
        tags.is_empty() && queues.is_empty() || tags.iter().any(|tag| tag == RUNS)
    }

    /// The tags whose jobs are listed: those that were asked for, or all that are known.
    pub(super) async fn tags(&self) -> Tags {
        if !self.search.tags.is_empty() {
            let named = self.search.tags.iter().filter(|tag| *tag != RUNS);
            let named: BTreeSet<_> = named.cloned().collect();
            return Tags { listed: named.into_iter().collect(), left_out: 0 };
        }
        let mut listed: Vec<_> = documented_tags().iter().map(|tag| (*tag).to_owned()).collect();
        let mut seen = self.seen_tags().await;
        seen.retain(|tag, _| !listed.contains(tag));
        let left_out = seen.len().saturating_sub(MOST_SEEN_TAGS);
        let mut seen: Vec<_> = seen.into_iter().collect();
        seen.sort_by_key(|(_, messages)| Reverse(*messages));
        listed.extend(seen.into_iter().map(|(tag, _)| tag).take(MOST_SEEN_TAGS));
        Tags { listed, left_out }
    }

    /// The tags of messages that the stream has, and how many messages each has.
    async fn seen_tags(&self) -> BTreeMap<String, u64> {
        let mut seen = BTreeMap::new();
        let Some(events) = self.streams.first() else { return seen };
        for endpoint in self.endpoints {
            // Without the right to ask, the documented ones are all that is known.
            let held = self.publisher.subjects_held(events, &endpoint.router.task_pattern()).await;
            for (subject, messages) in held.unwrap_or_default() {
                if let Some(tag) = endpoint.router.tag_in(&subject) {
                    *seen.entry(tag).or_default() += messages;
                }
            }
        }
        seen
    }
}
