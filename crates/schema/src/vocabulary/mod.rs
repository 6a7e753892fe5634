//! What Tencent documents about single nodes, place by place: which are lists, times and numbers, and which tell what
//! routing and identity need.
//!
//! A name alone does not tell: `Audio` is a list under `MediaInfo.Stream` and one object under `Transcode`,
//! `ObjectName` a list under `OutputFile` and one string under `Md5Info`, and a nested `EndTime` may be seconds.
//!
//! | file | holds |
//! |---|---|
//! | `lists.rs` | every documented list, as data |
//! | `shapes.rs` | every other node that is documented to be something, as data |
//! | `places.rs` | both as a graph of places, which finds a member by its name |
//! | `names.rs` | finding a name among those of a place |

mod lists;
mod names;
mod places;
mod shapes;

pub use lists::DOCUMENTED_LISTS;
pub(crate) use places::Place;

/// What a node is, beyond what its encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As it came.
    Plain,
    /// A string, whatever came.
    Text,
    /// A time, respelled as RFC 3339; else a string.
    Time,
    /// An integer, also when it came as text; else a string.
    Integer,
    /// A number, also when it came as text; else as it came.
    Number,
    /// An object, whatever came.
    Object,
}

/// A scalar that routing and identity look for. Behind the texts stand the times: what comes later says more of when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RoutingAttribute {
    Id,
    State,
    Code,
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
    Result,
    Suggestion,
    Url,
    CreationTime,
    StartTime,
    EndTime,
    TaskEndTime,
}

impl RoutingAttribute {
    /// How many texts there are.
    pub(crate) const TEXTS: usize = Self::CreationTime as usize;
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// Whether it is a list, also when it has one entry.
    pub(crate) is_list: bool,
    /// What it is, or what each entry of the list is.
    pub(crate) shape: Shape,
    /// Where its own members stand.
    pub(crate) place: Place,
    /// What it tells for routing and identity, if it is a scalar.
    pub(crate) attribute: Option<RoutingAttribute>,
}

impl Meaning {
    /// As it came, with members at this place.
    pub(crate) const fn plain(place: Place) -> Self {
        Self { is_list: false, shape: Shape::Plain, place, attribute: None }
    }

    /// What each entry of a list is.
    pub(crate) const fn entry(self) -> Self {
        Self { is_list: false, attribute: None, ..self }
    }

    /// Whether the types of the events say what it is.
    pub(crate) fn is_shaped(self) -> bool {
        !matches!(self.shape, Shape::Plain | Shape::Number)
    }
}
