//! What stands in an object store under a name, and whether it is still the object that it says it is.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ObjectStore;
use crate::nats::link::Link;
use crate::nats::stream_config::StreamConfig;

/// An object is taken for a new one during the first twentieth of its life, eight hours of seven days: longer than ids
/// are remembered, and what then refers to it outlives it by no more than that.
const YOUNG: u32 = 20;
/// No message was found.
const NOT_FOUND: u64 = 10037;

/// What the store holds of an object under its name, as every client reads it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ObjectInfo {
    pub(super) name: String,
    pub(super) bucket: String,
    pub(super) nuid: String,
    pub(super) size: usize,
    pub(super) chunks: u64,
    #[serde(default)]
    pub(super) mtime: String,
    #[serde(default)]
    pub(super) digest: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
    #[serde(default)]
    pub(super) options: Option<ObjectOptions>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ObjectOptions {
    #[serde(default)]
    pub(super) max_chunk_size: usize,
}

/// The last word under a name.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Its sequence; 0 when there is none.
    pub(super) sequence: u64,
    /// When it was written, by the server's clock.
    written: Option<OffsetDateTime>,
    pub(super) info: Option<ObjectInfo>,
}

impl ObjectStore {
    /// What stands under a name; `None` when that cannot be found out.
    pub(super) async fn standing(&self, link: &Link, name: &str) -> Option<Standing> {
        #[derive(Deserialize)]
        struct Found {
            message: Raw,
        }
        #[derive(Deserialize)]
        struct Raw {
            seq: u64,
            time: String,
            #[serde(default)]
            data: String,
        }
        let request = serde_json::json!({ "last_by_subj": self.info_subject(name) }).to_string();
        let api = format!("STREAM.MSG.GET.{}", self.stream);
        match self.spec.ask_api::<Found>(link, &api, request).await.ok()? {
            Ok(Found { message }) => {
                let info = STANDARD.decode(message.data).ok();
                Some(Standing {
                    sequence: message.seq,
                    written: OffsetDateTime::parse(&message.time, &Rfc3339).ok(),
                    info: info.and_then(|info| serde_json::from_slice(&info).ok()),
                })
            }
            Err(error) => (error.err_code == NOT_FOUND).then(Standing::default),
        }
    }

    /// Whether an object is there whole, and for about as long as a new one would be. Who replaces objects, purges the
    /// stream or lets it drop the oldest leaves names without chunks.
    pub(super) async fn holds(&self, link: &Link, standing: &Standing, digest: &str) -> bool {
        #[derive(Deserialize)]
        struct Looked {
            config: StreamConfig,
            state: Counted,
        }
        #[derive(Deserialize)]
        struct Counted {
            #[serde(default)]
            subjects: Option<HashMap<String, u64>>,
        }
        let Standing { written: Some(written), info: Some(info), .. } = standing else { return false };
        if info.deleted || info.digest != digest {
            return false;
        }
        let chunks = self.chunk_subject(&info.nuid);
        let request = serde_json::json!({ "subjects_filter": chunks }).to_string();
        let looked = self.spec.ask::<Looked>(link, &format!("STREAM.INFO.{}", self.stream), request).await;
        let Ok(Looked { config, state }) = looked else { return false };
        let kept = state.subjects.and_then(|subjects| subjects.get(&chunks).copied());
        // An empty object has no chunk.
        kept.unwrap_or(0) == info.chunks && is_young(OffsetDateTime::now_utc() - *written, config.max_age)
    }
}

/// Whether so little of its life has gone by that it is as good as new; `max_age` of zero is for ever. A server's clock
/// that is ahead makes nothing old.
fn is_young(age: time::Duration, max_age: Duration) -> bool {
    let age = Duration::try_from(age).unwrap_or(Duration::ZERO);
    max_age.is_zero() || age <= max_age / YOUNG
}

#[cfg(test)]
mod tests {
    use super::is_young;
    use std::time::Duration;

    #[test]
    fn an_object_is_young_for_a_small_part_of_its_life() {
        let hour = 3600;
        let week = Duration::from_secs(7 * 24 * hour);
        let age = |hours: i64| time::Duration::hours(hours);
        let rows = [
            (age(0), week, true),
            (age(-3), week, true),
            (age(2), week, true),
            (age(8), week, true),
            (age(9), week, false),
            (age(7 * 24), week, false),
            (age(1), Duration::from_secs(10 * hour), false),
            (age(100_000), Duration::ZERO, true),
        ];
        for (age, max_age, young) in rows {
            assert_eq!(is_young(age, max_age), young, "{age} of {max_age:?}");
        }
    }
}
