//! From what was found in a published element to the attributes for routing and identity.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::event::RoutingAttributes;
use crate::timestamp;
use crate::vocabulary::RoutingAttribute;

/// What [`RoutingAttribute`] names, as it is published.
#[derive(Debug)]
pub(crate) struct RoutingTexts<'a> {
    /// Each in its attribute's place: a place in a callback tells of one thing, and is written once.
    texts: [Option<Cow<'a, str>>; RoutingAttribute::TEXTS],
    /// What of the times says most of when it ended.
    time_of: Option<RoutingAttribute>,
    time: String,
}

impl Default for RoutingTexts<'_> {
    fn default() -> Self {
        Self { texts: [const { None }; RoutingAttribute::TEXTS], time_of: None, time: String::new() }
    }
}

impl<'a> RoutingTexts<'a> {
    #[inline]
    pub(crate) fn push(&mut self, attribute: RoutingAttribute, text: Cow<'a, str>) {
        if let Some(place) = self.texts.get_mut(attribute as usize) {
            *place = Some(text);
        }
    }

    /// A time in RFC 3339. A workflow has no end of its own: that of its last task stands for it.
    pub(crate) fn push_time(&mut self, attribute: RoutingAttribute, time: &str) {
        let says_more = match self.time_of {
            Some(RoutingAttribute::TaskEndTime) if attribute == RoutingAttribute::TaskEndTime => {
                timestamp::instant(&self.time) <= timestamp::instant(time)
            }
            known => known < Some(attribute),
        };
        if says_more {
            self.time_of = Some(attribute);
            self.time.clear();
            self.time.push_str(time);
        }
    }

    fn get(&self, attribute: RoutingAttribute) -> Option<&Cow<'a, str>> {
        self.texts[attribute as usize].as_ref()
    }

    /// The first of these that was found; it is gone then.
    fn take(&mut self, attributes: &[RoutingAttribute]) -> Option<Cow<'a, str>> {
        attributes.iter().find_map(|attribute| self.texts[*attribute as usize].take())
    }

    /// WordsGeneralize has no State; its Code says whether it succeeded, as the typed events read it.
    fn state(&mut self) -> Option<Cow<'a, str>> {
        self.take(&[RoutingAttribute::State])
            .or_else(|| Some(state_of_code(self.get(RoutingAttribute::Code)?).into()))
    }

    /// Of a job or a workflow instance.
    pub(crate) fn into_attributes(mut self) -> RoutingAttributes<'a> {
        RoutingAttributes {
            id: self.take(&[RoutingAttribute::Id]),
            state: self.state(),
            tag: self.take(&[RoutingAttribute::Tag]),
            // Tts has no Input, DocProcess one without a bucket: the output stands in.
            bucket: self.take(&[
                RoutingAttribute::BucketId,
                RoutingAttribute::Bucket,
                RoutingAttribute::OutputBucket,
            ]),
            object: self.take(&[RoutingAttribute::Object, RoutingAttribute::OutputObject]),
            region: self.take(&[RoutingAttribute::Region, RoutingAttribute::OutputRegion]),
            queue_id: self.take(&[RoutingAttribute::QueueId]),
            workflow_id: self.take(&[RoutingAttribute::WorkflowId]),
            workflow_name: self.take(&[RoutingAttribute::WorkflowName]),
            run_id: self.take(&[RoutingAttribute::RunId]),
            time: self.time_of.map(|_| Cow::Owned(self.time)),
            time_is_end: self.time_of >= Some(RoutingAttribute::EndTime),
            event: None,
            verdict: None,
        }
    }

    /// Of a moderation result of this event. `state` is given where the result has none of its own.
    pub(crate) fn into_moderation(
        mut self,
        event: Option<Cow<'a, str>>,
        state: Option<&'static str>,
    ) -> RoutingAttributes<'a> {
        let verdict = self.take(&[RoutingAttribute::Result, RoutingAttribute::Suggestion]).map(verdict);
        let url = self.take(&[RoutingAttribute::Url]);
        let url = url.as_deref().and_then(CosUrl::read);
        let routing = self.into_attributes();
        let state = state.map(Cow::Borrowed).or(routing.state);
        RoutingAttributes {
            verdict: if state.as_deref() == Some("Failed") { Some("failed".into()) } else { verdict },
            state,
            event,
            bucket: routing.bucket.or_else(|| Some(Cow::Owned(url.as_ref()?.bucket.to_owned()))),
            object: routing.object.or_else(|| Some(Cow::Owned(url.as_ref()?.object()))),
            ..routing
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
