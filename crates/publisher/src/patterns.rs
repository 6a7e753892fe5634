//! Patterns of the subjects that may be published to.

use std::sync::{Arc, PoisonError, RwLock};

/// The patterns at one moment, each with its stream.
pub(crate) type Snapshot = Arc<[(String, String)]>;

/// Every pattern of subjects that may be published to, with the stream that must take it. Clones share it; a reload
/// replaces it.
#[derive(Debug, Clone)]
pub(crate) struct Patterns(Arc<RwLock<Snapshot>>);

impl Patterns {
    pub(crate) fn new(patterns: Vec<(String, String)>) -> Self {
        Self(Arc::new(RwLock::new(patterns.into())))
    }

    pub(crate) fn get(&self) -> Snapshot {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, patterns: Vec<(String, String)>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = patterns.into();
    }
}
