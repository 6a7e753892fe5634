//! Single messages of a stream: read back, and deleted. With the right to `STREAM.MSG.GET` and `STREAM.MSG.DELETE` alone.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use super::link::Link;
use super::stream_spec::StreamSpec;
use super::streams::{StreamTrouble, ask};

/// A message that a stream keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its place in the stream.
    pub sequence: u64,
    /// What it was published to.
    pub subject: String,
    /// When the stream took it.
    pub time: SystemTime,
    /// Names and values in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Why a message cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The stream has no such message, or no longer.
    #[error("{0}")]
    Gone(String),
    /// NATS cannot be asked now: try again.
    #[error("{0}")]
    Away(String),
    /// NATS did not answer in time, and may never.
    #[error("{0}")]
    Unanswered(String),
    /// NATS says no.
    #[error("{0}")]
    Refused(String),
}

/// Which message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    Sequence(u64),
    /// The last one of a subject.
    LastOf(&'a str),
}

/// How long the server may take to send a message, which can be as large as it takes any.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);

const NO_MESSAGE: u64 = 10037;
const STREAM_NOT_FOUND: u64 = 10059;

#[derive(Deserialize)]
struct Got {
    message: Wire,
}

#[derive(Deserialize)]
struct Wire {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

#[derive(Deserialize)]
struct Deleted {
    success: bool,
}

#[derive(Deserialize)]
struct Purged {
    purged: u64,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    state: Range,
}

/// What a stream's sequences are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Range {
    /// Messages.
    pub messages: u64,
    /// The first sequence that may be there.
    pub first_seq: u64,
    /// The last one that was.
    pub last_seq: u64,
}

impl StreamSpec {
    /// One message.
    pub(crate) async fn get(&self, link: &Link, which: Which<'_>) -> Result<StoredMessage, LookupError> {
        let request = match which {
            Which::Sequence(sequence) => json!({ "seq": sequence }),
            Which::LastOf(subject) => json!({ "last_by_subj": subject }),
        };
        let got: Got = self.question(link, "MSG.GET", request).await?;
        read(got.message)
            .ok_or_else(|| LookupError::Refused("an answer of JetStream that is not understood".to_owned()))
    }

    /// Deletes one message for good.
    pub(crate) async fn delete_message(&self, link: &Link, sequence: u64) -> Result<(), LookupError> {
        let deleted: Deleted = self.question(link, "MSG.DELETE", json!({ "seq": sequence })).await?;
        match deleted.success {
            true => Ok(()),
            false => Err(LookupError::Refused(format!("stream {} does not delete it", self.name))),
        }
    }

    /// Deletes every message up to this one for good.
    pub(crate) async fn delete_through(&self, link: &Link, sequence: u64) -> Result<u64, LookupError> {
        let request = json!({ "seq": sequence.saturating_add(1) });
        let Purged { purged } = self.question(link, "PURGE", request).await?;
        Ok(purged)
    }

    /// Which messages there can be.
    pub(crate) async fn range(&self, link: &Link) -> Result<Range, LookupError> {
        let info: Info = self.question(link, "INFO", json!({})).await?;
        Ok(info.state)
    }

    async fn question<T: serde::de::DeserializeOwned>(
        &self,
        link: &Link,
        verb: &str,
        request: serde_json::Value,
    ) -> Result<T, LookupError> {
        let subject = format!("{}.STREAM.{verb}.{}", self.api_prefix, self.name);
        if !link.is_connected() {
            return Err(LookupError::Away("not connected to NATS".to_owned()));
        }
        let asking = ask(link, subject.clone(), request.to_string().into());
        let answer = timeout(MESSAGE_TIMEOUT, asking).await.map_err(|_| {
            LookupError::Unanswered(format!(
                "NATS has not answered {subject} within {} s: it is frozen, or the user may not publish there",
                MESSAGE_TIMEOUT.as_secs()
            ))
        })?;
        let answer = answer.map_err(|trouble| match trouble {
            StreamTrouble::Unknown(why) | StreamTrouble::Missing(why) => {
                LookupError::Away(format!("{why} ({subject})"))
            }
        })?;
        answer.map_err(|error| match error.err_code {
            NO_MESSAGE => {
                LookupError::Gone(format!("stream {} has no such message, or no longer", self.name))
            }
            STREAM_NOT_FOUND => LookupError::Gone(format!("there is no stream {}", self.name)),
            code => LookupError::Refused(format!("stream {}: {} ({code})", self.name, error.description)),
        })
    }
}

impl StoredMessage {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

fn read(wire: Wire) -> Option<StoredMessage> {
    let time = OffsetDateTime::parse(&wire.time, &Rfc3339).ok()?;
    let headers = STANDARD.decode(wire.hdrs).ok()?;
    Some(StoredMessage {
        sequence: wire.seq,
        subject: wire.subject,
        time: time.into(),
        headers: fields(&String::from_utf8_lossy(&headers)),
        body: STANDARD.decode(wire.data).ok()?.into(),
    })
}

/// The fields behind `NATS/1.0`.
fn fields(block: &str) -> Vec<(String, String)> {
    let fields = block.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_the_server_writes_it() {
        let wire = |hdrs: &str, data: &str, time: &str| Wire {
            subject: "ci.a".to_owned(),
            seq: 7,
            hdrs: STANDARD.encode(hdrs),
            data: STANDARD.encode(data),
            time: time.to_owned(),
        };
        let block = "NATS/1.0\r\nNats-Msg-Id: task:j1:Success\r\nce-subject:a%20b\r\nEmpty:\r\n\r\n";
        let message = read(wire(block, "{}", "2026-11-26T14:44:43.123456789Z")).unwrap();
        assert_eq!((message.sequence, &*message.body), (7, &b"{}"[..]));
        assert_eq!(message.header("Nats-Msg-Id"), Some("task:j1:Success"));
        assert_eq!(message.header("ce-subject"), Some("a%20b"));
        assert_eq!(message.header("Empty"), Some(""));
        assert_eq!(message.header("nats-msg-id"), None);
        assert_eq!(read(wire("", "", "2026-11-26T14:44:43Z")).unwrap().headers, []);
        assert_eq!(read(wire("", "", "yesterday")), None);
        let broken = Wire { data: "*".to_owned(), ..wire("", "", "2026-11-26T14:44:43Z") };
        assert_eq!(read(broken), None);
    }
}
