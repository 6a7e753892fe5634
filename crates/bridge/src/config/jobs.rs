//! `[jobs]`: what it must be, and what the crates take of it.

use ci_bridge_publisher::nats::{Holds, StreamSpec};
use ci_bridge_publisher::{Await, Delivery, Jobs, key_value};

use super::Config;
use super::problems::Problems;
use super::requests::{requests, taken};

/// The bucket's stream, as every client names it (ADR-8).
fn stream_name(config: &Config) -> Option<String> {
    let bucket = &config.jobs.bucket;
    (!bucket.is_empty()).then(|| key_value::stream(bucket))
}

/// Where the router sends each job's last message.
pub(super) fn destination(config: &Config) -> Option<Jobs> {
    let stream = stream_name(config)?.into();
    Some(Jobs { bucket: config.jobs.bucket.as_str().into(), stream })
}

/// The bucket's stream, like that of events.
pub(super) fn stream(config: &Config, events: &StreamSpec) -> Option<StreamSpec> {
    let jobs = &config.jobs;
    let max_age = jobs.max_age.get();
    Some(StreamSpec {
        name: stream_name(config)?,
        subjects: vec![key_value::subject(&jobs.bucket, ">")],
        max_age,
        duplicate_window: match max_age.is_zero() {
            true => events.duplicate_window,
            false => events.duplicate_window.min(max_age),
        },
        max_bytes: (jobs.max_bytes.bytes() > 0).then_some(jobs.max_bytes.bytes()),
        discard_new: true,
        holds: Holds::Keys,
        ..events.clone()
    })
}

/// Who may wait for jobs. `narrower` are subjects for the stream of events that leave their requests free.
pub(super) fn awaiting(
    config: &Config,
    streams: &[StreamSpec],
    narrower: Option<Vec<String>>,
) -> Option<Await> {
    let (jobs, name) = (&config.jobs, stream_name(config)?);
    let stream = streams.iter().find(|stream| stream.name == name)?.clone();
    Some(Await {
        bucket: jobs.bucket.clone(),
        stream,
        prefix: jobs.await_prefix.clone(),
        events: config.jetstream.stream.clone(),
        narrower: narrower.unwrap_or_default(),
        max_waiting: jobs.max_waiting,
        max_wait: jobs.max_wait.get(),
    })
}

impl Problems {
    pub(super) fn jobs(&mut self, config: &Config) {
        let jobs = &config.jobs;
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if jobs.max_waiting == 0 {
            self.add("jobs.max_waiting", "must be at least 1");
        }
        if jobs.max_wait.get().is_zero() {
            self.add("jobs.max_wait", "must be more than 0");
        }
        if jobs.bucket.is_empty() {
            return;
        }
        if !is_word(&jobs.bucket) {
            self.add("jobs.bucket", "must be letters, digits, '_' and '-', such as \"CI_JOBS\"");
        }
        if config.delivery == Delivery::Core {
            self.add("jobs.bucket", "a bucket is JetStream's: leave it empty with delivery = \"core\"");
        }
        if !jobs.await_prefix.split('.').all(is_word) || jobs.await_prefix.starts_with('_') {
            self.add("jobs.await_prefix", "must be words and dots between, such as \"ci-await\"");
        }
        if let Some((key, subject)) = taken(config, &requests(config)) {
            self.add(
                "jobs.await_prefix",
                format!(
                    "{key} has {subject:?}: the stream would store each request, and answer it with its \
                     acknowledgement; name a prefix outside, such as \"ci-await\", or subjects that leave it free"
                ),
            );
        }
    }
}
