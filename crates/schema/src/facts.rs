//! Where in each family the facts for routing and identity stand.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::event::{Event, Facts};
use crate::family::Family;
use crate::timestamp;
use crate::tree::{Node, Object};

impl Event<'_> {
    /// What routing and identity need to know.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        match self.family {
            Family::Task => task(&self.element),
            Family::Workflow => workflow(&self.element),
            Family::ModerationDetail | Family::ModerationSimple | Family::Probe => self.moderation(),
        }
    }

    fn moderation(&self) -> Facts<'_> {
        let result = &self.element;
        let is_simple = self.family == Family::ModerationSimple;
        let state = match is_simple {
            // Simple has no State; its code says the same.
            true => Some(if self.failed { "Failed" } else { "Success" }),
            false => result.scalar(&["State"]),
        };
        let url = result.scalar(&["Url"]).and_then(CosUrl::read);
        Facts {
            id: result.scalar(&["JobId"]),
            state,
            event: self.name.as_deref(),
            verdict: verdict(result, state == Some("Failed") || self.failed),
            bucket: result.scalar(&["BucketId"]).or(url.as_ref().map(|url| url.bucket)),
            object: result
                .scalar(&["Object"])
                .map(Cow::Borrowed)
                .or(url.map(|url| percent_decode_str(url.path).decode_utf8_lossy())),
            region: result.scalar(&["Region"]),
            time: first_time(result, &["CreationTime"]),
            ..Facts::default()
        }
    }
}

fn task<'e>(job: &'e Object<'_>) -> Facts<'e> {
    let part = |name: &str| job.get(name).and_then(Node::object);
    let (input, workflow) = (part("Input"), part("Workflow"));
    let of_input = |name: &str| input.and_then(|input| input.scalar(&[name]));
    let of_workflow = |name: &str| workflow.and_then(|workflow| workflow.scalar(&[name]));
    let of_output = |name: &str| job.scalar(&["Operation", "Output", name]);
    Facts {
        id: job.scalar(&["JobId"]),
        state: job.scalar(&["State"]),
        tag: job.scalar(&["Tag"]),
        // Tts has no Input, DocProcess one without a bucket: the output stands in.
        bucket: of_input("BucketId").or_else(|| of_input("Bucket")).or_else(|| of_output("Bucket")),
        object: of_input("Object").or_else(|| of_output("Object")).map(Cow::Borrowed),
        region: of_input("Region").or_else(|| of_output("Region")),
        queue_id: job.scalar(&["QueueId"]),
        workflow_id: of_workflow("WorkflowId"),
        workflow_name: of_workflow("WorkflowName"),
        run_id: of_workflow("RunId"),
        time: first_time(job, &["EndTime", "StartTime", "CreationTime"]),
        ..Facts::default()
    }
}

fn workflow<'e>(run: &'e Object<'_>) -> Facts<'e> {
    Facts {
        id: run.scalar(&["RunId"]),
        state: run.scalar(&["State"]),
        bucket: run.scalar(&["BucketId"]).or_else(|| run.scalar(&["Bucket"])),
        object: run.scalar(&["Object"]).map(Cow::Borrowed),
        region: run.scalar(&["Region"]),
        workflow_id: run.scalar(&["WorkflowId"]),
        workflow_name: run.scalar(&["WorkflowName"]),
        run_id: run.scalar(&["RunId"]),
        time: last_task_end(run).or_else(|| first_time(run, &["EndTime", "CreateTime"])),
        ..Facts::default()
    }
}

fn verdict<'e>(result: &'e Object<'_>, failed: bool) -> Option<&'e str> {
    if failed {
        return Some("failed");
    }
    let number = result.scalar(&["Result"]).or_else(|| result.scalar(&["Suggestion"]))?;
    Some(match number {
        "0" => "normal",
        "1" => "violation",
        "2" => "suspected",
        other => other,
    })
}

fn first_time<'e>(element: &'e Object<'_>, names: &[&str]) -> Option<&'e str> {
    let times = names.iter().filter_map(|name| element.scalar(&[name]));
    times.into_iter().find(|time| timestamp::is_time(time))
}

/// A workflow has no end of its own; it ends with its last task.
fn last_task_end<'e>(run: &'e Object<'_>) -> Option<&'e str> {
    let Some(Node::Array(tasks)) = run.get("Tasks") else {
        return None;
    };
    let ends = tasks.iter().filter_map(|task| task.object()?.scalar(&["EndTime"]));
    ends.filter_map(|end| Some((timestamp::instant(end)?, end)))
        .max_by_key(|(instant, _)| *instant)
        .map(|(_, end)| end)
}

/// Simple moderation names the object by its URL only: `https://<bucket>.cos.<region>.myqcloud.com/<object>`.
struct CosUrl<'e> {
    bucket: &'e str,
    path: &'e str,
}

impl<'e> CosUrl<'e> {
    fn read(url: &'e str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = host.strip_suffix(".myqcloud.com")?.split('.').next()?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        (!bucket.is_empty() && !path.is_empty()).then_some(Self { bucket, path })
    }
}
