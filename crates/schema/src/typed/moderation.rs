//! One moderation result, in the names of the Detail form whichever form came.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{CosHeader, More, Number};
use crate::routing::{state_of_code, verdict};

/// The data of a `com.tencent.ci.moderation.v1` message, on `ci.moderation.{event}.{verdict}`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct ModerationEvent {
    /// Identifies the moderation: `JobId`, or `trace_id` of the Simple form.
    pub job_id: Option<String>,
    /// `ReviewImage`, …; in the body for the Simple form only, in the subject for both.
    pub event_name: Option<String>,
    /// `Success`, `Failed` or `Auditing`; the Simple form has none.
    pub state: Option<String>,
    /// 0 normal, 1 violation, 2 suspected.
    pub result: Option<Number>,
    /// The same, where the vendor's page calls it Suggestion (documents, web pages); `normal` or `block` in virus
    /// detection.
    pub suggestion: Option<Number>,
    /// The worst label found: `Normal`, `Porn`, `Ads`, …
    pub label: Option<String>,
    /// 1 when the object was frozen.
    pub forbid_state: Option<Number>,
    /// RFC 3339, when the vendor's spelling was a time.
    pub creation_time: Option<String>,
    /// The bucket with its APPID.
    pub bucket_id: Option<String>,
    /// The object's key.
    pub object: Option<String>,
    /// Where the content was read.
    pub url: Option<String>,
    /// What the submitter attached.
    pub data_id: Option<String>,
    /// The object's headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cos_headers: Vec<CosHeader>,
    /// The pictures of a video that were looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshot: Vec<More>,
    /// The parts of a video's sound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audio_section: Vec<More>,
    /// The parts of a text or a sound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub section: Vec<More>,
    /// Everything else the vendor sent: `PornInfo`, `AdsInfo`, `Code` of one that failed, …
    #[serde(flatten)]
    pub more: More,
}

impl ModerationEvent {
    /// `normal`, `violation`, `suspected` or `failed`, as by default in the subject; what Tencent may add, as it came.
    #[must_use]
    pub fn verdict(&self) -> Option<Cow<'_, str>> {
        let code = self.more.get("Code").and_then(serde_json::Value::as_str).map(state_of_code);
        if self.state.as_deref().or(code) == Some("Failed") {
            return Some("failed".into());
        }
        let number = match self.result.as_ref().or(self.suggestion.as_ref())? {
            Number::Integer(number) => Cow::Owned(number.to_string()),
            Number::Text(text) => Cow::Borrowed(text.as_str()),
        };
        Some(verdict(number))
    }

    /// Whether the content was found to be in order.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        let is_normal = match self.result.as_ref().or(self.suggestion.as_ref()) {
            Some(Number::Integer(result)) => *result == 0,
            Some(Number::Text(result)) => result == "normal",
            None => false,
        };
        let code = self.more.get("Code").map(|code| if code == "Success" { "Success" } else { "Failed" });
        is_normal && self.state.as_deref().or(code).is_none_or(|state| state == "Success")
    }
}
