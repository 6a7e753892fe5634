//! Messages that are ready before anything comes: what `ci-bridge render` made of each workload's body, so that they are
//! the bridge's own to the byte. Only the ids are new each time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue, NATS_EXPECTED_STREAM};
use bytes::Bytes;
use ci_bridge_bench::workload::ID_MARK;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Failure;

/// The bridge names it in every message.
const STREAM: &str = "CI";

/// By the path that is posted to.
pub(crate) struct Prepared {
    callbacks: BTreeMap<String, Vec<Form>>,
    next: AtomicU64,
}

/// A message without its id.
struct Form {
    subject: String,
    /// With a mark where its number goes.
    id: String,
    headers: HeaderMap,
    /// Those whose value is the id.
    with_id: Vec<HeaderName>,
    body: Bytes,
}

pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Prepared {
    /// Reads each file of a folder: the name of a workload, and a line a message.
    pub(crate) fn read(folder: &Path) -> Result<Self, Failure> {
        let mut callbacks = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let lines = fs::read_to_string(entry.path())?;
            let forms: Result<Vec<_>, Failure> = lines.lines().map(Form::read).collect();
            callbacks.insert(format!("/{}", entry.file_name().display()), forms?);
        }
        Ok(Self { callbacks, next: AtomicU64::new(0) })
    }

    pub(crate) fn messages_of(&self, path: &str) -> Result<Vec<Message>, Failure> {
        let forms = self.callbacks.get(path).ok_or_else(|| format!("nothing is prepared for {path}"))?;
        let first = self.next.fetch_add(forms.len() as u64, Ordering::Relaxed);
        Ok((first..).zip(forms).map(|(number, form)| form.numbered(number)).collect())
    }
}

impl Form {
    /// One line of `ci-bridge render`.
    fn read(line: &str) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Rendered<'a> {
            subject: String,
            headers: BTreeMap<String, String>,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        let Rendered { subject, headers: rendered, data } = serde_json::from_str(line)?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, STREAM);
        let mut with_id = Vec::new();
        for (name, value) in &rendered {
            let name: HeaderName = name.parse()?;
            if value.contains(ID_MARK) {
                with_id.push(name.clone());
            }
            headers.insert(name, value.as_str());
        }
        let id = rendered.get("Nats-Msg-Id").filter(|id| id.contains(ID_MARK));
        let id = id.ok_or("a message without a mark in its id")?.clone();
        Ok(Self { subject, id, headers, with_id, body: Bytes::copy_from_slice(data.get().as_bytes()) })
    }

    fn numbered(&self, number: u64) -> Message {
        let id = self.id.replace(ID_MARK, &format!("{number:016x}"));
        let mut headers = self.headers.clone();
        let value = HeaderValue::from(id.as_str());
        for name in &self.with_id {
            headers.insert(name.clone(), value.clone());
        }
        Message { subject: self.subject.clone(), id, headers, body: self.body.clone() }
    }
}
