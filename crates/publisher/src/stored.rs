//! Single messages of the configured streams, and the last one of a job.

use crate::key_value;
use crate::nats::{Holds, LookupError, StoredMessage, StreamSpec, Which};
use crate::publisher::Publisher;
use crate::subject::Subject;

impl Publisher {
    /// A message of a stream of the configuration; of others nothing is shown, whatever the NATS user may read.
    ///
    /// # Errors
    ///
    /// [`LookupError`] says in a sentence why there is none.
    pub async fn stored_message(&self, stream: &str, sequence: u64) -> Result<StoredMessage, LookupError> {
        let spec = self.spec(stream)?;
        spec.get(&self.shared.link, Which::Sequence(sequence)).await
    }

    /// Whether jobs can be looked up.
    #[must_use]
    pub fn has_jobs(&self) -> bool {
        self.shared.streams.iter().any(|spec| spec.holds == Holds::Keys)
    }

    /// The last message of a job or run that has ended; `None` for an id that no bucket can have.
    ///
    /// # Errors
    ///
    /// [`LookupError`] says in a sentence why there is none.
    pub async fn job(&self, id: &str) -> Result<Option<StoredMessage>, LookupError> {
        let no_bucket = || LookupError::Gone("there is no bucket of jobs: set [jobs] bucket".to_owned());
        let spec = self.shared.streams.iter().find(|spec| spec.holds == Holds::Keys).ok_or_else(no_bucket)?;
        let bucket = key_value::bucket(&spec.name);
        let Some(subject) = Subject::of_key(bucket, id) else { return Ok(None) };
        let found = spec.get(&self.shared.link, Which::LastOf(subject.as_str())).await?;
        // A key that somebody has deleted has a marker of that.
        Ok(found.header("KV-Operation").is_none().then_some(found))
    }

    pub(crate) fn spec(&self, stream: &str) -> Result<&StreamSpec, LookupError> {
        // Chunks of objects are no messages for people.
        let found =
            self.shared.streams.iter().find(|spec| spec.name == stream && spec.holds != Holds::Objects);
        found.ok_or_else(|| LookupError::Gone(format!("{stream:?} is no stream of this bridge's messages")))
    }
}
