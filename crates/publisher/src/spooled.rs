//! A message of the spool, as it is read back from disk.

use std::time::SystemTime;

use crate::message::Message;

/// A message in the spool.
#[derive(Debug, Clone)]
pub(crate) struct Spooled {
    /// Its place; later messages have higher ones.
    pub(crate) place: u64,
    /// Bytes that it takes of `max_bytes`.
    pub(crate) bytes: u64,
    /// When it came.
    pub(crate) since: Option<SystemTime>,
    pub(crate) message: Message,
}
