//! One account: what CI says has ended, held against what the bus has.
//!
//! Lists first, streams afterwards: a callback that comes while CI is asked is found in its stream before anything is
//! published, and one that comes later is taken for a repetition by JetStream, under the same id.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ci_bridge_ingress::Endpoint;
use ci_bridge_publisher::nats::StreamSpec;
use ci_bridge_publisher::{MessageId, Publisher, Receipt};
use ci_bridge_schema::ApiAnswer;
use ci_bridge_tencent::{Bucket, Client, Error, Found, JobQuery, Pages, documented_tags};
use futures_util::StreamExt;
use futures_util::stream;
use tracing::info;

use super::candidate::Candidate;
use super::known::Known;
use super::outcome::{Line, Outcome, Report, Totals};
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
/// Missing jobs that are kept in memory before they are published.
const AT_A_TIME: usize = 500;
/// Jobs being published at once, as many as the drain of the spool has.
const IN_FLIGHT: usize = 32;

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
        })
    }

    /// The jobs of these ids, each with the bucket that has it. What CI does not know is a problem.
    async fn find(&self, ids: &[String], report: &mut dyn Report) -> Vec<(Bucket, Candidate)> {
        let mut found = Vec::new();
        'ids: for (done, id) in ids.iter().enumerate() {
            report.progress(done, ids.len(), id);
            let mut has_run = false;
            for bucket in &self.search.buckets {
                let asked = self.client.find(bucket, id, |job| Candidate::of(&job, self.endpoints)).await;
                match asked {
                    Ok(Found::Here(Some(candidate))) => {
                        found.push((bucket.clone(), candidate));
                        continue 'ids;
                    }
                    Ok(Found::Here(None)) => has_run = true,
                    Ok(Found::Unknown) => {}
                    Err(error) => {
                        report.problem(&error.to_string());
                        continue 'ids;
                    }
                }
            }
            report.problem(&match has_run {
                true => format!("{id} has not ended: there is no callback to make up for"),
                false => format!("CI knows no job or run {id} in {}", listed(&self.search.buckets)),
            });
        }
        found
    }

    /// The tags whose jobs are listed: those that were asked for, or all that are known.
    async fn tags(&self) -> BTreeSet<String> {
        if !self.search.tags.is_empty() {
            return self.search.tags.iter().cloned().collect();
        }
        let mut tags: BTreeSet<_> = documented_tags().iter().map(|tag| (*tag).to_owned()).collect();
        let Some(events) = self.streams.first() else { return tags };
        for endpoint in self.endpoints {
            // Without the right to ask, the documented ones are all that is known.
            let held = self.publisher.subjects_held(events, &endpoint.router.task_pattern()).await;
            tags.extend(
                held.unwrap_or_default().iter().filter_map(|subject| endpoint.router.tag_in(subject)),
            );
        }
        tags
    }
}

/// How much of a job is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// All of it.
    Whole,
    /// What a list of runs has: too little to publish.
    Listed,
}

/// An account that is being made.
struct Running<'a> {
    account: &'a Account<'a>,
    report: &'a mut dyn Report,
    known: Known<'a>,
    totals: Totals,
    /// Pages shift while they are read: a job may stand on two.
    considered: HashSet<MessageId>,
    /// Not on the bus, as far as was read.
    pending: Vec<Missing>,
    /// Jobs that ended before are not looked for, in seconds since 1970.
    oldest: i64,
    /// Jobs that ended later are left alone.
    youngest: i64,
}

struct Missing {
    bucket: Bucket,
    candidate: Candidate,
    form: Form,
}

/// Whether a bucket's other lists are worth asking for.
enum Listed {
    Whole,
    /// This path is refused.
    Refused(&'static str),
    /// Nothing of this bucket is answered.
    Nothing,
}

impl<'a> Running<'a> {
    /// Considers every job and every run of a bucket.
    async fn list(&mut self, bucket: &Bucket, created: JobQuery) -> Result<(), String> {
        let account = self.account;
        let tags = account.tags().await;
        let lists = tags.len() + 1;
        let mut refused = Vec::new();
        for (done, tag) in tags.iter().enumerate() {
            let path = if tag == "DocProcess" { "doc_jobs" } else { "jobs" };
            if refused.contains(&path) {
                continue;
            }
            self.report.progress(done, lists, &format!("{tag} of {bucket}"));
            let pages = account.client.jobs(bucket, tag, created);
            match self.read(bucket, pages, Form::Whole, path, Some(tag)).await? {
                Listed::Whole => {}
                Listed::Refused(path) => refused.push(path),
                Listed::Nothing => return Ok(()),
            }
        }
        self.report.progress(lists - 1, lists, &format!("workflow runs of {bucket}"));
        let pages = account.client.runs(bucket, created);
        self.read(bucket, pages, Form::Listed, "workflowexecution", None).await.map(drop)
    }

    /// Considers what stands on all pages of a list.
    async fn read(
        &mut self,
        bucket: &Bucket,
        mut pages: Pages<'_>,
        form: Form,
        path: &'static str,
        tag: Option<&str>,
    ) -> Result<Listed, String> {
        let endpoints = self.account.endpoints;
        loop {
            let candidates = |answer: &ApiAnswer<'_>| -> Vec<_> {
                let described = match form {
                    Form::Whole => answer.jobs(),
                    Form::Listed => answer.runs(bucket.name()),
                };
                described.iter().filter_map(|job| Candidate::of(job, endpoints)).collect()
            };
            match pages.next(candidates).await {
                Ok(Some(candidates)) => self.consider(bucket, candidates, form).await?,
                Ok(None) => return Ok(Listed::Whole),
                Err(error) => return Ok(self.not_listed(bucket, &error, path, tag)),
            }
        }
    }

