//! From what was found in a published element to the facts for routing and identity.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::event::Facts;
use crate::timestamp;
use crate::vocabulary::Fact;

/// The scalars that [`Fact`] names, as they are published.
#[derive(Debug, Default)]
pub(crate) struct Found<'a>(Vec<(Fact, Cow<'a, str>)>);

impl<'a> Found<'a> {
    pub(crate) fn push(&mut self, fact: Fact, text: Cow<'a, str>) {
        const TYPICAL_FACTS: usize = 16;
        if self.0.is_empty() {
            self.0.reserve(TYPICAL_FACTS);
        }
        self.0.push((fact, text));
    }

    fn get(&self, fact: Fact) -> Option<&Cow<'a, str>> {
        self.0.iter().find(|(found, _)| *found == fact).map(|(_, text)| text)
    }

    /// The first of these that was found; it is gone then.
    fn take(&mut self, facts: &[Fact]) -> Option<Cow<'a, str>> {
        let place = facts.iter().find_map(|fact| self.0.iter().position(|(found, _)| found == fact))?;
        Some(self.0.swap_remove(place).1)
    }

    /// The end of a workflow's last task, for it has none of its own; else the first of these that is a time.
    fn take_time(&mut self, facts: &[Fact]) -> Option<Cow<'a, str>> {
        let ends = self.0.iter().filter(|(fact, _)| *fact == Fact::TaskEndTime);
        let last = ends
            .filter_map(|(_, end)| Some((timestamp::instant(end)?, end)))
            .max_by_key(|(instant, _)| *instant);
        if let Some((_, end)) = last {
            return Some(end.clone());
        }
        let is_time = |fact: &&Fact| self.get(**fact).is_some_and(|time| timestamp::is_time(time));
        let first = facts.iter().find(is_time)?;
        self.take(&[*first])
    }

    /// Of a job or a workflow instance.
    pub(crate) fn into_facts(mut self) -> Facts<'a> {
        let time = self.take_time(&[Fact::EndTime, Fact::StartTime, Fact::CreationTime]);
        Facts {
            id: self.take(&[Fact::Id]),
            state: self.take(&[Fact::State]),
            tag: self.take(&[Fact::Tag]),
            // Tts has no Input, DocProcess one without a bucket: the output stands in.
            bucket: self.take(&[Fact::BucketId, Fact::Bucket, Fact::OutputBucket]),
            object: self.take(&[Fact::Object, Fact::OutputObject]),
            region: self.take(&[Fact::Region, Fact::OutputRegion]),
            queue_id: self.take(&[Fact::QueueId]),
            workflow_id: self.take(&[Fact::WorkflowId]),
            workflow_name: self.take(&[Fact::WorkflowName]),
            run_id: self.take(&[Fact::RunId]),
            time,
            event: None,
            verdict: None,
        }
    }

    /// Of a moderation result of this event. `state` is given where the result has none of its own.
    pub(crate) fn into_moderation(
        mut self,
        event: Option<Cow<'a, str>>,
        state: Option<&'static str>,
    ) -> Facts<'a> {
        let verdict = self.take(&[Fact::Result, Fact::Suggestion]).map(verdict);
        let url = self.take(&[Fact::Url]);
        let url = url.as_deref().and_then(CosUrl::read);
        let facts = self.into_facts();
        let state = state.map(Cow::Borrowed).or(facts.state);
        Facts {
            verdict: if state.as_deref() == Some("Failed") { Some("failed".into()) } else { verdict },
            state,
            event,
            bucket: facts.bucket.or_else(|| Some(Cow::Owned(url.as_ref()?.bucket.to_owned()))),
            object: facts.object.or_else(|| Some(Cow::Owned(url.as_ref()?.object()))),
            ..facts
        }
    }
}

fn verdict(number: Cow<'_, str>) -> Cow<'_, str> {
    match number.as_ref() {
        "0" => "normal".into(),
        "1" => "violation".into(),
        "2" => "suspected".into(),
        _ => number,
    }
}

/// Simple moderation names the object by its URL only: `https://<bucket>.cos.<region>.myqcloud.com/<object>`.
struct CosUrl<'u> {
    bucket: &'u str,
    path: &'u str,
}

impl<'u> CosUrl<'u> {
    fn read(url: &'u str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = host.strip_suffix(".myqcloud.com")?.split('.').next()?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        (!bucket.is_empty() && !path.is_empty()).then_some(Self { bucket, path })
    }

    fn object(&self) -> String {
        percent_decode_str(self.path).decode_utf8_lossy().into_owned()
    }
}
