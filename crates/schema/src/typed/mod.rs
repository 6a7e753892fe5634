//! What a subscriber written in Rust reads from a published message.
//!
//! Each type holds what Tencent documents for every message of its kind, and the rest in `more`, so that nothing
//! is lost to a subscriber when the vendor adds a field.

mod moderation;
mod number;
mod results;
mod task;
mod workflow;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::routing::state_of_code;

pub use moderation::ModerationEvent;
pub use number::Number;
pub use results::{
    DocProcessResult, FlashResult, MediaInfo, MediaResult, MediaStreams, OutputFile, OutputMd5, PageInfo,
    RecognisedSentence, SpeechRecognitionResult, TimedSentence,
};
pub use task::{Operation, TaskEvent, TaskInput, WorkflowReference};
pub use workflow::{ObjectInfo, ResultInfo, WorkflowEvent, WorkflowTask};

/// A header of the object in COS at the time of the upload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct CosHeader {
    /// The header's name, for example `x-cos-meta-id`. One entry of a workflow's task is called `EventName`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The header's value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// An object in COS.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Location {
    /// The bucket with its APPID.
    pub bucket: Option<String>,
    /// The object's key. A literal `${Number}` stands for the numbers of several objects.
    pub object: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

/// Fields without a place of their own in a type, under the vendor's names.
pub type More = serde_json::Map<String, serde_json::Value>;

/// Without a state the code tells, as it does for the subject and the message id.
fn is_success(state: Option<&str>, code: Option<&str>) -> bool {
    state.or_else(|| code.map(state_of_code)) == Some("Success")
}
