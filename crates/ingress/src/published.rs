//! A message of a callback and what became of it.

use ci_bridge_publisher::{Message, MessageId, Receipt, Subject};
use tracing::debug;

/// A message and what became of it.
#[derive(Debug)]
pub(crate) struct Published {
    subject: Subject,
    id: MessageId,
    receipt: Receipt,
}

impl Published {
    /// Each message with its receipt, told to the log.
    pub(crate) fn all(messages: Vec<Message>, receipts: Vec<Receipt>) -> Vec<Self> {
        let published: Vec<_> = messages.into_iter().zip(receipts).map(|(m, r)| Self::new(m, r)).collect();
        published.iter().for_each(Self::tell);
        published
    }

    pub(crate) fn new(message: Message, receipt: Receipt) -> Self {
        Self { subject: message.subject, id: message.id, receipt }
    }

    pub(crate) fn subject(&self) -> &str {
        self.subject.as_str()
    }

    pub(crate) fn id(&self) -> &str {
        self.id.as_str()
    }

    pub(crate) fn is_duplicate(&self) -> bool {
        matches!(self.receipt, Receipt::Stored { duplicate: true, .. })
    }

    /// Subject and id as they are.
    pub(crate) fn name(&self) -> (&Subject, &MessageId) {
        (&self.subject, &self.id)
    }

    /// Where it is stored.
    pub(crate) fn stored(&self) -> Option<(&str, u64)> {
        match &self.receipt {
            Receipt::Stored { stream, sequence, .. } => Some((stream, *sequence)),
            Receipt::Spooled | Receipt::Sent => None,
        }
    }

    pub(crate) fn is_spooled(&self) -> bool {
        self.receipt == Receipt::Spooled
    }

    pub(crate) fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    fn tell(&self) {
        let (subject, id) = (self.subject(), self.id());
        match &self.receipt {
            Receipt::Stored { stream, sequence, duplicate } => {
                debug!(subject, id, %stream, sequence, duplicate, "published");
            }
            Receipt::Spooled => debug!(subject, id, "spooled"),
            Receipt::Sent => debug!(subject, id, "published, and stored nowhere"),
        }
    }
}
