//! What Tencent documents about single nodes, place by place: which are lists, times and numbers, and which tell what
//! routing and identity need.
//!
//! A name alone does not tell: `Audio` is a list under `MediaInfo.Stream` and one object under `Transcode`,
//! `ObjectName` a list under `OutputFile` and one string under `Md5Info`, and a nested `EndTime` may be seconds.

use crate::text::Text;

/// Where in a published element a node stands, as far as its members' meaning depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A `JobsDetail` of a task.
    Job,
    /// `JobsDetail.Input`.
    Input,
    /// `JobsDetail.Operation`.
    Operation,
    /// `JobsDetail.Operation.Output`.
    Output,
    /// `JobsDetail.Workflow`.
    WorkflowReference,
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

/// A scalar that routing and identity look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    Id,
    State,
    Tag,
    QueueId,
    BucketId,
    Bucket,
    Object,
    Region,
    OutputBucket,
    OutputObject,
    OutputRegion,
    WorkflowId,
    WorkflowName,
    RunId,
    CreationTime,
    StartTime,
    EndTime,
    TaskEndTime,
    Result,
    Suggestion,
    Url,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) shape: Shape,
    /// Where its own members stand.
    pub(crate) place: Place,
    /// What it tells for routing and identity, if it is a scalar.
    pub(crate) fact: Option<Fact>,
}

impl Meaning {
    const fn of(shape: Shape, place: Place) -> Self {
        Self { shape, place, fact: None }
    }

    const fn fact(fact: Fact) -> Self {
        Self { shape: Shape::Plain, place: Place::Elsewhere, fact: Some(fact) }
    }

    const fn time(fact: Option<Fact>) -> Self {
        Self { shape: Shape::Time, place: Place::Elsewhere, fact }
    }
}

fn job(name: &str) -> Option<Meaning> {
    Some(match name {
        "JobId" => Meaning::fact(Fact::Id),
        "State" => Meaning::fact(Fact::State),
        "Tag" => Meaning::fact(Fact::Tag),
        "QueueId" => Meaning::fact(Fact::QueueId),
        "CreationTime" => Meaning::time(Some(Fact::CreationTime)),
        "StartTime" => Meaning::time(Some(Fact::StartTime)),
        "EndTime" => Meaning::time(Some(Fact::EndTime)),
        "JobLevel" => Meaning::of(Shape::Integer, Place::Elsewhere),
        "Input" => Meaning::of(Shape::Plain, Place::Input),
        "Operation" => Meaning::of(Shape::Plain, Place::Operation),
        "Workflow" => Meaning::of(Shape::Plain, Place::WorkflowReference),
        _ => return None,
    })
}

fn input(name: &str) -> Option<Meaning> {
    Some(Meaning::fact(match name {
        "BucketId" => Fact::BucketId,
        "Bucket" => Fact::Bucket,
        "Object" => Fact::Object,
        "Region" => Fact::Region,
        _ => return None,
    }))
}

fn operation(name: &str) -> Option<Meaning> {
    match name {
        "JobLevel" => Some(Meaning::of(Shape::Integer, Place::Elsewhere)),
        "Output" => Some(Meaning::of(Shape::Plain, Place::Output)),
        _ => None,
    }
}

fn output(name: &str) -> Option<Meaning> {
    Some(Meaning::fact(match name {
        "Bucket" => Fact::OutputBucket,
        "Object" => Fact::OutputObject,
        "Region" => Fact::OutputRegion,
        _ => return None,
    }))
}

/// The workflow that a job belongs to.
fn workflow_reference(name: &str) -> Option<Meaning> {
    Some(Meaning::fact(match name {
        "WorkflowId" => Fact::WorkflowId,
        "WorkflowName" => Fact::WorkflowName,
        "RunId" => Fact::RunId,
        _ => return None,
    }))
}

