//! What Tencent documents about single nodes, place by place: which are lists, times and numbers.
//!
//! A name alone does not tell: `Audio` is a list under `MediaInfo.Stream` and one object under `Transcode`,
//! `ObjectName` a list under `OutputFile` and one string under `Md5Info`, and a nested `EndTime` may be seconds.

/// Where in a published element a node stands, as far as its members' meaning depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A `JobsDetail` of a task.
    Job,
    /// `JobsDetail.Operation`.
    Operation,
    /// A `WorkflowExecution`.
    Workflow,
    /// One of `WorkflowExecution.Tasks`.
    WorkflowTask,
    /// A moderation result.
    Moderation,
    /// Anything within a moderation result.
    WithinModeration,
    /// `MediaInfo.Stream`.
    Stream,
    /// `MediaResult.OutputFile` and its `SpriteOutputFile`.
    OutputFile,
    /// `CosHeaders`.
    CosHeaders,
    /// Anywhere else in a task or a workflow.
    Elsewhere,
}

/// What a node is, beyond what its encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As it came.
    Plain,
    /// A list, also when it has one element.
    List,
    /// A time, respelled as RFC 3339.
    Time,
    /// An integer, also when it came as text.
    Integer,
}

impl Place {
    /// The shape of the member `name` at this place, and the place that it is.
    pub(crate) fn member(self, name: &str) -> (Shape, Self) {
        match (self, name) {
            (_, "CosHeaders") => (Shape::List, Self::CosHeaders),
            (Self::Job | Self::Moderation, "CreationTime" | "StartTime" | "EndTime")
            | (Self::Workflow | Self::WorkflowTask, "CreateTime" | "StartTime" | "EndTime") => {
                (Shape::Time, Self::Elsewhere)
            }
            (Self::Moderation | Self::WithinModeration, _) => (Shape::Plain, Self::WithinModeration),
            (Self::Workflow, "Tasks") => (Shape::List, Self::WorkflowTask),
            (Self::Job, "Operation") => (Shape::Plain, Self::Operation),
            (Self::Job | Self::Operation, "JobLevel") => (Shape::Integer, Self::Elsewhere),
            (_, "Md5Info") => (Shape::List, Self::Elsewhere),
            (_, "OutputFile" | "SpriteOutputFile") => (Shape::Plain, Self::OutputFile),
            (Self::OutputFile, "ObjectName") => (Shape::List, Self::Elsewhere),
            (_, "Stream") => (Shape::Plain, Self::Stream),
            (Self::Stream, "Audio" | "Video" | "Subtitle") => (Shape::List, Self::Elsewhere),
            _ => (Shape::Plain, Self::Elsewhere),
        }
    }

    /// The vendor's other spelling of a member's name at this place.
    pub(crate) fn spelling(self, name: &str) -> Option<&'static str> {
        match (self, name) {
            // So in the table of the workflow page; its samples have CreateTime.
            (Self::Workflow | Self::WorkflowTask, "Createtime") => Some("CreateTime"),
            _ => None,
        }
    }

    /// Whether the JSON types are the vendor's own. Moderation comes as JSON only; for the others XML, which has
    /// no types, must come out the same: scalars are strings there, and a list of one cannot be told from its
    /// element.
    pub(crate) fn is_typed(self) -> bool {
        matches!(self, Self::Moderation | Self::WithinModeration)
    }
}
