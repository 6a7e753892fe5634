//! A JetStream object store (ADR-20), as the bridge writes it: chunks, all acknowledged, then the name that leads to
//! them. The digest belongs to it: clients compare what they fetch with it.

use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::HeaderMap;
use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::Failure;

/// The bridge's own by default; the runner makes its stream.
const BUCKET: &str = "CI_LARGE";
/// What every client writes, in bytes.
const CHUNK_BYTES: usize = 128 * 1024;

static OBJECTS: AtomicU64 = AtomicU64::new(0);

/// A name that no object of this process had before.
pub(crate) fn next_name() -> String {
    format!("object-{}", OBJECTS.fetch_add(1, Ordering::Relaxed))
}

/// Returns when all of it is acknowledged; `headers` then say where it is.
pub(crate) async fn put(
    bus: &Context,
    name: &str,
    content: &Bytes,
    headers: &mut HeaderMap,
) -> Result<(), Failure> {
    let nuid = next_name();
    let subject = format!("$O.{BUCKET}.C.{nuid}");
    let mut sent = Vec::with_capacity(content.len().div_ceil(CHUNK_BYTES));
    for start in (0..content.len()).step_by(CHUNK_BYTES) {
        let chunk = content.slice(start..content.len().min(start + CHUNK_BYTES));
        sent.push(bus.publish(subject.clone(), chunk).await?);
    }
    // While they are on their way.
    let digest = format!("SHA-256={}", URL_SAFE.encode(Sha256::digest(content)));
    let chunks = sent.len();
    for acknowledgement in sent {
        acknowledgement.await?;
    }
    let info = serde_json::json!({
        "name": name, "bucket": BUCKET, "nuid": nuid, "size": content.len(), "chunks": chunks, "digest": digest,
        "options": { "max_chunk_size": CHUNK_BYTES },
    });
    let mut rollup = HeaderMap::new();
    rollup.insert(NATS_ROLLUP, "sub");
    let subject = format!("$O.{BUCKET}.M.{}", URL_SAFE.encode(name));
    bus.publish_with_headers(subject, rollup, info.to_string().into()).await?.await?;
    headers.insert("Ci-Object", format!("{BUCKET}/{name}"));
    headers.insert("Ci-Object-Bytes", content.len().to_string());
    Ok(())
}
