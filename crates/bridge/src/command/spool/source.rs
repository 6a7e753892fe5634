//! Where the spool is asked: at the bridge that has it open, or its files.

use std::io;

use ci_bridge_publisher::{Spool, SpoolEntry, SpoolError, SpoolSettings, SpoolStatus};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::admin_api::AdminApi;
use crate::config::Config;

/// Messages that are asked for at a time.
const PAGE: usize = 500;

/// Who knows what waits.
pub(super) enum Source {
    /// A bridge has it open.
    Bridge(AdminApi),
    /// Nobody has.
    Files(Spool),
    /// There is no spool, so nothing waits.
    Nothing,
}

/// Some messages, as the API tells of them, and where those behind begin.
pub(super) struct Page {
    pub(super) messages: Vec<Value>,
    pub(super) next: Option<u64>,
    /// Why those wait that nobody refuses.
    pub(super) why: String,
}

/// Finds out who has the spool, without making one.
pub(super) async fn open(settings: &SpoolSettings, config: &Config) -> io::Result<Source> {
    match Spool::open_existing(settings) {
        Ok(spool) => Ok(Source::Files(spool)),
        Err(SpoolError::Missing(_)) => Ok(Source::Nothing),
        Err(SpoolError::InUse(_)) => running(settings, config).await.map(Source::Bridge),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The bridge that has the spool open, by the configuration's address.
pub(super) async fn running(settings: &SpoolSettings, config: &Config) -> io::Result<AdminApi> {
    let api = AdminApi::of(config)?;
    let status = api.get("spool").await?;
    // Another bridge may listen where this configuration says, and must not lose messages for it.
    let theirs = status.as_ref().and_then(|status| status["dir"].as_str()).unwrap_or("none");
    match settings.dir.canonicalize() {
        Ok(ours) if ours.display().to_string() != theirs => Err(io::Error::other(format!(
            "{} is in use by another ci-bridge than the one at {} (admin.listen), whose spool is {theirs}",
            ours.display(),
            api.address()
        ))),
        _ => Ok(api),
    }
}

impl Source {
    /// `None` when there is no spool.
    pub(super) async fn status(&self) -> io::Result<Option<Value>> {
        match self {
            Self::Bridge(api) => api.get("spool").await,
            Self::Files(spool) => Ok(Some(described(&spool.status()))),
            Self::Nothing => Ok(None),
        }
    }

    pub(super) async fn page(&self, after: Option<u64>, refused: bool, whole: bool) -> io::Result<Page> {
        match self {
            Self::Bridge(api) => {
                let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
                let path = format!("spool/messages?limit={PAGE}&refused={refused}&whole={whole}{after}");
                let mut page = api.get(&path).await?.unwrap_or_default();
                let messages = page["messages"].as_array_mut().map(std::mem::take).unwrap_or_default();
                let why = page["trouble"].as_str().unwrap_or("its turn has not come").to_owned();
                Ok(Page { messages, next: page["next"].as_u64(), why })
            }
            Self::Files(spool) => {
                let found = spool.list(after, PAGE).await;
                let next = found.last().map(|waiting| waiting.place);
                let entries =
                    found.iter().map(|waiting| serde_json::to_value(SpoolEntry::of(waiting, whole)));
                let messages = entries.collect::<Result<_, _>>()?;
                Ok(Page { messages, next, why: "no bridge runs".to_owned() })
            }
            Self::Nothing => Ok(Page { messages: Vec::new(), next: None, why: String::new() }),
        }
    }

    /// `None` when no message has this id.
    pub(super) async fn message(&self, id: &str) -> io::Result<Option<Value>> {
        match self {
            Self::Bridge(api) => api.get(&path_of(id)).await,
            Self::Files(spool) => {
                let found = spool.find(id).await;
                Ok(found.map(|waiting| serde_json::to_value(SpoolEntry::of(&waiting, true))).transpose()?)
            }
            Self::Nothing => Ok(None),
        }
    }

    /// Gives up every message under an id; how many there were.
    pub(super) async fn drop_message(&self, id: &str) -> io::Result<u64> {
        match self {
            Self::Bridge(api) => {
                let dropped = api.delete(&path_of(id)).await?.unwrap_or_default();
                Ok(dropped["dropped"].as_array().map_or(0, Vec::len) as u64)
            }
            Self::Files(spool) => {
                let found = spool.with_id(id).await;
                Ok(spool.give_up(found).await.map_err(io::Error::other)?.len() as u64)
            }
            Self::Nothing => Ok(0),
        }
    }

    /// Gives up everything; how many messages that were.
    pub(super) async fn drop_all(&self) -> io::Result<u64> {
        match self {
            Self::Bridge(api) => {
                let dropped = api.delete("spool/messages?all=true").await?.unwrap_or_default();
                Ok(dropped["dropped"].as_u64().unwrap_or_default())
            }
            Self::Files(spool) => {
                let end = spool.end().await.map_err(io::Error::other)?;
                spool.give_up_before(end, |_| {}).await.map_err(io::Error::other)
            }
            Self::Nothing => Ok(0),
        }
    }

    pub(super) async fn close(self) {
        if let Self::Files(spool) = self {
            spool.close().await;
        }
    }
}

fn described(status: &SpoolStatus) -> Value {
    json!({
        "messages": status.messages,
        "bytes": status.bytes,
        "max_bytes": status.max_bytes,
        "oldest_seconds": status.oldest_age.as_secs(),
    })
}

fn path_of(id: &str) -> String {
    format!("spool/messages/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}