fn workflow(name: &str) -> Option<Meaning> {
    Some(match name {
        "RunId" => Meaning::fact(Fact::Id),
        "State" => Meaning::fact(Fact::State),
        "CreateTime" => Meaning::time(Some(Fact::CreationTime)),
        "StartTime" => Meaning::time(None),
        "EndTime" => Meaning::time(Some(Fact::EndTime)),
        "Tasks" => Meaning::of(Shape::List, Place::WorkflowTask),
        "WorkflowId" => Meaning::fact(Fact::WorkflowId),
        "WorkflowName" => Meaning::fact(Fact::WorkflowName),
        _ => return input(name),
    })
}

fn workflow_task(name: &str) -> Option<Meaning> {
    match name {
        "CreateTime" | "StartTime" => Some(Meaning::time(None)),
        "EndTime" => Some(Meaning::time(Some(Fact::TaskEndTime))),
        _ => None,
    }
}

fn moderation(name: &str) -> Option<Meaning> {
    let fact = match name {
        "JobId" => Fact::Id,
        "State" => Fact::State,
        "BucketId" => Fact::BucketId,
        "Object" => Fact::Object,
        "Region" => Fact::Region,
        "Result" => Fact::Result,
        "Suggestion" => Fact::Suggestion,
        "Url" => Fact::Url,
        "CreationTime" => return Some(Meaning::time(Some(Fact::CreationTime))),
        "StartTime" | "EndTime" => return Some(Meaning::time(None)),
        _ => return None,
    };
    Some(Meaning { place: Place::WithinModeration, ..Meaning::fact(fact) })
}

fn stream(name: &str) -> Option<Meaning> {
    matches!(name, "Audio" | "Video" | "Subtitle").then_some(Meaning::of(Shape::List, Place::Elsewhere))
}

fn output_file(name: &str) -> Option<Meaning> {
    (name == "ObjectName").then_some(Meaning::of(Shape::List, Place::Elsewhere))
}

/// In moderation nothing else is documented to need more than it says itself.
fn within_moderation(name: &str) -> Meaning {
    match name {
        "CosHeaders" => Meaning::of(Shape::List, Place::CosHeaders),
        _ => Meaning::of(Shape::Plain, Place::WithinModeration),
    }
}

/// At any other place of a task or a workflow.
fn elsewhere(name: &str) -> Meaning {
    match name {
        "CosHeaders" => Meaning::of(Shape::List, Place::CosHeaders),
        "Md5Info" => Meaning::of(Shape::List, Place::Elsewhere),
        "OutputFile" | "SpriteOutputFile" => Meaning::of(Shape::Plain, Place::OutputFile),
        "Stream" => Meaning::of(Shape::Plain, Place::Stream),
        _ => Meaning::of(Shape::Plain, Place::Elsewhere),
    }
}

impl Place {
    /// What the member `name` is at this place.
    pub(crate) fn member(self, name: &str) -> Meaning {
        let documented = match self {
            Self::Job => job(name),
            Self::Input => input(name),
            Self::Operation => operation(name),
            Self::Output => output(name),
            Self::WorkflowReference => workflow_reference(name),
            Self::Workflow => workflow(name),
            Self::WorkflowTask => workflow_task(name),
            Self::Moderation => moderation(name),
            Self::Stream => stream(name),
            Self::OutputFile => output_file(name),
            Self::WithinModeration | Self::CosHeaders | Self::Elsewhere => None,
        };
        documented.unwrap_or_else(|| if self.is_typed() { within_moderation(name) } else { elsewhere(name) })
    }

    /// A member's name as the vendor's samples spell it at this place.
    pub(crate) fn canonical_name<'d, 'a>(self, name: &'d Text<'a>) -> &'d Text<'a> {
        static CREATE_TIME: Text<'static> = Text::Plain("CreateTime");
        match self {
            // So in the table of the workflow page; its samples have CreateTime.
            Self::Workflow | Self::WorkflowTask if *name == "Createtime" => &CREATE_TIME,
            _ => name,
        }
    }

    /// Whether the JSON types are the vendor's own. Moderation comes as JSON only; for the others XML, which has
    /// no types, must come out the same: scalars are strings there, and a list of one cannot be told from its
    /// element.
    pub(crate) fn is_typed(self) -> bool {
        matches!(self, Self::Moderation | Self::WithinModeration)
    }
}