    /// Says why a list was not read to its end, unless that is as expected.
    fn not_listed(
        &mut self,
        bucket: &Bucket,
        error: &Error,
        path: &'static str,
        tag: Option<&str>,
    ) -> Listed {
        let is_asked_for = tag.is_none_or(|tag| self.account.search.tags.iter().any(|have| have == tag));
        match error {
            // A service that this bucket does not use, or a tag that it does not know.
            Error::Refused(refusal)
                if !refusal.is_denied() && !refusal.is_about_everything() && !is_asked_for =>
            {
                info!(%bucket, tag, status = refusal.status, code = refusal.code, "CI has no such list for this bucket");
                return Listed::Whole;
            }
            _ => self.report.problem(&error.to_string()),
        }
        match error {
            Error::Refused(refusal) if refusal.is_about_everything() => Listed::Nothing,
            Error::Refused(refusal) if refusal.is_denied() => Listed::Refused(path),
            Error::Credentials(_) | Error::Unreachable { .. } | Error::Busy { .. } => Listed::Nothing,
            _ => Listed::Whole,
        }
    }

    /// Decides what can be decided at once; what is missing waits until there is enough of it.
    async fn consider(
        &mut self,
        bucket: &Bucket,
        mut candidates: Vec<Candidate>,
        form: Form,
    ) -> Result<(), String> {
        let queues = &self.account.search.queues;
        let is_of_queue = |candidate: &Candidate| {
            queues.is_empty() || candidate.queue.as_ref().is_some_and(|queue| queues.contains(queue))
        };
        candidates.retain(|candidate| {
            is_of_queue(candidate)
                && candidate.ended.is_none_or(|ended| ended >= self.oldest)
                && self.considered.insert(candidate.id.clone())
        });
        self.known.read(&candidates).await?;
        for candidate in candidates {
            if !self.is_decided(&candidate, form) {
                self.pending.push(Missing { bucket: bucket.clone(), candidate, form });
            }
        }
        if self.pending.len() >= AT_A_TIME {
            self.settle().await?;
        }
        Ok(())
    }

    /// Says what is to say of a job that need not be published.
    fn is_decided(&mut self, candidate: &Candidate, form: Form) -> bool {
        let outcome = if candidate.is_foreign() {
            Outcome::Foreign
        } else if let Some(stored) = self.known.stored_at(candidate) {
            // When a run ended, its list does not say: no later than its message was stored.
            if form == Form::Listed && stored < self.oldest {
                return true;
            }
            Outcome::Present
        } else if candidate.ended.is_some_and(|ended| ended > self.youngest) {
            Outcome::Young
        } else {
            return false;
        };
        self.say(candidate.id.as_str(), candidate.subject(), outcome);
        true
    }

    /// Publishes what is still missing.
    async fn settle(&mut self) -> Result<(), String> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.known.catch_up().await?;
        let mut missing = Vec::new();
        for Missing { bucket, candidate, form } in std::mem::take(&mut self.pending) {
            if self.is_decided(&candidate, form) {
                continue;
            }
            match form {
                Form::Whole => missing.push(candidate),
                Form::Listed => missing.extend(self.described(&bucket, candidate).await?),
            }
        }
        if self.account.is_dry {
            for candidate in missing {
                self.say(candidate.id.as_str(), candidate.subject(), Outcome::Recovered);
            }
            return Ok(());
        }
        let publisher = self.account.publisher;
        let publish = missing.into_iter().map(|candidate| {
            let messages = self.known.missing(&candidate);
            async move { (candidate, publisher.publish(&messages).await) }
        });
        let published: Vec<_> = stream::iter(publish.collect::<Vec<_>>()).buffered(IN_FLIGHT).collect().await;
        for (candidate, receipts) in published {
            let outcome = match receipts {
                // A callback was faster.
                Ok(receipts) if receipts.iter().all(is_repetition) => Outcome::Present,
                Ok(_) => Outcome::Recovered,
                Err(unavailable) => {
                    self.report.problem(&format!("{} was not published: {unavailable}", candidate.id));
                    Outcome::Failed
                }
            };
            self.say(candidate.id.as_str(), candidate.subject(), outcome);
        }
        Ok(())
    }

    /// A run of a list as a whole, unless it turns out to be none that is looked for.
    async fn described(&mut self, bucket: &Bucket, listed: Candidate) -> Result<Option<Candidate>, String> {
        let endpoints = self.account.endpoints;
        let asked =
            self.account.client.run(bucket, &listed.own_id, |run| Candidate::of(&run, endpoints)).await;
        match asked {
            Ok(Found::Here(Some(run))) => {
                let is_wanted = run.ended.is_none_or(|ended| ended >= self.oldest);
                self.known.read(std::slice::from_ref(&run)).await?;
                Ok((is_wanted && !self.is_decided(&run, Form::Whole)).then_some(run))
            }
            // It began again, or has been forgotten, since it was listed.
            Ok(Found::Here(None) | Found::Unknown) => Ok(None),
            Err(error) => {
                self.report.problem(&error.to_string());
                self.say(listed.id.as_str(), listed.subject(), Outcome::Failed);
                Ok(None)
            }
        }
    }

    fn say(&mut self, id: &str, subject: &str, result: Outcome) {
        self.totals.count(result);
        self.report.job(Line { id: id.to_owned(), subject: subject.to_owned(), result });
    }

    async fn finish(mut self) -> Result<Totals, String> {
        self.settle().await?;
        Ok(self.totals)
    }
}

fn is_repetition(receipt: &Receipt) -> bool {
    matches!(receipt, Receipt::Stored { duplicate: true, .. })
}

fn listed(buckets: &[Bucket]) -> String {
    buckets.iter().map(Bucket::to_string).collect::<Vec<_>>().join(", ")
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
