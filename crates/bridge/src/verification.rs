//! What CI says to a callback: one question a job, answered within the time that a callback has, and remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ci_bridge_ingress::{Claim, Verdict, Verifier};
use ci_bridge_schema::{ApiAnswer, Described, Kind, Limits, parse_answer};
use ci_bridge_tencent::{Bucket, Client, Error, path_of};
use futures_util::future::BoxFuture;
use tokio::time::{sleep, timeout};
use tracing::debug;

/// Asks CI about callbacks.
pub(crate) struct Verification {
    client: Client,
    /// The only ones that are asked: which bucket a callback names is a stranger's word.
    buckets: Vec<Bucket>,
    /// How long all questions about one job may take.
    within: Duration,
    limits: Limits,
    confirmed: Mutex<Confirmed>,
}

/// What was confirmed lately, by claim: callbacks come twice.
#[derive(Default)]
struct Confirmed {
    answers: HashMap<String, (Bytes, String)>,
    /// Oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

/// Bytes of answers that are remembered: some thousand jobs.
const REMEMBERED: usize = 4 * 1024 * 1024;
/// CI's account may be a moment behind its callback.
const SECOND_LOOK: Duration = Duration::from_millis(300);

impl Verification {
    pub(crate) fn new(client: Client, buckets: Vec<Bucket>, within: Duration, limits: Limits) -> Self {
        Self { client, buckets, within, limits, confirmed: Mutex::default() }
    }

    async fn judge(&self, claim: &Claim) -> Verdict {
        let denied = |why: &str| Verdict::Denied(why.to_owned());
        let (Some(id), Some(_)) = (&claim.id, &claim.state) else {
            return denied("it names no job, or no state, that CI could be asked for");
        };
        let buckets: Vec<_> = match &claim.bucket {
            Some(name) => self.buckets.iter().filter(|bucket| bucket.name() == name).collect(),
            None => self.buckets.iter().collect(),
        };
        if buckets.is_empty() {
            return denied(
                "its bucket is not one of reconcile.buckets, which are the only ones that are asked",
            );
        }
        let Some(families) = families(claim) else {
            return denied("it does not say of which moderation it is, so CI cannot be asked for it");
        };
        let mut last = denied("CI knows no such job");
        for bucket in buckets {
            for family in families {
                let path = match path_of(family, id) {
                    Ok(path) => path,
                    Err(error) => return Verdict::Denied(error.to_string()),
                };
                match self.ask(bucket, &path, claim).await {
                    Ok(Looked::Same(answer)) => {
                        return Verdict::Confirmed { answer, bucket: bucket.name().to_owned() };
                    }
                    Ok(Looked::Other(state)) => {
                        last = Verdict::Denied(format!("CI says that its state is {state}"));
                    }
                    Ok(Looked::Nothing) => {}
                    Err(error) => return Verdict::Unknown(error.to_string()),
                }
            }
        }
        last
    }

    /// Looks, and once more if CI has not seen the end yet.
    async fn ask(&self, bucket: &Bucket, path: &str, claim: &Claim) -> Result<Looked, Error> {
        let first = self.look(bucket, path, claim).await?;
        match first {
            Looked::Other(_) => {
                sleep(SECOND_LOOK).await;
                self.look(bucket, path, claim).await
            }
            first => Ok(first),
        }
    }

