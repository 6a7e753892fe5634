//! One finished job: the `JobsDetail` of a task callback.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{
    CosHeader, DocProcessResult, Location, MediaInfo, MediaResult, More, Number, SpeechRecognitionResult,
    is_success,
};

/// The data of a `com.tencent.ci.task.v1` message, on `ci.task.{tag}.{state}`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskEvent {
    /// Identifies the job.
    pub job_id: Option<String>,
    /// What was done: `Transcode`, `NoiseReduction`, `Snapshot`, …
    pub tag: Option<String>,
    /// `Success`, `Failed` or `Cancel`. WordsGeneralize has none: see [`TaskEvent::is_success`].
    pub state: Option<String>,
    /// `Success`, or an error code when the state is `Failed`.
    pub code: Option<String>,
    /// What went wrong; on success absent, or some spelling of "success".
    pub message: Option<String>,
    /// RFC 3339, when the vendor's spelling was a time.
    pub creation_time: Option<String>,
    /// RFC 3339, when the vendor's spelling was a time; `-` for a job that never started.
    pub start_time: Option<String>,
    /// RFC 3339, when the vendor's spelling was a time.
    pub end_time: Option<String>,
    /// The queue that ran the job.
    pub queue_id: Option<String>,
    /// The object that was processed; absent for jobs without one (Tts).
    pub input: Option<TaskInput>,
    /// What the job was to do, and its results.
    pub operation: Option<Operation>,
    /// The workflow that the job belongs to, if any.
    pub workflow: Option<WorkflowReference>,
    /// Everything else the vendor sent.
    #[serde(flatten)]
    pub more: More,
}

/// The object that a job processed.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskInput {
    /// The bucket with its APPID.
    pub bucket_id: Option<String>,
    /// The object's key.
    pub object: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// The object's headers, for a job that a workflow started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cos_headers: Vec<CosHeader>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

/// What a job was to do, and its results. Most of it depends on the tag and is found in `more`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct Operation {
    /// Where the result was written.
    pub output: Option<Location>,
    /// What the submitter attached to the job.
    pub user_data: Option<String>,
    /// The job's priority, 0 to 2: a number, whether or not the vendor sent it as one.
    pub job_level: Option<Number>,
    /// The template's id.
    pub template_id: Option<String>,
    /// The template's name.
    pub template_name: Option<String>,
    /// The templates of watermarks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watermark_template_id: Vec<String>,
    /// What is known of the file that was processed.
    pub media_info: Option<MediaInfo>,
    /// What a media job wrote.
    pub media_result: Option<MediaResult>,
    /// What became of a document.
    pub doc_process_result: Option<DocProcessResult>,
    /// What was said.
    pub speech_recognition_result: Option<SpeechRecognitionResult>,
    /// Everything else the vendor sent here: `…Result`, `Watermark`, …
    #[serde(flatten)]
    pub more: More,
}

/// The workflow that a job belongs to.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct WorkflowReference {
    /// The run: `RunId` of the workflow's own message.
    pub run_id: Option<String>,
    /// Identifies the workflow.
    pub workflow_id: Option<String>,
    /// The workflow's name.
    pub workflow_name: Option<String>,
    /// The name of the job's node in the workflow.
    pub name: Option<String>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

impl TaskEvent {
    /// Whether the job did what it was asked: by its state, or by its code where it has no state. Nested states are not
    /// the job's.
    #[must_use]
    pub fn is_success(&self) -> bool {
        is_success(self.state.as_deref(), self.code.as_deref())
    }

    /// The key of the object that was processed.
    #[must_use]
    pub fn input_object(&self) -> Option<&str> {
        self.input.as_ref()?.object.as_deref()
    }

    /// The keys of the objects that a media job wrote.
    #[must_use]
    pub fn output_objects(&self) -> &[String] {
        let result = self.operation.as_ref().and_then(|operation| operation.media_result.as_ref());
        let file = result.and_then(|result| result.output_file.as_ref());
        file.map(|file| file.object_name.as_slice()).unwrap_or_default()
    }

    /// The key of the object that was written.
    #[must_use]
    pub fn output_object(&self) -> Option<&str> {
        self.operation.as_ref()?.output.as_ref()?.object.as_deref()
    }

    /// What the submitter attached to the job.
    #[must_use]
    pub fn user_data(&self) -> Option<&str> {
        self.operation.as_ref()?.user_data.as_deref()
    }
}
