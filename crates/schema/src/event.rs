//! What is published of a callback: one event a job, in canonical shape.

use std::borrow::Cow;

use bytes::Bytes;

use crate::timestamp;

/// One finished job, workflow instance or moderation result, in canonical shape.
#[derive(Debug)]
pub struct Event<'a> {
    pub(crate) kind: Kind,
    pub(crate) routing: RoutingAttributes<'a>,
    pub(crate) data: Bytes,
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
pub struct RoutingAttributes<'a> {
    /// `JobId`, a workflow's `RunId`, or a Simple moderation's `trace_id`.
    pub id: Option<Cow<'a, str>>,
    /// `State`, in Tencent's spelling: `Success`, `Failed`, …
    pub state: Option<Cow<'a, str>>,
    /// A job's `Tag`: `Transcode`, `NoiseReduction`, …
    pub tag: Option<Cow<'a, str>>,
    /// A moderation's event: `ReviewImage`, `ReviewText`, …
    pub event: Option<Cow<'a, str>>,
    /// A moderation's verdict: `normal`, `violation`, `suspected`, `failed`, or the vendor's own number.
    pub verdict: Option<Cow<'a, str>>,
    /// The bucket, with its APPID: `media-1250000000`.
    pub bucket: Option<Cow<'a, str>>,
    /// The object's key in the bucket.
    pub object: Option<Cow<'a, str>>,
    /// `ap-chongqing`, …
    pub region: Option<Cow<'a, str>>,
    /// `QueueId`.
    pub queue_id: Option<Cow<'a, str>>,
    /// `WorkflowId` of a workflow, or of the workflow that a job belongs to.
    pub workflow_id: Option<Cow<'a, str>>,
    /// `WorkflowName`, likewise.
    pub workflow_name: Option<Cow<'a, str>>,
    /// `RunId`, likewise.
    pub run_id: Option<Cow<'a, str>>,
    /// When it ended, else when it began, RFC 3339.
    pub time: Option<Cow<'a, str>>,
    /// Whether `time` is when it ended.
    pub time_is_end: bool,
}

impl RoutingAttributes<'_> {
    fn into_owned(self) -> RoutingAttributes<'static> {
        let owned = |value: Option<Cow<'_, str>>| value.map(|text| Cow::Owned(text.into_owned()));
        RoutingAttributes {
            id: owned(self.id),
            state: owned(self.state),
            tag: owned(self.tag),
            event: owned(self.event),
            verdict: owned(self.verdict),
            bucket: owned(self.bucket),
            object: owned(self.object),
            region: owned(self.region),
            queue_id: owned(self.queue_id),
            workflow_id: owned(self.workflow_id),
            workflow_name: owned(self.workflow_name),
            run_id: owned(self.run_id),
            time: owned(self.time),
            time_is_end: self.time_is_end,
        }
    }

    /// When it ended, in seconds since 1970; `None` where the vendor does not say.
    #[must_use]
    pub fn ended_at(&self) -> Option<i64> {
        if self.time_is_end { self.began_or_ended_at() } else { None }
    }

    /// When it ended, else when it began, in seconds since 1970.
    #[must_use]
    pub fn began_or_ended_at(&self) -> Option<i64> {
        timestamp::instant(self.time.as_deref()?).map(time::OffsetDateTime::unix_timestamp)
    }
}

impl<'a> Event<'a> {
    /// The event without what it was read from.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event { kind: self.kind, routing: self.routing.into_owned(), data: self.data }
    }

    /// What the event is about.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What routing and identity need to know.
    #[must_use]
    pub fn routing(&self) -> &RoutingAttributes<'a> {
        &self.routing
    }

    /// The event as it is published: canonical JSON under Tencent's own names.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
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
