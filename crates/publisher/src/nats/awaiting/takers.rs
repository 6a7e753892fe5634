//! Streams that have the subjects of requests for jobs: each stores a request, and answers it before the bridge can.

use serde::Deserialize;

use super::settings::Await;
use crate::filter::{covers, overlap};
use crate::nats::link::Link;
use crate::nats::stream_spec::StreamSpec;

/// Such a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taker {
    /// Its name.
    pub stream: String,
    /// What to do about it, in words or as a command.
    pub remedy: String,
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    streams: Option<Vec<String>>,
}

impl Taker {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn sentence(&self, prefix: &str) -> String {
        let Self { stream, remedy } = self;
        format!(
            "stream {stream} takes requests at {prefix} and answers them first, with its acknowledgement: {remedy}"
        )
    }
}

/// All of them.
///
/// # Errors
///
/// It cannot be told at the moment.
pub(crate) async fn takers(link: &Link, jobs: &Await) -> Result<Vec<Taker>, String> {
    let filter = serde_json::json!({ "subject": format!("{}.*", jobs.prefix) }).to_string();
    let names: Names = jobs.stream.ask(link, "STREAM.NAMES", filter).await?;
    let mut takers = Vec::new();
    for stream in names.streams.unwrap_or_default() {
        let remedy = match stream == jobs.events {
            true => of_events(link, jobs).await?.map(|taker| taker.remedy),
            false => Some(format!("take the subject from stream {stream}, or set jobs.await_prefix")),
        };
        takers.extend(remedy.map(|remedy| Taker { stream, remedy }));
    }
    Ok(takers)
}

/// The stream of events, if it is one: for whoever may look at no other.
///
/// # Errors
///
/// It cannot be told at the moment.
pub(crate) async fn of_events(link: &Link, jobs: &Await) -> Result<Option<Taker>, String> {
    let spec = StreamSpec { name: jobs.events.clone(), ..jobs.stream.clone() };
    let info = spec.info(link).await.map_err(|trouble| trouble.to_string())?;
    // A stream that is not there takes nothing.
    let Ok(info) = info else { return Ok(None) };
    let requests = format!("{}.*", jobs.prefix);
    let takes = info.config.subjects.iter().any(|subject| overlap(subject, &requests));
    Ok(takes.then(|| Taker {
        stream: jobs.events.clone(),
        remedy: edit(&jobs.events, &info.config.subjects, &jobs.narrower, &requests),
    }))
}

/// The command that leaves the stream every subject but those of requests.
fn edit(stream: &str, subjects: &[String], narrower: &[String], requests: &str) -> String {
    if narrower.is_empty() {
        return "set jobs.await_prefix: the subjects of events are like those of requests".to_owned();
    }
    let is_new = |subject: &&String| {
        !overlap(subject, requests) && !narrower.iter().any(|filter| covers(filter, subject))
    };
    let kept = subjects.iter().filter(is_new);
    let all: Vec<_> = narrower.iter().chain(kept).map(String::as_str).collect();
    format!("nats stream edit {stream} --subjects='{}', or set jobs.await_prefix", all.join(","))
}

#[cfg(test)]
mod tests {
    use super::edit;

    #[test]
    fn the_command_takes_nothing_from_the_stream_but_requests() {
        let texts = |all: &[&str]| all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let narrower = texts(&["ci.task.>", "ci.workflow.>"]);
        let remedy = edit("CI", &texts(&["ci.>", "ci.task.x", "billing.*"]), &narrower, "ci.await.*");
        let expected =
            "nats stream edit CI --subjects='ci.task.>,ci.workflow.>,billing.*', or set jobs.await_prefix";
        assert_eq!(remedy, expected);
        assert!(edit("CI", &texts(&["ci.>"]), &[], "ci.await.*").starts_with("set jobs.await_prefix"));
    }
}
