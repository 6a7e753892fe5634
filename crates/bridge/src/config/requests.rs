//! Where requests for jobs are, and which subjects the stream of events has beside them. A stream that has the subject of a
//! request stores it, and answers first, with its acknowledgement.

use std::collections::BTreeSet;

use ci_bridge_publisher::nats::{covers, overlap};
use figment::Figment;

use super::{Config, explain};

/// Where requests are unless somebody says otherwise.
pub(super) const AWAIT_PREFIX: &str = "ci.await";
/// And where they are instead when the subjects that somebody has set take those.
const OTHER_PREFIX: &str = "ci-await";

const SUBJECTS: &str = "jetstream.subjects";
const PREFIX: &str = "jobs.await_prefix";

/// Which of the keys concerned somebody has set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) subjects: bool,
    pub(super) prefix: bool,
}

/// What follows from other keys where nobody has set it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Derived {
    /// In the place of `jetstream.subjects`.
    subjects: Option<Vec<String>>,
    /// In the place of `jobs.await_prefix`.
    prefix: Option<OtherPrefix>,
}

/// Why the usual prefix is not free.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OtherPrefix {
    /// What takes it, as a sentence has it.
    taken: String,
    /// Subjects that would leave it free.
    narrower: Option<Vec<String>>,
}

impl Given {
    pub(super) fn of(figment: &Figment) -> Self {
        let is_set = |key| explain::own_source(figment, key) != explain::DEFAULT;
        Self { subjects: is_set(SUBJECTS), prefix: is_set(PREFIX) }
    }
}

impl Derived {
    /// `patterns` are those of all subjects that can be published to, each with its stream.
    pub(super) fn of(config: &Config, given: Given, patterns: &BTreeSet<(String, String)>) -> Self {
        let requests = requests(config);
        if config.jobs.bucket.is_empty() || taken(config, &requests).is_none() {
            return Self::default();
        }
        let narrower = narrower(config, patterns);
        if let (Some(subjects), false) = (&narrower, given.subjects) {
            let derived = Self { subjects: Some(subjects.clone()), prefix: None };
            if taken(&derived.apply(config), &requests).is_none() {
                return derived;
            }
        }
        if given.prefix {
            // Both are somebody's word: which of them is wrong is not for us to say.
            return Self::default();
        }
        let taken = match (taken(config, &requests), given.subjects) {
            (Some((key, subject)), true) => format!("{key} has {subject:?}"),
            _ => "[subjects] and rules lead to subjects like those of requests".to_owned(),
        };
        let narrower = narrower.filter(|_| given.subjects);
        Self { subjects: None, prefix: Some(OtherPrefix { taken, narrower }) }
    }

    /// The configuration with what follows from it.
    pub(super) fn apply(&self, config: &Config) -> Config {
        let mut config = config.clone();
        if let Some(subjects) = &self.subjects {
            config.jetstream.subjects.clone_from(subjects);
        }
        if self.prefix.is_some() {
            config.jobs.await_prefix = OTHER_PREFIX.to_owned();
        }
        config
    }

    /// The keys with another value than was written, with where it comes from.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, String, &'static str)> {
        let subjects = self
            .subjects
            .as_ref()
            .map(|subjects| (SUBJECTS, list(subjects), "what [subjects] and rules lead to, for [jobs]"));
        let prefix = self
            .prefix
            .as_ref()
            .map(|_| (PREFIX, format!("{OTHER_PREFIX:?}"), "jetstream.subjects take ci.await"));
        subjects.into_iter().chain(prefix)
    }

    /// Why requests are not where everybody expects them, and what to do about it.
    pub(crate) fn other_prefix(&self) -> Option<(String, String)> {
        let OtherPrefix { taken, narrower } = self.prefix.as_ref()?;
        let why = format!("{taken}, so that the stream would answer requests at {AWAIT_PREFIX}");
        let keep = format!("jobs.await_prefix = {OTHER_PREFIX:?}, to keep it so");
        let remedy = match narrower {
            Some(subjects) => format!("set jetstream.subjects = {}, or {keep}", list(subjects)),
            None => format!("change those of {AWAIT_PREFIX}, or set {keep}"),
        };
        Some((why, remedy))
    }
}

/// The subjects of requests.
pub(super) fn requests(config: &Config) -> String {
    format!("{}.*", config.jobs.await_prefix)
}

/// The key whose stream takes requests, and the subject that does.
pub(super) fn taken<'c>(config: &'c Config, requests: &str) -> Option<(&'static str, &'c str)> {
    let streams = [
        (SUBJECTS, &config.jetstream.subjects),
        ("jetstream.quarantine.subjects", &config.jetstream.quarantine.subjects),
    ];
    let mut subjects =
        streams.into_iter().flat_map(|(key, subjects)| subjects.iter().map(move |s| (key, s.as_str())));
    subjects.find(|(_, subject)| overlap(subject, requests))
}

/// Subjects for the stream of events that leave requests free; `None` where there are none.
pub(super) fn narrower(config: &Config, patterns: &BTreeSet<(String, String)>) -> Option<Vec<String>> {
    let events = patterns.iter().filter(|(_, stream)| *stream == config.jetstream.stream);
    beside(&requests(config), events.map(|(pattern, _)| pattern.as_str()))
}

