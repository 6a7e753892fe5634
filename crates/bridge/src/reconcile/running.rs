//! An account that is being made: lists are read page by page, what is known is said at once, and what is missing is
//! published by the hundreds.

use std::collections::HashSet;

use ci_bridge_publisher::{MessageId, Receipt};
use ci_bridge_schema::ApiAnswer;
use ci_bridge_tencent::{Bucket, Error, JobQuery, Lookup, Pages, Refusal};
use futures_util::StreamExt;
use futures_util::stream;
use tracing::info;

use super::account::{Account, MOST_SEEN_TAGS, RUNS, Tags};
use super::candidate::Candidate;
use super::known::KnownIds;
use super::outcome::{Line, Outcome, Report, Totals};

/// Missing jobs that are kept in memory before they are published.
const AT_A_TIME: usize = 500;
/// Jobs being published at once, as many as the drain of the spool has.
const IN_FLIGHT: usize = 32;

/// How much of a job is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All of it.
    Whole,
    /// What a list of runs has: too little to publish.
    Listed,
}

/// An account that is being made.
pub(super) struct Running<'a> {
    pub(super) account: &'a Account<'a>,
    pub(super) report: &'a mut dyn Report,
    pub(super) known: KnownIds<'a>,
    pub(super) totals: Totals,
    /// Pages shift while they are read: a job may stand on two.
    pub(super) considered: HashSet<MessageId>,
    /// Not on the bus, as far as was read.
    pub(super) pending: Vec<Missing>,
    /// Jobs that ended before are not looked for, in seconds since 1970.
    pub(super) oldest: i64,
    /// Jobs that ended later are left alone.
    pub(super) youngest: i64,
    /// Jobs of other queues are not looked for; none means all.
    pub(super) queues: &'a [String],
}

pub(super) struct Missing {
    bucket: Bucket,
    candidate: Candidate,
    form: Form,
}

