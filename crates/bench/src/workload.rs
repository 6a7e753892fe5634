//! The bodies that are posted: the shapes Tencent sends, made long where a question needs it. Each holds marks where a
//! number of the request goes, so that no two callbacks are the same and JetStream drops none as a repetition.

use std::fmt;
use std::str::FromStr;

/// In the place of the first 16 digits of each job's id.
pub const ID_MARK: &str = "################";
/// In the place of a tag's number.
pub(crate) const SUBJECT_MARK: &str = "@@@@@@";

/// What nats-server takes unless it is told otherwise, in bytes.
const MAX_PAYLOAD: usize = 1024 * 1024;

const XML: &str = include_str!("../../bridge/samples/noise-reduction.xml");
const JSON: &str = include_str!("../../bridge/samples/noise-reduction.json");
/// Of the id in both samples, what a mark replaces.
const SAMPLE_ID: &str = "5d0e8a6c15d411f1";

/// What is posted, as it can be typed: `xml`, `json`, `jobs:64`, `moderation:200000`, `subjects:1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// A finished noise reduction of some 1 KB, as XML.
    Xml,
    /// The same as JSON.
    Json,
    /// That many of them in one callback, as XML.
    Jobs(usize),
    /// A video's moderation of at least that many bytes, as JSON.
    Moderation(usize),
    /// As [`Workload::Xml`], the tag taking that many values in turn.
    Subjects(u32),
}

impl Workload {
    /// Messages that one callback becomes.
    #[must_use]
    pub fn messages(self) -> usize {
        if let Self::Jobs(count) = self { count } else { 1 }
    }

    /// Length of the body.
    #[must_use]
    pub fn body_bytes(self) -> usize {
        self.body().len()
    }

    /// Whether the body is more than one message holds.
    #[must_use]
    pub fn is_large(self) -> bool {
        self.body_bytes() >= MAX_PAYLOAD
    }

    /// The body with its marks.
    #[must_use]
    pub fn body(self) -> String {
        let marked = |sample: &str| sample.replacen(SAMPLE_ID, ID_MARK, 1);
        match self {
            Self::Xml => marked(XML),
            Self::Json => marked(JSON),
            Self::Jobs(count) => jobs(&marked(XML), count),
            Self::Moderation(bytes) => moderation(bytes),
            Self::Subjects(_) => {
                marked(XML).replacen("<Tag>NoiseReduction", &format!("<Tag>T{SUBJECT_MARK}"), 1)
            }
        }
    }
}

/// Repeats the one job of a callback.
fn jobs(callback: &str, count: usize) -> String {
    let start = callback.find("<JobsDetail>").unwrap_or(0);
    let end = callback.find("</Response>").unwrap_or(callback.len());
    let (before, job, after) = (&callback[..start], &callback[start..end], &callback[end..]);
    format!("{before}{}{after}", job.repeat(count))
}

/// A callback of video moderation in its Detail form: it grows by a snapshot for every few seconds of the video.
fn moderation(bytes: usize) -> String {
    let mut body = format!(
        r#"{{"EventName":"ReviewVideo","JobsDetail":{{"Code":"Success","Message":"Success","JobId":"av{ID_MARK}","State":"Success","CreationTime":"2026-03-02T09:14:05+08:00","Object":"live/room-5.flv","BucketId":"studio-1300000001","Region":"ap-shanghai","Result":1,"Label":"Ads","CosHeaders":{{"x-cos-meta-user":"4711"}},"Snapshot":["#
    );
    for second in 0.. {
        let snapshot = format!(
            r#"{{"Url":"https://studio-1300000001.cos.ap-shanghai.myqcloud.com/review/snapshot-{second:05}.jpg","SnapshotTime":{time},"Text":"第{second}帧","Label":"Normal","Result":0,"PornInfo":{{"HitFlag":0,"Score":4,"Label":"","SubLabel":""}},"AdsInfo":{{"HitFlag":1,"Score":96,"Label":"QrCode","SubLabel":"","OcrResults":[{{"Text":"scan me","Keywords":["scan"]}}]}}}}"#,
            time = second * 5000
        );
        body.push_str(&snapshot);
        if body.len() >= bytes {
            break;
        }
        body.push(',');
    }
    body.push_str("]}}");
    body
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xml => f.write_str("xml"),
            Self::Json => f.write_str("json"),
            Self::Jobs(count) => write!(f, "jobs:{count}"),
            Self::Moderation(bytes) => write!(f, "moderation:{bytes}"),
            Self::Subjects(count) => write!(f, "subjects:{count}"),
        }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, number) = text.split_once(':').unwrap_or((text, ""));
        let unknown = || format!("no workload '{text}': xml, json, jobs:N, moderation:BYTES or subjects:N");
        match (name, number.parse::<u32>()) {
            ("xml", Err(_)) if number.is_empty() => Ok(Self::Xml),
            ("json", Err(_)) if number.is_empty() => Ok(Self::Json),
            ("jobs", Ok(count)) => Ok(Self::Jobs(count as usize)),
            ("moderation", Ok(bytes)) => Ok(Self::Moderation(bytes as usize)),
            ("subjects", Ok(count)) => Ok(Self::Subjects(count)),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_can_be_typed() {
        for text in ["xml", "json", "jobs:64", "moderation:200000", "subjects:9"] {
            let workload: Workload = text.parse().expect(text);
            assert_eq!(workload.to_string(), text);
        }
        assert!("xml:3".parse::<Workload>().is_err() && "jobs".parse::<Workload>().is_err());
    }

    #[test]
    fn a_moderation_is_json_of_the_size_that_was_asked_for() {
        let body = Workload::Moderation(200_000).body();
        assert!((200_000..201_000).contains(&body.len()), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(&body).expect("JSON");
    }
}
