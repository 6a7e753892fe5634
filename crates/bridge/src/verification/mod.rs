//! What CI says to a callback: as few questions as its jobs need, answered within the time that a callback has, and
//! remembered.
//!
//! | file | holds |
//! |---|---|
//! | `case.rs` | a claim, and what is known of it so far |
//! | `resources.rs` | where CI may keep what a claim is about |
//! | `remembered.rs` | what was confirmed lately |

mod case;
mod remembered;
mod resources;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ci_bridge_ingress::{Claim, Verdict, Verifier};
use ci_bridge_schema::{ApiAnswer, Described, Kind, Limits, parse_answer};
use ci_bridge_tencent::{Bucket, Client, Error, Within, path_of, path_of_all};
use futures_util::future::{BoxFuture, join_all};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep};
use tracing::debug;

use case::{Case, Looked};
use remembered::{Key, Remembered};
use resources::Resource;

/// Asks CI about callbacks.
pub(crate) struct Verification {
    client: Arc<Client>,
    /// The only ones that are asked: which bucket a callback names is a stranger's word.
    buckets: Vec<Bucket>,
    /// How long all questions about one callback may take.
    within: Duration,
    limits: Limits,
    remembered: Mutex<Remembered>,
}

/// CI's account may be a moment behind its callback.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// Ids in one question: the vendor's take 33 bytes each, and the longest that are asked for fit into 8 KiB of a path, which
/// servers commonly take.
const MOST_IDS: usize = 50;
/// Reading answers above this, in bytes, takes so long, some 10 ms, that other callbacks should not wait for the thread.
const LONG: usize = 1024 * 1024;

impl Verifier for Verification {
    fn verify(&self, claims: Vec<Claim>) -> BoxFuture<'_, Vec<Verdict>> {
        Box::pin(async move {
            let now = Instant::now();
            // CI has half of the time at least, or its silence says nothing.
            let within = Within { asked_by: now + self.within / 2, answered_by: now + self.within };
            let mut cases: Vec<_> = claims.into_iter().map(|claim| self.open(claim)).collect();
            self.look(&mut cases, within).await;
            if cases.iter().any(Case::is_worth_asking_again)
                && Instant::now() + SECOND_LOOK < within.answered_by
            {
                sleep(SECOND_LOOK).await;
                cases.iter_mut().for_each(Case::ask_again);
                self.look(&mut cases, within).await;
            }
            cases.into_iter().map(|case| self.close(case)).collect()
        })
    }
}

impl Verification {
    pub(crate) fn new(client: Arc<Client>, buckets: Vec<Bucket>, within: Duration, limits: Limits) -> Self {
        Self { client, buckets, within, limits, remembered: Mutex::default() }
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, claim: Claim) -> Case {
        if let Some(account) = self.remembered().get(&Key::of(&claim)) {
            return Case::known(claim, account);
        }
        match resources::of(&claim, &self.buckets) {
            Ok(resources) => Case::at(claim, resources),
            Err(why) => Case::denied(claim, why),
        }
    }

    fn close(&self, case: Case) -> Verdict {
        let (claim, was_known) = (case.claim.clone(), case.was_known());
        let verdict = case.into_verdict();
        if !was_known {
            tell(&claim, &verdict);
        }
        if let Verdict::Confirmed(account) = &verdict {
            self.remembered().add(Key::of(&claim), Arc::clone(account));
        }
        verdict
    }

    /// Looks for each case at its resources, one after another; at each resource for all cases together.
    async fn look(&self, cases: &mut [Case], within: Within) {
        let most = cases.iter().map(|case| case.resources.len()).max().unwrap_or_default();
        for turn in 0..most {
            let questions = questions(cases, turn);
            let shared = &*cases;
            let asked = questions.iter().map(|(resource, numbers)| {
                let claims: Vec<_> = numbers.iter().map(|number| &shared[*number].claim).collect();
                async move { self.ask(*resource, &claims, within).await }
            });
            let answers = join_all(asked).await;
            for ((_, numbers), looked) in questions.iter().zip(answers) {
                numbers.iter().zip(looked).for_each(|(number, looked)| cases[*number].take(looked));
            }
        }
        cases.iter_mut().for_each(Case::rest);
    }

    /// What CI has of each of these at a resource.
    async fn ask(&self, resource: Resource, claims: &[&Claim], within: Within) -> Vec<Looked> {
        if let Some(looked) = self.ask_at_once(resource, claims, within).await {
            return looked;
        }
        // It may not take a list, or not with one of these in it.
        let one_by_one = claims.chunks(1).map(|one| self.ask_at_once(resource, one, within));
        let looked = join_all(one_by_one).await.into_iter();
        looked.flat_map(|looked| looked.unwrap_or_else(|| vec![Looked::Nothing])).collect()
    }

