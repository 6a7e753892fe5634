//! The stream of quarantine, as the command asks for it.

use std::io;
use std::ops::RangeInclusive;

use ci_bridge_publisher::nats::{LookupError, Range, StoredMessage};
use ci_bridge_publisher::{Message, Quarantine, Receipt};

use super::entry::Entry;
use crate::config::Settings;

/// The stream of quarantine as it was when the command began, and the connection to it.
pub(super) struct Store {
    quarantine: Quarantine,
    range: Range,
}

impl Store {
    /// `None` when there is no such stream.
    pub(super) async fn open(settings: &Settings) -> io::Result<Option<Self>> {
        let connected = Quarantine::connect(settings.publisher.clone()).await;
        let quarantine = connected
            .map_err(|error| io::Error::new(error.kind(), format!("{error}: see `check --connect`")))?;
        let range = quarantine.range().await.map_err(|why| failed(&why))?;
        Ok(range.map(|range| Self { quarantine, range }))
    }

    /// The numbers that there can be. A stream that is new calls its first one 0, which is none.
    pub(super) fn numbers(&self) -> RangeInclusive<u64> {
        self.range.first_seq.max(1)..=self.range.last_seq
    }

    /// How many entries there were when the command began.
    pub(super) fn len(&self) -> u64 {
        self.range.messages
    }

    pub(super) async fn find(&self, number: u64) -> io::Result<Option<Entry>> {
        Ok(self.quarantine.get(number).await.map_err(|why| failed(&why))?.map(Entry))
    }

    pub(super) async fn delete(&self, number: u64) -> io::Result<()> {
        self.quarantine.delete(number).await.map_err(|why| failed(&why))
    }

    /// Deletes everything that was there when the command began; what came since stays.
    pub(super) async fn purge(&self) -> io::Result<u64> {
        self.quarantine.delete_through(self.range.last_seq).await.map_err(|why| failed(&why))
    }

    /// Publishes an entry again that JetStream refused.
    pub(super) async fn publish_refused(&self, entry: &StoredMessage) -> Result<(Message, Receipt), String> {
        self.quarantine.publish_refused(entry).await
    }
}

fn failed(why: &LookupError) -> io::Error {
    io::Error::other(format!("{why}; docs/operations.md has the permissions that this command needs"))
}
