//! What the most frequent jobs report, as far as all of them report it: the lists that are always lists.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::More;

/// What a media job wrote.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct MediaResult {
    /// The objects.
    pub output_file: Option<OutputFile>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

/// The objects that a media job wrote.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct OutputFile {
    /// The bucket with its APPID.
    pub bucket: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// Their keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub object_name: Vec<String>,
    /// Where they can be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub object_url: Vec<String>,
    /// Their checksums.
    #[serde(rename = "Md5Info", skip_serializing_if = "Vec::is_empty")]
    pub md5_info: Vec<OutputMd5>,
    /// Everything else the vendor sent here: `SpriteOutputFile`, …
    #[serde(flatten)]
    pub more: More,
}

/// The checksum of an object that was written.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct OutputMd5 {
    /// The object's key.
    pub object_name: Option<String>,
    /// MD5 in hexadecimal.
    #[serde(rename = "Md5")]
    pub md5: Option<String>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

/// What is known of the file that was processed.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct MediaInfo {
    /// Its streams.
    pub stream: Option<MediaStreams>,
    /// Everything else the vendor sent here: `Format`, …
    #[serde(flatten)]
    pub more: More,
}

/// The streams of a file, each with the fields that Tencent documents for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct MediaStreams {
    /// The streams of sound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audio: Vec<More>,
    /// The streams of pictures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub video: Vec<More>,
    /// The streams of subtitles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subtitle: Vec<More>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

/// What became of a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct DocProcessResult {
    /// The pages that were written, in the vendor's order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub page_info: Vec<PageInfo>,
    /// Everything else the vendor sent here: `TotalPageCount`, …
    #[serde(flatten)]
    pub more: More,
}

/// A page that was written.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct PageInfo {
    /// Its number in the document.
    pub page_no: Option<String>,
    /// The key of the object.
    pub tgt_uri: Option<String>,
    /// Everything else the vendor sent here.
    #[serde(flatten)]
    pub more: More,
}

/// What was said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct SpeechRecognitionResult {
    /// The text, one entry a file or channel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub result: Vec<String>,
    /// The sentences, where the job asked for details.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub result_detail: Vec<RecognisedSentence>,
    /// The channels of a flash recognition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flash_result: Vec<FlashResult>,
    /// Everything else the vendor sent here: `AudioTime`, …
    #[serde(flatten)]
    pub more: More,
}

/// A sentence, with its words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase", default)]
pub struct RecognisedSentence {
    /// The words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<More>,
    /// Everything else the vendor sent here: `FinalSentence`, `StartMs`, `EndMs`, …
    #[serde(flatten)]
    pub more: More,
}

/// A channel of a flash recognition, whose names the vendor writes in lower case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct FlashResult {
    /// The sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sentence_list: Vec<TimedSentence>,
    /// Everything else the vendor sent here: `channel_id`, `text`, …
    #[serde(flatten)]
    pub more: More,
}

/// A sentence of a flash recognition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TimedSentence {
    /// The words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub word_list: Vec<More>,
    /// Everything else the vendor sent here: `text`, `start_time`, `end_time`, …
    #[serde(flatten)]
    pub more: More,
}
