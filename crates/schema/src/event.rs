//! What is published of a callback: one event a job, in canonical shape.

use std::borrow::Cow;

use crate::encode;
use crate::family::Family;
use crate::tree::Object;

/// One finished job, workflow instance or moderation result, in canonical shape.
#[derive(Debug)]
pub struct Event<'a> {
    pub(crate) family: Family,
    /// `EventName` of the callback it came in.
    pub(crate) name: Option<Cow<'a, str>>,
    /// It is a Simple moderation whose code is not 0.
    pub(crate) failed: bool,
    pub(crate) element: Object<'a>,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A job, [`TaskEvent`](crate::TaskEvent).
    Task,
    /// A workflow instance, [`WorkflowEvent`](crate::WorkflowEvent).
    Workflow,
    /// A moderation result, [`ModerationEvent`](crate::ModerationEvent).
    Moderation,
}

/// What routing and identity need to know of an event. Read at the documented places only: a job's `Operation`
/// may hold further `Tag`s and `State`s. A missing or empty value is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts<'e> {
    /// `JobId`, a workflow's `RunId`, or a Simple moderation's `trace_id`.
    pub id: Option<&'e str>,
    /// `State`, in Tencent's spelling: `Success`, `Failed`, …
    pub state: Option<&'e str>,
    /// A job's `Tag`: `Transcode`, `NoiseReduction`, …
    pub tag: Option<&'e str>,
    /// A moderation's event: `ReviewImage`, `ReviewText`, …
    pub event: Option<&'e str>,
    /// A moderation's verdict: `normal`, `violation`, `suspected`, `failed`, or the vendor's own number.
    pub verdict: Option<&'e str>,
    /// The bucket, with its APPID: `media-1250000000`.
    pub bucket: Option<&'e str>,
    /// The object's key in the bucket.
    pub object: Option<Cow<'e, str>>,
    /// `ap-chongqing`, …
    pub region: Option<&'e str>,
    /// `QueueId`.
    pub queue_id: Option<&'e str>,
    /// `WorkflowId` of a workflow, or of the workflow that a job belongs to.
    pub workflow_id: Option<&'e str>,
    /// `WorkflowName`, likewise.
    pub workflow_name: Option<&'e str>,
    /// `RunId`, likewise.
    pub run_id: Option<&'e str>,
    /// When it ended, else when it began, RFC 3339.
    pub time: Option<&'e str>,
}

impl<'a> Event<'a> {
    /// What the event is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.family {
            Family::Task => Kind::Task,
            Family::Workflow => Kind::Workflow,
            Family::ModerationDetail | Family::ModerationSimple | Family::Probe => Kind::Moderation,
        }
    }

    /// The event as it is published: canonical JSON under Tencent's own names.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        const TYPICAL_BYTES: usize = 1024;
        encode::encode(&self.element, TYPICAL_BYTES)
    }
}

impl Kind {
    /// `task`, `workflow` or `moderation`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Workflow => "workflow",
            Self::Moderation => "moderation",
        }
    }
}
