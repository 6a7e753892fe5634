//! Makes an account: what CI says has ended, held against what the bus has.
//!
//! Streams are read before CI is asked, and brought up to date before anything is published: a callback that comes while
//! CI is asked is found in its stream, and one that comes later is taken for a repetition by JetStream, under the same id.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use ci_bridge_tencent::{Bucket, JobQuery, Lookup};

use super::account::Account;
use super::candidate::Candidate;
use super::known::KnownIds;
use super::outcome::{Outcome, Report, Totals};
use super::running::{Form, Running};

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
        let mut known = KnownIds::since(since, self.publisher, self.streams, self.spooled).await;
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
                Ok(Lookup::Found(Some(candidate))) => return Ok((bucket.clone(), candidate)),
                Ok(Lookup::Found(None)) => has_run = true,
                Ok(Lookup::Unknown) => {}
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
}

fn listed(buckets: &[Bucket]) -> String {
    buckets.iter().map(Bucket::to_string).collect::<Vec<_>>().join(", ")
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
