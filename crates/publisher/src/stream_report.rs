//! How full the configured streams are, and what they keep, for whoever looks after a bridge.

use crate::nats::{Holds, StreamSpec, StreamState};
use crate::publisher::Publisher;
use crate::units;

/// A stream of the configuration, as it was last seen.
#[derive(Debug, Clone, serde::Serialize)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// `messages`, `quarantine`, `objects` or `jobs`.
    pub holds: &'static str,
    /// Messages in it; `None` while it has not been seen.
    pub messages: Option<u64>,
    /// Bytes of them.
    pub bytes: Option<u64>,
    /// What it keeps, and for how long, in words.
    pub limits: String,
    /// What of its settings voids or weakens the promise of 200, in sentences.
    pub findings: Vec<String>,
}

impl Publisher {
    /// The streams of the configuration.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamReport> {
        let look = |spec: &StreamSpec| {
            let state = self.shared.health.stream_state(&spec.name);
            StreamReport {
                name: spec.name.clone(),
                holds: self.holds(spec),
                messages: state.as_ref().map(|state| state.messages),
                bytes: state.as_ref().map(|state| state.bytes),
                limits: state.as_ref().map(limits).unwrap_or_default(),
                findings: state
                    .iter()
                    .flat_map(|state| &state.findings)
                    .map(|f| f.sentence(&spec.name))
                    .collect(),
            }
        };
        self.shared.streams.iter().map(look).collect()
    }

    fn holds(&self, spec: &StreamSpec) -> &'static str {
        match spec.holds {
            Holds::Objects => "objects",
            Holds::Keys => "jobs",
            Holds::Messages if spec.name == self.quarantine_stream() => "quarantine",
            Holds::Messages => "messages",
        }
    }
}

/// `file, replicas 1, max_age 7d, max_bytes 256MiB, discard old, duplicate_window 2h`
fn limits(state: &StreamState) -> String {
    let config = &state.config;
    let mut parts = vec![config.storage.clone(), format!("replicas {}", config.num_replicas)];
    if !config.max_age.is_zero() {
        parts.push(format!("max_age {}", units::duration(config.max_age)));
    }
    for (name, limit) in
        [("max_msgs", config.max_msgs), ("max_msgs_per_subject", config.max_msgs_per_subject)]
    {
        parts.extend(
            u64::try_from(limit).ok().filter(|limit| *limit > 0).map(|limit| format!("{name} {limit}")),
        );
    }
    let bytes = u64::try_from(config.max_bytes).ok().filter(|bytes| *bytes > 0);
    parts.extend(bytes.map(|bytes| format!("max_bytes {}", units::bytes(bytes))));
    parts.push(format!("discard {}", config.discard));
    parts.push(format!("duplicate_window {}", units::duration(config.duplicate_window)));
    parts.join(", ")
}
