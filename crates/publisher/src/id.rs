//! Message ids: a pure function of what happened, so that JetStream recognises every repetition.

use std::fmt;

use ci_bridge_schema::{Event, Kind};
use sha2::{Digest, Sha256};

use crate::percent::SafeBytes;
use crate::subject::Subject;

/// The longest job id, state or name of an endpoint that stands in a message id itself, in bytes; a longer one is its hash.
const MAX_VALUE_BYTES: usize = 256;

/// How an id of quarantine begins.
const QUARANTINE: &str = "quarantine:";

/// What `Nats-Msg-Id` holds, and `ce-id` when it is decoded: printable ASCII without blanks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

impl MessageId {
    /// The header that holds it.
    pub const HEADER: &'static str = "Nats-Msg-Id";

    /// `task:<JobId>:<State>`, `workflow:<RunId>:<State>` or `moderation:<JobId>:<State>:<hash of the data>`. Where
    /// the vendor sent no id, the hash of the data stands for it.
    #[must_use]
    pub fn of_event(event: &Event<'_>) -> Self {
        let (kind, routing, data) = (event.kind(), event.routing(), event.data());
        let mut id = String::with_capacity(64);
        id.push_str(kind.as_str());
        id.push(':');
        match &routing.id {
            Some(value) => push_value(&mut id, value),
            None => id.push_str(&content_hash(data)),
        }
        id.push(':');
        push_value(&mut id, routing.state.as_deref().unwrap_or("_"));
        // The same content may be reviewed again under the same id, with another result.
        if kind == Kind::Moderation {
            id.push(':');
            id.push_str(&content_hash(data));
        }
        Self(id)
    }

    /// `quarantine:<hash of the raw body>`
    #[must_use]
    pub fn of_quarantine(body: &[u8]) -> Self {
        Self(format!("{QUARANTINE}{}", content_hash(body)))
    }

    /// The id of a copy: JetStream deduplicates per stream, not per subject.
    #[must_use]
    pub fn copy_to(&self, subject: &Subject) -> Self {
        Self(format!("{}@{subject}", self.0))
    }

    /// The id at an endpoint whose messages can go elsewhere than another's: for the same reason.
    #[must_use]
    pub(crate) fn at_endpoint(mut self, name: &str) -> Self {
        self.0.push(':');
        push_value(&mut self.0, name);
        self
    }

    /// The id of what is kept of a message that was refused.
    pub(crate) fn in_quarantine(&self) -> Self {
        Self(format!("{QUARANTINE}{}", self.0))
    }

    /// The id of a message that was refused, by the id under which quarantine keeps it.
    #[must_use]
    pub fn before_quarantine(kept: &str) -> Option<&str> {
        kept.strip_prefix(QUARANTINE)
    }

    /// The id of a message that only finds out whether a stream takes it.
    pub(crate) fn of_check(now: std::time::SystemTime) -> Self {
        let since = now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(format!("check:{}", since.as_nanos()))
    }

    /// An id that was one before it was spooled.
    pub(crate) fn from_spool(text: String) -> Option<Self> {
        text.bytes().all(|b| b.is_ascii_graphic()).then_some(Self(text))
    }

    /// The id as it stands in the headers.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value between the colons of an id: what could end it, or could not stand in a header, is percent-encoded.
fn push_value(id: &mut String, value: &str) {
    match value.len() > MAX_VALUE_BYTES {
        true => id.push_str(&content_hash(value.as_bytes())),
        false => SafeBytes::ID.push(value, id),
    }
}

/// 128 bits of SHA-256, in hexadecimal: as unlikely to repeat as a UUID, and half as long as the whole.
pub(crate) fn content_hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes)[..16])
}

/// 128 bits of SHA-256 over an id: where many ids are kept only to be found again.
pub(crate) fn hash_of_id(id: &str) -> u128 {
    let digest: [u8; 32] = Sha256::digest(id).into();
    digest.iter().take(16).fold(0, |hash, byte| hash << 8 | u128::from(*byte))
}

/// 64 bits of SHA-256, in hexadecimal: tells values apart that begin alike.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes)[..8])
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    halves.map(|half| char::from(DIGITS[usize::from(half)])).collect()
}
