//! One account: what CI says has ended, held against what the bus has.
//!
//! Streams are read before CI is asked, and brought up to date before anything is published: a callback that comes while
//! CI is asked is found in its stream, and one that comes later is taken for a repetition by JetStream, under the same id.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ci_bridge_ingress::Endpoint;
use ci_bridge_publisher::nats::StreamSpec;
use ci_bridge_publisher::{MessageId, Publisher};
use ci_bridge_tencent::{Bucket, Client, Found, JobQuery, documented_tags};

use super::candidate::Candidate;
use super::known::Known;
use super::outcome::{Outcome, Report, Totals};
use super::running::{Form, Running};
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

/// Which jobs.
pub(crate) enum Wanted<'w> {
    /// Those that ended within the time that the configuration says.
    Recent,
    /// These.
    Ids(&'w [String]),
}

/// Jobs are listed by when they were created, and may wait and run for hours.
const LONGEST_RUN: Duration = Duration::from_secs(6 * 60 * 60);
/// How far Tencent's clock and NATS's may differ.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(10 * 60);

impl Account<'_> {
    /// Makes the account, and publishes what is missing.
    ///
    /// # Errors
    ///
    /// Why nobody can tell what the bus has: nothing is published then. What CI does not answer is told to the report, and
    /// the rest of the account is made.
    pub(crate) async fn make(&self, wanted: Wanted<'_>, report: &mut dyn Report) -> Result<Totals, String> {
        let now = SystemTime::now();
        match wanted {
            Wanted::Recent => {
                let created = JobQuery { from: now - self.search.since - LONGEST_RUN, to: now };
                let mut running = self.begin(now, created.from, report).await?;
                for bucket in &self.search.buckets {
                    running.list(bucket, created).await?;
                }
                running.finish().await
            }
            Wanted::Ids(ids) => {
                let found = self.find(ids, report).await;
                let earliest = found.iter().map(|(_, candidate)| candidate.last_seen).min().flatten();
                let since = earliest.and_then(|at| u64::try_from(at).ok()).map(Duration::from_secs);
                let since =
                    since.map_or(now - self.search.since - LONGEST_RUN, |at| SystemTime::UNIX_EPOCH + at);
                let unknown = ids.iter().filter(|id| !found.iter().any(|(_, have)| have.own_id == **id));
                let unknown: Vec<_> = unknown.collect();
                let mut running = self.begin(now, since, report).await?;
                for id in unknown {
                    running.say(id, "", Outcome::Failed);
                }
                running.oldest = i64::MIN;
                running.queues = &[];
                for (bucket, candidate) in found {
                    running.consider(&bucket, vec![candidate], Form::Whole).await?;
                }
                running.finish().await
            }
        }
    }

    async fn begin<'r>(
        &'r self,
        now: SystemTime,
        since: SystemTime,
        report: &'r mut dyn Report,
    ) -> Result<Running<'r>, String> {
        let since = since - CLOCK_DIFFERENCE;
        let mut known = Known::since(since, self.publisher, self.streams, self.spooled).await;
        // Before CI is asked: where nobody can tell, asking is for nothing.
        if let Some(events) = self.streams.first() {
            known.read_stream(&events.name.as_str().into()).await?;
        }
        Ok(Running {
            account: self,
            report,
            known,
            totals: Totals::default(),
            considered: HashSet::new(),
            pending: Vec::new(),
            oldest: seconds(now - self.search.since),
            youngest: seconds(now - self.search.grace),
            queues: &self.search.queues,
        })
    }

    /// The jobs of these ids, each with the bucket that has it. What CI does not know is a problem.
    async fn find(&self, ids: &[String], report: &mut dyn Report) -> Vec<(Bucket, Candidate)> {
        let mut found = Vec::new();
        for (done, id) in ids.iter().enumerate() {
            report.progress(done, ids.len(), id);
            match self.find_one(id).await {
                Ok(job) => found.push(job),
                Err(problems) => problems.iter().for_each(|sentence| report.problem(sentence)),
            }
        }
        found
    }

    /// In whichever bucket it is: one that does not answer says nothing of the others.
    async fn find_one(&self, id: &str) -> Result<(Bucket, Candidate), Vec<String>> {
        let (mut has_run, mut problems) = (false, Vec::new());
        for bucket in &self.search.buckets {
            let asked = self.client.find(bucket, id, |job| Candidate::of(&job, self.endpoints)).await;
            match asked {
                Ok(Found::Here(Some(candidate))) => return Ok((bucket.clone(), candidate)),
                Ok(Found::Here(None)) => has_run = true,
                Ok(Found::Unknown) => {}
                Err(error) => problems.push(error.to_string()),
            }
        }
        Err(match (has_run, problems.is_empty()) {
            (true, _) => vec![format!("{id} has not ended: there is no callback to make up for")],
            (false, false) => problems,
            (false, true) => {
                vec![format!("CI knows no job or run {id} in {}", listed(&self.search.buckets))]
            }
        })
    }

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

fn listed(buckets: &[Bucket]) -> String {
    buckets.iter().map(Bucket::to_string).collect::<Vec<_>>().join(", ")
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