/// Subjects that hold all of `patterns` and nothing of `requests`, in as few wildcards as possible: of each pattern what
/// stands before its first wildcard, and `>`, or the pattern itself where that would be too much.
fn beside<'p>(requests: &str, patterns: impl Iterator<Item = &'p str>) -> Option<Vec<String>> {
    let patterns: Vec<_> = patterns.collect();
    let mut subjects = Vec::new();
    for &pattern in &patterns {
        let choices = [wide(pattern), pattern.to_owned()];
        subjects.push(choices.into_iter().find(|subject| !overlap(subject, requests))?);
    }
    // One that was widened into another, which does not hold it, need not have been.
    for (at, &pattern) in patterns.iter().enumerate() {
        if subjects.iter().any(|other| collide(other, &subjects[at])) {
            pattern.clone_into(&mut subjects[at]);
        }
    }
    subjects.sort();
    subjects.dedup();
    let all = subjects.clone();
    subjects.retain(|subject| !all.iter().any(|other| other != subject && covers(other, subject)));
    let fits = |(at, one): (usize, &String)| !subjects[at + 1..].iter().any(|other| collide(one, other));
    subjects.iter().enumerate().all(fits).then_some(subjects)
}

/// What stands before the first wildcard of a pattern, and anything behind it.
fn wide(pattern: &str) -> String {
    pattern.split_once(".*").map_or_else(|| pattern.to_owned(), |(before, _)| format!("{before}.>"))
}

/// NATS refuses a stream whose own subjects overlap; where one covers the other, it is left out.
fn collide(one: &str, other: &str) -> bool {
    overlap(one, other) && !covers(one, other) && !covers(other, one)
}

fn list(subjects: &[String]) -> String {
    let quoted: Vec<_> = subjects.iter().map(|subject| format!("{subject:?}")).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_has_what_events_lead_to_and_no_request() {
        let rows: &[(&[&str], Option<&[&str]>)] = &[
            (
                &["ci.task.*.*", "ci.workflow.*", "ci.moderation.*.*"],
                Some(&["ci.moderation.>", "ci.task.>", "ci.workflow.>"]),
            ),
            (&["ci.task.*.*", "ci.task.urgent", "ci.alerts"], Some(&["ci.alerts", "ci.task.>"])),
            (&["ci.*.*.*", "ci.task.*.*", "tenant.*"], Some(&["ci.*.*.*", "tenant.>"])),
            // Each takes requests.
            (&["ci.*.*"], None),
            (&["ci.await.*"], None),
            (&["ci.await.now"], None),
            // A stream cannot have both, for they overlap.
            (&["ci.*.*.x", "ci.*.y.*"], None),
        ];
        for (patterns, expected) in rows {
            let expected = expected.map(|subjects| subjects.iter().map(ToString::to_string).collect());
            assert_eq!(beside("ci.await.*", patterns.iter().copied()), expected, "{patterns:?}");
        }
    }

    #[test]
    fn what_nobody_has_set_makes_room_for_what_somebody_has() {
        let patterns = |task: &str| {
            let all = [(task, "CI"), ("ci-quarantine.*", "CI_QUARANTINE")];
            all.into_iter().map(|(pattern, stream)| (pattern.to_owned(), stream.to_owned())).collect()
        };
        let derived = |subjects: Option<&str>, prefix: Option<&str>, task: &str| {
            let mut config = Config::default();
            config.jobs.bucket = "CI_JOBS".to_owned();
            let given = Given { subjects: subjects.is_some(), prefix: prefix.is_some() };
            config.jetstream.subjects =
                subjects.map_or(config.jetstream.subjects, |subject| vec![subject.to_owned()]);
            config.jobs.await_prefix = prefix.map_or(config.jobs.await_prefix, str::to_owned);
            let config = Derived::of(&config, given, &patterns(task)).apply(&config);
            let is_taken = taken(&config, &requests(&config)).is_some();
            (config.jetstream.subjects.join(" "), config.jobs.await_prefix, is_taken)
        };
        let rows = [
            (None, None, "ci.task.*", ("ci.task.>", "ci.await", false)),
            (None, None, "ci.*.*", ("ci.>", "ci-await", false)),
            (None, Some("ci-await"), "ci.task.*", ("ci.>", "ci-await", false)),
            (None, Some("ci.wait"), "ci.task.*", ("ci.task.>", "ci.wait", false)),
            (None, Some("ci.task"), "ci.task.*", ("ci.>", "ci.task", true)),
            (Some("ci.>"), None, "ci.task.*", ("ci.>", "ci-await", false)),
            (Some("ci.task.>"), None, "ci.task.*", ("ci.task.>", "ci.await", false)),
            (Some("ci.>"), Some("ci.await"), "ci.task.*", ("ci.>", "ci.await", true)),
        ];
        for (subjects, prefix, task, (in_effect, requests, is_taken)) in rows {
            let expected = (in_effect.to_owned(), requests.to_owned(), is_taken);
            assert_eq!(derived(subjects, prefix, task), expected, "{subjects:?} {prefix:?} {task}");
        }
    }
}
