//! `ci-bridge check --tencent`: do the credentials work, and is anybody told to call this bridge.

use std::io;
use std::time::{Duration, SystemTime};

use ci_bridge_ingress::Endpoint;
use ci_bridge_schema::Queue;
use ci_bridge_tencent::{Bucket, Client, Error, JobQuery, QUEUE_FAMILIES};
use hyper::Uri;

use super::finding::{Finding, Verdict};
use crate::config::Settings;

/// What was found, each once.
#[derive(Default)]
struct Findings(Vec<Finding>);

/// Enough for a look: whether there is an answer.
const LOOK_BACK: Duration = Duration::from_secs(60);

/// What CI says of each bucket, and whether it is as it should be.
pub(super) fn check(settings: &Settings) -> io::Result<Vec<Finding>> {
    let client = Client::new(settings.tencent.clone(), settings.limits.parse).map_err(io::Error::other)?;
    let mut findings = Findings::default();
    if settings.reconcile.buckets.is_empty() {
        findings.fail(
            "tencent: which bucket? name it in reconcile.buckets, as in \"media-1250000000@ap-beijing\"",
        );
    }
    crate::command::runtime()?.block_on(async {
        for bucket in &settings.reconcile.buckets {
            if findings.permissions(&client, bucket).await {
                findings.queues(&client, bucket, &settings.endpoints).await;
            }
        }
    });
    Ok(findings.0)
}

impl Findings {
    fn fine(&mut self, text: &str) {
        self.add(Verdict::Ok, text);
    }

    fn note(&mut self, text: &str) {
        self.add(Verdict::Note, text);
    }

    fn fail(&mut self, text: &str) {
        self.add(Verdict::Failed, text);
    }

    fn add(&mut self, verdict: Verdict, text: &str) {
        let finding = Finding::new(verdict, text);
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// Whether the lists that reconcile reads are answered; `false` when nothing of the bucket is.
    async fn permissions(&mut self, client: &Client, bucket: &Bucket) -> bool {
        let now = SystemTime::now();
        let query = JobQuery { from: now - LOOK_BACK, to: now };
        let (mut jobs, mut documents) =
            (client.jobs(bucket, "Transcode", query), client.jobs(bucket, "DocProcess", query));
        let mut runs = client.runs(bucket, query);
        let mut answered = true;
        for (what, pages) in
            [("jobs", &mut jobs), ("document jobs", &mut documents), ("workflow runs", &mut runs)]
        {
            match pages.next(|_| ()).await {
                Ok(_) => self.fine(&format!("tencent {bucket}: {what} can be listed")),
                Err(error) if is_of_another_service(&error) => {
                    self.note(&format!("tencent {bucket}: {what} cannot be listed: {error}"));
                }
                Err(error) => {
                    self.fail(&format!("tencent {bucket}: {error}"));
                    if !matches!(&error, Error::Refused(refusal) if !refusal.is_about_everything()) {
                        answered = false;
                        break;
                    }
                }
            }
        }
        answered
    }

    /// Whom the queues of a bucket call.
    async fn queues(&mut self, client: &Client, bucket: &Bucket, endpoints: &[Endpoint]) {
        let (mut called, mut known) = (0, 0);
        for family in QUEUE_FAMILIES {
            let queues = match client.queues(bucket, family).await {
                Ok(queues) => queues,
                Err(error) if is_of_another_service(&error) => continue,
                Err(error) => {
                    self.fail(&format!("tencent {bucket}: {error}"));
                    continue;
                }
            };
            for queue in &queues {
                known += 1;
                called += usize::from(self.queue(bucket, queue, endpoints));
            }
        }
        if known > 0 && called == 0 {
            self.note(&format!(
                "tencent {bucket}: no queue calls this bridge; jobs and workflows may name it themselves (CallBack)"
            ));
        }
    }

    /// Whether a queue calls one of these endpoints, and is let in.
    fn queue(&mut self, bucket: &Bucket, queue: &Queue, endpoints: &[Endpoint]) -> bool {
        let Queue { id, name, category, state, .. } = queue;
        let paused = if state == "Paused" { ", which is paused" } else { "" };
        let whose = format!("tencent {bucket}: queue {id} ({category} {name}){paused}");
        if !queue.notifies || queue.url.is_empty() {
            self.note(&format!(
                "{whose} calls nobody: set NotifyConfig State On, Type Url, Event TaskFinish,WorkflowFinish and the bridge's Url"
            ));
            return false;
        }
        let Some(url) =
            queue.url.parse::<Uri>().ok().filter(|url| matches!(url.scheme_str(), Some("http" | "https")))
        else {
            self.fail(&format!("{whose} is told to call something that is no URL: correct it"));
            return false;
        };
        // The path may hold a token: where it leads is all that is said.
        let host = url.host().unwrap_or_default();
        let mut leading =
            endpoints.iter().filter_map(|endpoint| Some((endpoint, endpoint.admits_url(&url)?)));
        match leading.by_ref().max_by_key(|(endpoint, _)| endpoint.path.len()) {
            None => {
                self.note(&format!("{whose} calls {host}, at the path of no endpoint: another receiver, or a proxy changes it"));
                false
            }
            Some((endpoint, false)) => {
                self.fail(&format!(
                    "{whose} calls endpoint {} at {host} with a token that it does not accept: put one of its tokens into the \
                     queue's callback URL",
                    endpoint.name
                ));
                false
            }
            Some((endpoint, true)) if !endpoint.takes_bucket(bucket.name()) => {
                self.fail(&format!(
                    "{whose} calls endpoint {} at {host}, which does not take this bucket: add it to allow_buckets",
                    endpoint.name
                ));
                false
            }
            Some((endpoint, true)) => {
                let format = if queue.format.is_empty() { "XML" } else { queue.format.as_str() };
                let text =
                    format!("{whose} calls endpoint {} at {host}: {format}, {}", endpoint.name, queue.events);
                match ["TaskFinish", "WorkflowFinish"].into_iter().find(|event| !queue.events.contains(event))
                {
                    None => self.fine(&text),
                    Some(event) => self.note(&format!("{text}; not {event}: add it to Event, if it should")),
                }
                true
            }
        }
    }
}

/// A service that the bucket does not use is no trouble.
fn is_of_another_service(error: &Error) -> bool {
    matches!(error, Error::Refused(refusal) if !refusal.is_denied() && !refusal.is_about_everything())
}
