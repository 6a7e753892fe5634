//! One finished workflow instance: the `WorkflowExecution` of a workflow callback.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{CosHeader, More, is_success};

/// The data of a `com.tencent.ci.workflow.v1` message, on `ci.workflow.{state}`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct WorkflowEvent {
    /// Identifies the run.
    pub run_id: Option<String>,
    /// Identifies the workflow.
    pub workflow_id: Option<String>,
    /// The workflow's name.
    pub workflow_name: Option<String>,
    /// `Success`, or `Failed` when any of its tasks failed.
    pub state: Option<String>,
    /// RFC 3339, when the vendor's spelling was a time.
    pub create_time: Option<String>,
    /// The bucket with its APPID.
    pub bucket_id: Option<String>,
    /// The key of the object whose upload started the run.
    pub object: Option<String>,
    /// That object's headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cos_headers: Vec<CosHeader>,
    /// The run's jobs, in the vendor's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<WorkflowTask>,
    /// Everything else the vendor sent.
    #[serde(flatten)]
    pub more: More,
}

/// One job of a workflow run.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct WorkflowTask {
    /// What was done: the job's `Tag`.
    #[serde(rename = "Type")]
    pub task_type: Option<String>,
    /// Identifies the job; absent for one that was never submitted.
    pub job_id: Option<String>,
    /// `Success`, `Failed`, …
    pub state: Option<String>,
    /// RFC 3339, when the vendor's spelling was a time.
    pub create_time: Option<String>,
    /// RFC 3339, when the vendor's spelling was a time.
    pub start_time: Option<String>,
    /// RFC 3339, when the vendor's spelling was a time.
    pub end_time: Option<String>,
    /// The name of the node in the workflow.
    pub name: Option<String>,
    /// The template's id.
    pub template_id: Option<String>,
    /// The template's name.
    pub template_name: Option<String>,
    /// What it wrote.
    pub result_info: Option<ResultInfo>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

/// What a job of a workflow run wrote.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ResultInfo {
    /// The objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub object_info: Vec<ObjectInfo>,
    /// The sprites, where the job made some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sprite_object_info: Vec<ObjectInfo>,
    /// Everything else the vendor sent here: `ObjectCount`, …
    #[serde(flatten)]
    pub more: More,
}

/// An object that a job of a workflow run wrote.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ObjectInfo {
    /// Its key.
    pub object_name: Option<String>,
    /// Where it can be read.
    pub object_url: Option<String>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

impl WorkflowEvent {
    /// Whether every task did what it was asked.
    #[must_use]
    pub fn is_success(&self) -> bool {
        is_success(self.state.as_deref(), None)
    }

    /// The tasks that failed.
    pub fn failed_tasks(&self) -> impl Iterator<Item = &WorkflowTask> {
        self.tasks.iter().filter(|task| task.state.as_deref() == Some("Failed"))
    }
}