    async fn look(&self, bucket: &Bucket, path: &str, claim: &Claim) -> Result<Looked, Error> {
        let body = match self.client.body(bucket, path).await {
            Ok(body) => body,
            Err(Error::Refused(refusal))
                if matches!(refusal.status, 400 | 404) && !refusal.is_about_everything() =>
            {
                return Ok(Looked::Nothing);
            }
            Err(error) => return Err(error),
        };
        let unreadable = |error| Error::Unreadable { host: bucket.host(), path: path.to_owned(), error };
        let answer = parse_answer(&body, &self.limits).map_err(unreadable)?;
        let described = described(&answer, claim, bucket);
        let found = described.iter().find(|job| job.event.facts().id.as_deref() == claim.id.as_deref());
        Ok(match found {
            None => Looked::Nothing,
            Some(job) if job.has_ended && job.event.facts().state.as_deref() == claim.state.as_deref() => {
                Looked::Same(body.clone())
            }
            Some(job) => Looked::Other(job.event.facts().state.as_deref().unwrap_or("none").to_owned()),
        })
    }
}

/// What CI says of a job.
enum Looked {
    /// It has ended as the callback says.
    Same(Bytes),
    Other(String),
    Nothing,
}

impl Verifier for Verification {
    fn verify(&self, claim: Claim) -> BoxFuture<'_, Verdict> {
        Box::pin(async move {
            let key = format!("{claim:?}");
            let remembered = || self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((answer, bucket)) = remembered().answers.get(&key).cloned() {
                return Verdict::Confirmed { answer, bucket };
            }
            let verdict = timeout(self.within, self.judge(&claim)).await;
            let verdict = verdict
                .unwrap_or_else(|_| Verdict::Unknown(format!("no answer of CI within {:?}", self.within)));
            tell(&claim, &verdict);
            if let Verdict::Confirmed { answer, bucket } = &verdict {
                remembered().add(key, answer.clone(), bucket.clone());
            }
            verdict
        })
    }
}

fn tell(claim: &Claim, verdict: &Verdict) {
    let (verdict, why) = match verdict {
        Verdict::Confirmed { .. } => ("confirmed", None),
        Verdict::Denied(why) => ("denied", Some(why)),
        Verdict::Unknown(why) => ("unknown", Some(why)),
    };
    debug!(id = claim.id, state = claim.state, verdict, why, "asked CI about a callback");
}

impl Confirmed {
    fn add(&mut self, key: String, answer: Bytes, bucket: String) {
        if answer.len() > REMEMBERED || self.answers.contains_key(&key) {
            return;
        }
        self.bytes += answer.len();
        while self.bytes > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.answers.remove(&oldest).map_or(0, |(answer, _)| answer.len());
        }
        self.order.push_back(key.clone());
        self.answers.insert(key, (answer, bucket));
    }
}

/// Where CI keeps what a callback is about; `None` for a moderation that does not say which it is.
fn families(claim: &Claim) -> Option<&'static [&'static str]> {
    Some(match claim.kind {
        Kind::Workflow => &["/workflowexecution"],
        Kind::Task if claim.tag.as_deref() == Some("DocProcess") => &["/doc_jobs"],
        Kind::Task if claim.tag.as_deref().is_some_and(|tag| tag.starts_with("File")) => {
            &["/jobs", "/file_jobs"]
        }
        Kind::Task => &["/jobs"],
        Kind::Moderation => match claim.event.as_deref()? {
            "ReviewImage" => &["/image/auditing"],
            "ReviewVideo" => &["/video/auditing"],
            "ReviewAudio" => &["/audio/auditing"],
            "ReviewText" => &["/text/auditing"],
            "ReviewDocument" => &["/document/auditing"],
            "ReviewHtml" => &["/webpage/auditing"],
            _ => return None,
        },
    })
}

fn described<'a>(answer: &ApiAnswer<'a>, claim: &Claim, bucket: &Bucket) -> Vec<Described<'a>> {
    match claim.kind {
        Kind::Task => answer.jobs(),
        Kind::Workflow => answer.runs(bucket.name()),
        Kind::Moderation => answer.moderations(claim.event.as_deref().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_in_bytes() {
        let mut confirmed = Confirmed::default();
        let answer = Bytes::from(vec![b'x'; REMEMBERED / 4]);
        for number in 0..10 {
            confirmed.add(number.to_string(), answer.clone(), "b".to_owned());
        }
        assert_eq!((confirmed.answers.len(), confirmed.order.len()), (4, 4));
        assert!(confirmed.answers.contains_key("9") && !confirmed.answers.contains_key("5"));
        confirmed.add("large".to_owned(), vec![0; REMEMBERED + 1].into(), "b".to_owned());
        assert_eq!((confirmed.answers.len(), confirmed.bytes), (4, REMEMBERED));
    }
}
