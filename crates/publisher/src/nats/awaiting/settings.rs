//! The settings of requests for jobs: where they are, how many wait, and how long.

use std::time::Duration;

use crate::nats::StreamSpec;

/// Who may wait for jobs, by a request to `<prefix>.<id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Await {
    /// The bucket with each job's last message.
    pub bucket: String,
    /// Its stream.
    pub stream: StreamSpec,
    /// What stands before the id in a request's subject.
    pub prefix: String,
    /// The stream of events.
    pub events: String,
    /// Subjects that it could have to leave requests free; none where there are none.
    pub narrower: Vec<String>,
    /// So many requests wait at a time.
    pub max_waiting: usize,
    /// And so long each.
    pub max_wait: Duration,
}
