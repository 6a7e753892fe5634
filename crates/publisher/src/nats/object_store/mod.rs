//! Messages that are larger than NATS takes, kept whole in a JetStream object store (ADR-20), where any NATS client can
//! fetch them by name.
//!
//! Written over the link's own acknowledgements and not with async-nats' object store: that one waits for each chunk by
//! itself, and leaves memory behind for each that is not acknowledged.
//!
//! | file | holds |
//! |---|---|
//! | `standing.rs` | what is there under a name, and whether it is whole |
//! | `leftovers.rs` | chunks that nobody reads any more, and their end |

mod leftovers;
mod standing;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::HeaderMap;
use async_nats::header::{HeaderValue, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_ROLLUP};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use leftovers::Leftovers;
use standing::{ObjectInfo, ObjectOptions, Standing};

use super::acknowledgement::Failure;
use super::link::{InFlight, Link};
use super::stream_spec::{Missing, StreamSpec};

/// What every client writes: the largest chunk, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// What the wire takes to say that there are no headers, in bytes: `NATS/1.0` and two lines' ends.
const NO_HEADERS: usize = 12;
/// Chunks in flight at a time, 2 MiB: enough to fill a link, and little beside what a body takes.
const CHUNKS_IN_FLIGHT: usize = 16;

/// Of the content's SHA-256, what stands in an object's name, in bytes: as unlikely to repeat as a UUID, and nobody can
/// make two contents that have the same.
const NAME_BYTES: usize = 16;

/// An object store for large messages.
#[derive(Debug)]
pub(crate) struct ObjectStore {
    bucket: String,
    /// Its stream, `OBJ_<bucket>`.
    spec: StreamSpec,
    stream: Arc<str>,
    /// Whether the stream may be looked at, and made.
    may_look: bool,
    /// The connection over which the stream was last seen.
    seen_on: AtomicU64,
    /// Why the last large message was not stored, until one is.
    trouble: Mutex<Option<String>>,
    leftovers: Leftovers,
}

/// What is to be kept, under a name that no other content has: whoever was told of the one never finds the other, even
/// where both came under the same message id.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    /// As an object's description has it.
    digest: String,
    content: Bytes,
}

/// An attempt to write an object.
#[derive(Debug)]
struct Upload {
    info: ObjectInfo,
    sent: Sent,
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// Nothing leads to its chunks.
    Chunks,
    /// Its name as well, which is written only if this sequence is the last under it.
    After(u64),
    /// Its name as well, whatever stands there.
    Anyhow,
}

impl Object {
    /// Of the message with this id.
    pub(crate) async fn of(id: &str, content: &Bytes) -> Self {
        let bytes = content.clone();
        // 20 MiB take some 50 ms: long enough to keep others waiting on a thread of the runtime.
        let hashed = spawn_blocking(move || Sha256::digest(&bytes)).await;
        // It ends without an answer only while the runtime does.
        let hash = hashed.unwrap_or_else(|_| Sha256::digest(content));
        Self {
            name: format!("{id}:{}", crate::id::hexadecimal(&hash[..NAME_BYTES])),
            digest: format!("SHA-256={}", URL_SAFE.encode(hash)),
            content: content.clone(),
        }
    }
}

impl Upload {
    fn of(object: &Object, bucket: &str) -> Self {
        let now = OffsetDateTime::now_utc();
        let info = ObjectInfo {
            name: object.name.clone(),
            bucket: bucket.to_owned(),
            // Of its own for each attempt: no chunk of one that was broken off can come between those of the next.
            nuid: format!(
                "{}{:x}",
                crate::id::short_hash(object.name.as_bytes()),
                now.unix_timestamp_nanos()
            ),
            size: object.content.len(),
            chunks: 0,
            mtime: now.format(&Rfc3339).unwrap_or_default(),
            digest: object.digest.clone(),
            deleted: false,
            options: None,
        };
        Self { info, sent: Sent::Chunks }
    }
}

impl ObjectStore {
    pub(crate) fn new(bucket: String, spec: StreamSpec, may_look: bool) -> Self {
        let stream = spec.name.as_str().into();
        Self {
            bucket,
            spec,
            stream,
            may_look,
            seen_on: AtomicU64::new(0),
            trouble: Mutex::default(),
            leftovers: Leftovers::default(),
        }
    }

    /// Its stream, as it is configured here, for whoever only looks.
    pub(crate) fn watched(&self) -> StreamSpec {
        StreamSpec { missing: Missing::Wait, ..self.spec.clone() }
    }