/// What became of a list, and whether a bucket's other lists are worth asking for.
enum Listed {
    /// It was read, as far as it goes.
    Read,
    /// The bucket has no such list, for this reason.
    Missing(Box<Refusal>),
    /// This path is refused.
    Refused(&'static str),
    /// Nothing of this bucket is answered.
    Nothing,
}

/// How a bucket answers.
#[derive(Default)]
struct Answering {
    has_list: bool,
    refused_paths: Vec<&'static str>,
    /// Why it has a list not.
    missing: Option<Box<Refusal>>,
}

impl Answering {
    /// Takes note of a list; `false` when no further one is worth asking for.
    fn goes_on_after(&mut self, listed: Listed) -> bool {
        match listed {
            Listed::Read => self.has_list = true,
            Listed::Missing(refusal) => self.missing = Some(refusal),
            Listed::Refused(path) => self.refused_paths.push(path),
            Listed::Nothing => return false,
        }
        true
    }
}

impl<'a> Running<'a> {
    /// Considers every job and every run of a bucket.
    pub(super) async fn list(&mut self, bucket: &Bucket, created: JobQuery) -> Result<(), String> {
        let account = self.account;
        let Tags { listed: tags, left_out } = account.tags().await;
        if left_out > 0 {
            self.report.problem(&format!(
                "the stream has messages of {left_out} undocumented tags that were not looked for, beside the \
                 {MOST_SEEN_TAGS} with the most: name those that matter in reconcile.tags"
            ));
        }
        let lists = tags.len() + 1;
        let mut answering = Answering::default();
        for (done, tag) in tags.iter().enumerate() {
            let path = if tag == "DocProcess" { "doc_jobs" } else { "jobs" };
            if answering.refused_paths.contains(&path) {
                continue;
            }
            self.report.progress(done, lists, &format!("{tag} of {bucket}"));
            let pages = account.client.jobs(bucket, tag, created);
            let listed = self.read(bucket, pages, Form::Whole, path, Some(tag)).await?;
            if !answering.goes_on_after(listed) {
                return Ok(());
            }
        }
        if account.wants_runs() {
            self.report.progress(lists - 1, lists, &format!("workflow runs of {bucket}"));
            let pages = account.client.runs(bucket, created);
            let listed = self.read(bucket, pages, Form::Listed, "workflowexecution", None).await?;
            if !answering.goes_on_after(listed) {
                return Ok(());
            }
        }
        // One service that a bucket does not use is nothing; without any, it is not the bucket that was meant.
        if let (false, Some(Refusal { host, status, code, .. })) =
            (answering.has_list, answering.missing.as_deref())
        {
            self.report.problem(&format!(
                "{host} has no list of jobs or runs at all (HTTP {status} {code}): check the bucket's name and region, and \
                 that CI is enabled for it"
            ));
        }
        Ok(())
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
        let mut is_first = true;
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
                Ok(None) => return Ok(Listed::Read),
                Err(Error::Refused(refusal))
                    if is_first && refusal.is_not_found() && !self.is_asked_for(tag) =>
                {
                    let Refusal { status, code, .. } = &*refusal;
                    info!(%bucket, tag, status, code, "CI has no such list for this bucket");
                    return Ok(Listed::Missing(refusal));
                }
                Err(error) => return Ok(self.not_listed(&error, path)),
            }
            is_first = false;
        }
    }

    /// Whether somebody wants this list, by its name.
    fn is_asked_for(&self, tag: Option<&str>) -> bool {
        self.account.search.tags.iter().any(|have| have == tag.unwrap_or(RUNS))
    }

    /// Says why a list was not read to its end.
    fn not_listed(&mut self, error: &Error, path: &'static str) -> Listed {
        self.report.problem(&error.to_string());
        match error {
            Error::Refused(refusal) if refusal.is_about_everything() => Listed::Nothing,
            Error::Refused(refusal) if refusal.is_denied() => Listed::Refused(path),
            Error::Credentials(_) | Error::Unreachable { .. } | Error::Busy { .. } => Listed::Nothing,
            _ => Listed::Read,
        }
    }

    /// Decides what can be decided at once; what is missing waits until there is enough of it.
    pub(super) async fn consider(
        &mut self,
        bucket: &Bucket,
        mut candidates: Vec<Candidate>,
        form: Form,
    ) -> Result<(), String> {
        let queues = self.queues;
        // A run is of no queue.
        let is_of_queue = |candidate: &Candidate| {
            queues.is_empty()
                || form == Form::Listed
                || candidate.queue.as_ref().is_some_and(|queue| queues.contains(queue))
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
            self.publish_pending().await?;
        }
        Ok(())
    }

    /// Says what is to say of a job that need not be published.
    fn is_decided(&mut self, candidate: &Candidate, form: Form) -> bool {
        // A list of runs lacks what rules may go by, such as the workflow's name: it does not tell what is foreign.
        let outcome = if form == Form::Whole && candidate.is_foreign() {
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
    async fn publish_pending(&mut self) -> Result<(), String> {
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
            Ok(Lookup::Found(Some(run))) => {
                let is_wanted = run.ended.is_none_or(|ended| ended >= self.oldest);
                self.known.read(std::slice::from_ref(&run)).await?;
                Ok((is_wanted && !self.is_decided(&run, Form::Whole)).then_some(run))
            }
            // It began again, or has been forgotten, since it was listed.
            Ok(Lookup::Found(None) | Lookup::Unknown) => Ok(None),
            Err(error) => {
                self.report.problem(&error.to_string());
                self.say(listed.id.as_str(), listed.subject(), Outcome::Failed);
                Ok(None)
            }
        }
    }

    pub(super) fn say(&mut self, id: &str, subject: &str, result: Outcome) {
        self.totals.count(result);
        self.report.job(Line { id: id.to_owned(), subject: subject.to_owned(), result });
    }

    pub(super) async fn finish(mut self) -> Result<Totals, String> {
        self.publish_pending().await?;
        Ok(self.totals)
    }
}

fn is_repetition(receipt: &Receipt) -> bool {
    matches!(receipt, Receipt::Stored { duplicate: true, .. })
}
