//! What a publisher can tell of what was published, by whomever; and which bridge may act on it.

use std::collections::{BTreeMap, HashSet};
use std::time::SystemTime;

use crate::id::MessageId;
use crate::nats::{CannotTell, Held, Lease, ReadBack, StreamSpec};
use crate::publisher::Publisher;

impl Publisher {
    /// Which messages a stream has had since a moment; it can be brought up to date with [`Publisher::catch_up`].
    ///
    /// # Errors
    ///
    /// [`CannotTell`] says why nobody can, and what to do.
    pub async fn read_back(&self, stream: &StreamSpec, since: SystemTime) -> Result<ReadBack, CannotTell> {
        let mut read_back = ReadBack::new(stream, since);
        read_back.catch_up(&self.shared.link).await?;
        Ok(read_back)
    }

    /// Reads what a stream has had since it was last read.
    ///
    /// # Errors
    ///
    /// As for [`Publisher::read_back`].
    pub async fn catch_up(&self, read_back: &mut ReadBack) -> Result<(), CannotTell> {
        read_back.catch_up(&self.shared.link).await
    }

    /// The subjects of messages that a stream has, among those of a pattern, and how many messages each has.
    ///
    /// # Errors
    ///
    /// Why JetStream does not say.
    pub async fn subjects_held(
        &self,
        stream: &StreamSpec,
        pattern: &str,
    ) -> Result<BTreeMap<String, u64>, String> {
        stream.subjects_held(&self.shared.link, pattern).await
    }

    /// The ids of the messages that wait in the spool of this bridge.
    pub async fn spooled_ids(&self) -> HashSet<MessageId> {
        match &self.shared.spool {
            Some(spool) => spool.ids().await,
            None => HashSet::new(),
        }
    }

    /// Takes a lease; `None` when another bridge holds it.
    ///
    /// # Errors
    ///
    /// Why nobody can hold it now.
    pub async fn take_lease(&self, lease: &Lease) -> Result<Option<Held>, String> {
        lease.take(&self.shared.link).await
    }

    /// Keeps a lease; `false` when it has been lost.
    ///
    /// # Errors
    ///
    /// Why that is not known; it holds for [`LEASE`](crate::nats::LEASE) after it was last renewed.
    pub async fn renew_lease(&self, lease: &Lease, held: &mut Held) -> Result<bool, String> {
        lease.renew(&self.shared.link, held).await
    }

    /// Gives a lease back.
    pub async fn give_back(&self, lease: &Lease) {
        lease.give_back(&self.shared.link).await;
    }
}
