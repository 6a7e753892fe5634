//! From what was found in a published element to the facts for routing and identity.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::event::Facts;
use crate::timestamp;
use crate::vocabulary::Fact;

/// What [`Fact`] names, as it is published.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// Each in its fact's place: a place in a callback tells of one thing, and is written once.
    texts: [Option<Cow<'a, str>>; Fact::TEXTS],
    /// What of the times says most of when it ended.
    time_of: Option<Fact>,
    time: String,
}

impl Default for Found<'_> {
    fn default() -> Self {
        Self { texts: [const { None }; Fact::TEXTS], time_of: None, time: String::new() }
    }
}

impl<'a> Found<'a> {
    #[inline]
    pub(crate) fn push(&mut self, fact: Fact, text: Cow<'a, str>) {
        if let Some(place) = self.texts.get_mut(fact as usize) {
            *place = Some(text);
        }
    }

    /// A time in RFC 3339. A workflow has no end of its own: that of its last task stands for it.
    pub(crate) fn push_time(&mut self, fact: Fact, time: &str) {
        let says_more = match self.time_of {
            Some(Fact::TaskEndTime) if fact == Fact::TaskEndTime => {
                timestamp::instant(&self.time) <= timestamp::instant(time)
            }
            known => known < Some(fact),
        };
        if says_more {
            self.time_of = Some(fact);
            self.time.clear();
            self.time.push_str(time);
        }
    }

    fn get(&self, fact: Fact) -> Option<&Cow<'a, str>> {
        self.texts[fact as usize].as_ref()
    }

    /// The first of these that was found; it is gone then.
    fn take(&mut self, facts: &[Fact]) -> Option<Cow<'a, str>> {
        facts.iter().find_map(|fact| self.texts[*fact as usize].take())
    }

    /// WordsGeneralize has no State; its Code says whether it succeeded, as the typed events read it.
    fn state(&mut self) -> Option<Cow<'a, str>> {
        self.take(&[Fact::State]).or_else(|| Some(state_of_code(self.get(Fact::Code)?).into()))
    }

    /// Of a job or a workflow instance.
    pub(crate) fn into_facts(mut self) -> Facts<'a> {
        Facts {
            id: self.take(&[Fact::Id]),
            state: self.state(),
            tag: self.take(&[Fact::Tag]),
            // Tts has no Input, DocProcess one without a bucket: the output stands in.
            bucket: self.take(&[Fact::BucketId, Fact::Bucket, Fact::OutputBucket]),
            object: self.take(&[Fact::Object, Fact::OutputObject]),
            region: self.take(&[Fact::Region, Fact::OutputRegion]),
            queue_id: self.take(&[Fact::QueueId]),
            workflow_id: self.take(&[Fact::WorkflowId]),
            workflow_name: self.take(&[Fact::WorkflowName]),
            run_id: self.take(&[Fact::RunId]),
            time: self.time_of.map(|_| Cow::Owned(self.time)),
            time_is_end: self.time_of >= Some(Fact::EndTime),
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

/// The state of what has a code and no state.
pub(crate) fn state_of_code(code: &str) -> &'static str {
    if code == SUCCESS { SUCCESS } else { "Failed" }
}

/// Both the state and the code of what succeeded.
const SUCCESS: &str = "Success";

/// The word for a documented number, or for virus detection's word.
pub(crate) fn verdict(number: Cow<'_, str>) -> Cow<'_, str> {
    match number.as_ref() {
        "0" => "normal".into(),
        // A virus was found; without one the word is `normal`.
        "1" | "block" => "violation".into(),
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