    /// `None` when CI does not take so many at once.
    async fn ask_at_once(
        &self,
        resource: Resource,
        claims: &[&Claim],
        within: Within,
    ) -> Option<Vec<Looked>> {
        let bucket = self.buckets.get(resource.bucket)?;
        let failed = |error: &Error| Some(claims.iter().map(|_| Looked::of_error(error)).collect());
        let ids: Vec<_> = claims.iter().filter_map(|claim| claim.id.as_deref()).collect();
        let path = match ids.as_slice() {
            [id] => path_of(resource.family, id),
            ids => path_of_all(ids),
        };
        let path = match path {
            Ok(path) => path,
            Err(error) => return failed(&error),
        };
        match self.client.body_within(bucket, &path, within).await {
            Ok(body) if body.len() > LONG => {
                let claims: Vec<Claim> = claims.iter().map(|claim| (*claim).clone()).collect();
                let (bucket, limits) = (bucket.clone(), self.limits);
                elsewhere(move || read(&body, &claims.iter().collect::<Vec<_>>(), &bucket, &path, &limits))
                    .await
            }
            Ok(body) => read(&body, claims, bucket, &path, &self.limits),
            Err(Error::Refused(refusal)) if refusal.is_not_found() => {
                return (claims.len() == 1).then(|| vec![Looked::Nothing]);
            }
            Err(error) => Err(error),
        }
        .map_or_else(|error| failed(&error), Some)
    }
}

/// What CI's answer says of each claim.
fn read(
    body: &Bytes,
    claims: &[&Claim],
    bucket: &Bucket,
    path: &str,
    limits: &Limits,
) -> Result<Vec<Looked>, Error> {
    let unreadable = |error| Error::Unreadable { host: bucket.host(), path: path.to_owned(), error };
    let answer = parse_answer(body, limits).map_err(unreadable)?;
    // Claims that are asked for together are of one kind: of jobs.
    let described = claims.first().map(|claim| described(&answer, claim, bucket)).unwrap_or_default();
    let accounts: Vec<_> =
        described.into_iter().map(|job| (job.has_ended, Arc::new(job.event.into_owned()))).collect();
    Ok(claims
        .iter()
        .map(|claim| match accounts.iter().find(|(_, event)| event.routing().id == id_of(claim)) {
            None => Looked::Nothing,
            Some((true, event)) if event.routing().state.as_deref() == claim.state.as_deref() => {
                Looked::Same(Arc::clone(event))
            }
            Some((_, event)) => Looked::Other(event.routing().state.as_deref().unwrap_or("none").to_owned()),
        })
        .collect())
}

/// Does work that takes long on a thread where nobody waits behind it.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => resume_unwind(panic),
        // Only at shutdown, when nobody waits for it any longer.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Which cases are asked for together, by their numbers, and where.
fn questions(cases: &[Case], turn: usize) -> Vec<(Resource, Vec<usize>)> {
    let mut at: BTreeMap<Resource, Vec<usize>> = BTreeMap::new();
    for (number, case) in cases.iter().enumerate().filter(|(_, case)| case.is_open()) {
        if let Some(resource) = case.resources.get(turn) {
            at.entry(*resource).or_default().push(number);
        }
    }
    let chunked = |(resource, numbers): (Resource, Vec<usize>)| {
        let together = if resource.takes_a_list() { MOST_IDS } else { 1 };
        numbers.chunks(together).map(|numbers| (resource, numbers.to_vec())).collect::<Vec<_>>()
    };
    at.into_iter().flat_map(chunked).collect()
}

fn id_of(claim: &Claim) -> Option<std::borrow::Cow<'_, str>> {
    claim.id.as_deref().map(Into::into)
}

fn described<'a>(answer: &ApiAnswer<'a>, claim: &Claim, bucket: &Bucket) -> Vec<Described<'a>> {
    match claim.kind {
        Kind::Task => answer.jobs(),
        Kind::Workflow => answer.runs(bucket.name()),
        Kind::Moderation => answer.moderations(claim.event.as_deref(), bucket.name()),
    }
}

fn tell(claim: &Claim, verdict: &Verdict) {
    let (verdict, why) = match verdict {
        Verdict::Confirmed(_) => ("confirmed", None),
        Verdict::Denied(why) => ("denied", Some(why)),
        Verdict::Unknown(why) => ("unknown", Some(why)),
        Verdict::Unasked(why) => ("unasked", Some(why)),
    };
    debug!(id = claim.id, state = claim.state, verdict, why, "asked CI about a callback");
}
