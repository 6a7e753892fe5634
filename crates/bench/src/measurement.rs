//! What `load` prints and the runner reads, one JSON object a run.

use serde::{Deserialize, Serialize};

/// One run of the load generator against one program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measurement {
    /// Length of the measured part, without the warm-up.
    pub seconds: f64,
    /// Answers of 200 within it.
    pub answers: u64,
    /// Answers of anything else and broken connections, warm-up included. Any makes the run worthless.
    pub failures: u64,
    /// The first of them, for whoever has to find out.
    pub first_failure: Option<String>,
    /// From the intended time of sending to the whole answer, in milliseconds.
    pub latency: Percentiles,
    /// User and system time of the measured process within the measured part, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory of the measured process at the end, in bytes.
    pub resident: u64,
    /// User and system time of the load generator itself, to see that it was not what was measured.
    pub own_cpu_seconds: f64,
}

/// Of answer times, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half are below.
    pub p50: f64,
    /// One in a hundred is above.
    pub p99: f64,
    /// One in a thousand is above.
    pub p999: f64,
}

impl Measurement {
    /// Answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.seconds
    }

    /// CPU seconds of the measured process for 100,000 callbacks.
    #[must_use]
    pub fn cpu_per_100k(&self) -> f64 {
        self.cpu_seconds * 1e5 / self.answers as f64
    }

    /// How much of a core the measured process used: 1 is all of one.
    #[must_use]
    pub fn cores_busy(&self) -> f64 {
        self.cpu_seconds / self.seconds
    }
}
