//! Where requests for jobs are, and what keeps them from being answered.

use ci_bridge_publisher::nats::Taker;

use super::finding::{Finding, Verdict};
use crate::config::Settings;

/// What the configuration says of them, with `[jobs]`.
pub(super) fn check(settings: &Settings) -> Option<Finding> {
    let prefix = &settings.publisher.jobs.as_ref()?.prefix;
    Some(match (settings.derived.other_prefix(), &settings.publisher.micro) {
        (_, None) => {
            Finding::new(Verdict::Note, "jobs: this bridge answers no requests for jobs: nats.micro is off")
        }
        (Some((why, remedy)), _) => {
            Finding::new(Verdict::Note, format!("jobs: requests are at {prefix}.<JobId>: {why}; {remedy}"))
        }
        (None, _) => Finding::new(Verdict::Ok, format!("jobs: requests are at {prefix}.<JobId>")),
    })
}

/// What NATS says: `takers` are streams that would answer in the bridge's place.
pub(super) fn of_takers(settings: &Settings, takers: &Result<Vec<Taker>, String>) -> Vec<Finding> {
    let Some(jobs) = &settings.publisher.jobs else { return Vec::new() };
    let note = |text: String| Finding::new(Verdict::Note, format!("jobs: {text}"));
    match takers {
        Ok(takers) => takers.iter().map(|taker| note(taker.sentence(&jobs.prefix))).collect(),
        Err(why) => vec![note(format!("whether a stream takes requests is not known: {why}"))],
    }
}