    /// Why large messages wait, if they do.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No large message waits any more, whatever became of it.
    pub(crate) fn forget_trouble(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Where an object is, as `Ci-Object` names it.
    pub(crate) fn location(&self, name: &str) -> String {
        format!("{}/{name}", self.bucket)
    }

    /// Returns when the object is in the store, every chunk of it acknowledged, and whether it was written: what is there
    /// already under the name, with the same content, is not written again.
    pub(crate) async fn put(&self, link: &Link, object: &Object, deadline: Instant) -> Result<bool, Failure> {
        let mut upload = Upload::of(object, &self.bucket);
        let putting = self.upload(link, object, &mut upload, deadline);
        let put = timeout_at(deadline, putting).await.unwrap_or(Err(Failure::Unanswered));
        if let Err(failure) = &put {
            self.leftovers.broken_off(upload);
            if !matches!(failure, Failure::Unanswered | Failure::InFlight | Failure::Standing(_)) {
                // It may be gone or changed: the next attempt looks again, and makes it.
                self.seen_on.store(0, Ordering::Relaxed);
            }
        }
        let trouble = match &put {
            Ok(_) => None,
            // Those say nothing of the store.
            Err(Failure::Away | Failure::Disconnected | Failure::InFlight | Failure::Standing(_)) => {
                return put;
            }
            Err(failure) => {
                Some(format!("large messages wait in the spool: bucket {}: {failure}", self.bucket))
            }
        };
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        put
    }

    async fn upload(
        &self,
        link: &Link,
        object: &Object,
        upload: &mut Upload,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        self.provide(link).await?;
        let name = &object.name;
        // Without the right to look, it is written again: that costs room, and harms nobody.
        let standing = self.standing(link, name).await;
        if let Some(Standing { info: Some(info), sequence, .. }) = &standing {
            self.leftovers.settled(name, &info.nuid, *sequence);
        }
        if let Some(standing) = &standing
            && self.holds(link, standing, &object.digest).await
        {
            return Ok(false);
        }
        self.write_chunks(link, &mut upload.info, &object.content, deadline).await?;
        upload.sent = match &standing {
            Some(standing) => Sent::After(standing.sequence),
            None => Sent::Anyhow,
        };
        let written = self.write_name(link, &upload.info, standing.as_ref(), deadline).await?;
        if let Some(standing) = standing {
            self.leftovers.settled(name, &upload.info.nuid, written);
            standing.info.into_iter().for_each(|replaced| self.leftovers.add(replaced.nuid));
        }
        Ok(true)
    }

    /// Creates the stream when it is missing; looks once for each connection.
    async fn provide(&self, link: &Link) -> Result<(), Failure> {
        let connection = link.connection();
        if !self.may_look || self.seen_on.load(Ordering::Relaxed) == connection {
            return Ok(());
        }
        let state = self.spec.ensure(link).await.map_err(|trouble| Failure::Busy(trouble.to_string()))?;
        if let Some(unfit) = state.unfit() {
            return Err(Failure::Busy(unfit.sentence(&self.stream)));
        }
        self.seen_on.store(connection, Ordering::Relaxed);
        Ok(())
    }

    /// Returns when every chunk is acknowledged; notes their number.
    async fn write_chunks(
        &self,
        link: &Link,
        info: &mut ObjectInfo,
        content: &Bytes,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let chunk_bytes = CHUNK_BYTES.min(link.likely_payload().saturating_sub(NO_HEADERS)).max(1);
        let chunk_subject = self.chunk_subject(&info.nuid);
        let mut in_flight: VecDeque<InFlight<'_>> = VecDeque::with_capacity(CHUNKS_IN_FLIGHT);
        for start in (0..content.len()).step_by(chunk_bytes) {
            if in_flight.len() >= CHUNKS_IN_FLIGHT
                && let Some(oldest) = in_flight.pop_front()
            {
                oldest.acknowledged(deadline).await?;
            }
            let chunk = content.slice(start..content.len().min(start + chunk_bytes));
            // One after another: readers take them in the order of the stream.
            in_flight.push_back(link.send_to(&chunk_subject, &self.stream, HeaderMap::new(), chunk).await?);
            info.chunks += 1;
        }
        for chunk in in_flight {
            chunk.acknowledged(deadline).await?;
        }
        info.options = Some(ObjectOptions { max_chunk_size: chunk_bytes });
        Ok(())
    }

    /// From now on the name leads to these chunks, if it leads where it did when it was looked at. Gives its sequence.
    async fn write_name(
        &self,
        link: &Link,
        info: &ObjectInfo,
        replaces: Option<&Standing>,
        deadline: Instant,
    ) -> Result<u64, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_ROLLUP, HeaderValue::from("sub"));
        if let Some(standing) = replaces {
            // Of two attempts at once, the second fails and looks again, instead of leaving the first one's chunks behind; and
            // one that was given up changes nothing when it arrives after all.
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(standing.sequence));
        }
        let name = serde_json::to_vec(info).map_err(|error| Failure::Refused(error.to_string()))?;
        let sent = link.send_to(&self.info_subject(&info.name), &self.stream, headers, name.into()).await?;
        sent.acknowledged(deadline).await.map(|stored| stored.sequence)
    }

    fn chunk_subject(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.bucket)
    }

    fn info_subject(&self, name: &str) -> String {
        format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(name))
    }
}
