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
use tokio::time::{Instant, timeout_at};

use leftovers::Leftovers;
use standing::{ObjectInfo, ObjectOptions, Standing};

use super::acknowledgement::Failure;
use super::link::{InFlight, Link};
use super::streams::{Missing, StreamSpec};

/// What every client writes: the largest chunk, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// What the wire takes to say that there are no headers, in bytes: `NATS/1.0` and two lines' ends.
const NO_HEADERS: usize = 12;
/// Chunks in flight at a time, 2 MiB: enough to fill a link, and little beside what a body takes.
const CHUNKS_IN_FLIGHT: usize = 16;

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
    pub(crate) async fn put(
        &self,
        link: &Link,
        name: &str,
        content: &Bytes,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let now = OffsetDateTime::now_utc();
        // Of its own for each attempt: no chunk of one that was broken off can come between those of the next.
        let nuid = format!("{}{:x}", crate::id::short_hash(name.as_bytes()), now.unix_timestamp_nanos());
        let mut may_be_named = false;
        let putting = async {
            self.provide(link).await?;
            let digest = format!("SHA-256={}", URL_SAFE.encode(Sha256::digest(content)));
            // Without the right to look, it is written again: that costs room, and harms nobody.
            let standing = self.standing(link, name).await;
            if let Some(Standing { info: Some(info), .. }) = &standing {
                self.leftovers.settled(name, &info.nuid);
            }
            if let Some(standing) = &standing
                && self.holds(link, standing, &digest).await
            {
                return Ok(false);
            }
            let info = ObjectInfo {
                name: name.to_owned(),
                bucket: self.bucket.clone(),
                nuid: nuid.clone(),
                size: content.len(),
                chunks: 0,
                mtime: now.format(&Rfc3339).unwrap_or_default(),
                digest,
                deleted: false,
                options: None,
            };
            let info = self.write_chunks(link, info, content, deadline).await?;
            may_be_named = true;
            self.write_name(link, &info, standing.as_ref(), deadline).await?;
            if let Some(standing) = standing {
                self.leftovers.settled(name, &nuid);
                standing.info.into_iter().for_each(|replaced| self.leftovers.add(replaced.nuid));
            }
            Ok(true)
        };
        let put = timeout_at(deadline, putting).await.unwrap_or(Err(Failure::Unanswered));
        if let Err(failure) = &put {
            match may_be_named && !matches!(failure, Failure::InFlight | Failure::Standing(_)) {
                true => self.leftovers.add_unsure(name, nuid),
                false => self.leftovers.add(nuid),
            }
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

    /// Returns when every chunk is acknowledged, with their number.
    async fn write_chunks(
        &self,
        link: &Link,
        mut info: ObjectInfo,
        content: &Bytes,
        deadline: Instant,
    ) -> Result<ObjectInfo, Failure> {
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
        Ok(info)
    }

    /// From now on the name leads to these chunks, if it leads where it did when it was looked at.
    async fn write_name(
        &self,
        link: &Link,
        info: &ObjectInfo,
        replaces: Option<&Standing>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_ROLLUP, HeaderValue::from("sub"));
        if let Some(standing) = replaces {
            // Of two attempts at once, the second fails and looks again, instead of leaving the first one's chunks behind; and
            // one that was given up changes nothing when it arrives after all.
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(standing.sequence));
        }
        let name = serde_json::to_vec(info).map_err(|error| Failure::Refused(error.to_string()))?;
        let sent = link.send_to(&self.info_subject(&info.name), &self.stream, headers, name.into()).await?;
        sent.acknowledged(deadline).await.map(drop)
    }

    fn chunk_subject(&self, nuid: &str) -> String {
        format!("$O.{}.C.{nuid}", self.bucket)
    }

    fn info_subject(&self, name: &str) -> String {
        format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(name))
    }
}
