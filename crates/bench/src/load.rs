//! Asking the load generator.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use ci_bridge_bench::measurement::Measurement;
use ci_bridge_bench::workload::Workload;

use crate::Failure;
use crate::affinity::{self, Side};
use crate::programs::sibling;
use crate::start::Running;

/// As many as keep any of the contenders busy; more only wait.
pub(crate) const CONNECTIONS: usize = 64;
/// Of bodies that are under way at once, in bytes: a bridge bounds what they cost in memory, and refuses the rest.
const BYTES_UNDER_WAY: usize = 32 << 20;

/// Each run numbers its callbacks from a place of its own.
static RUNS: AtomicU64 = AtomicU64::new(1);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) workload: Workload,
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
    pub(crate) rate: Option<f64>,
}

/// A run in progress.
pub(crate) struct Posting(std::process::Child);

impl Load {
    pub(crate) fn saturating(workload: Workload, seconds: f64) -> Self {
        Self { workload, connections: connections(workload), seconds, rate: None }
    }

    pub(crate) fn at_rate(self, rate: f64) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// In seconds. Code and caches are warm after half of one.
    pub(crate) fn warmup(&self) -> f64 {
        self.seconds.min(0.5)
    }

    /// Posts, and waits for the end of it.
    ///
    /// # Errors
    ///
    /// Any answer but 200.
    pub(crate) fn run(&self, running: &Running) -> Result<Measurement, Failure> {
        self.begin(running)?.end()
    }

    pub(crate) fn begin(&self, running: &Running) -> Result<Posting, Failure> {
        let mut command = Command::new(sibling("load")?);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let warmup = self.warmup();
        for (name, value) in [
            ("--url", format!("http://{}{}", running.host, running.contender.path(self.workload))),
            ("--workload", self.workload.to_string()),
            ("--connections", self.connections.to_string()),
            ("--seconds", self.seconds.to_string()),
            ("--warmup", warmup.to_string()),
            ("--pid", running.pid().to_string()),
            ("--run", run.to_string()),
        ] {
            command.arg(name).arg(value);
        }
        if let Some(rate) = self.rate {
            command.arg("--rate").arg(rate.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Posting(affinity::spawn(&mut command, Side::Others)?))
    }
}

impl Posting {
    pub(crate) fn end(self) -> Result<Measurement, Failure> {
        let output = self.0.wait_with_output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().into());
        }
        let measurement: Measurement = serde_json::from_slice(&output.stdout)?;
        match &measurement.first_failure {
            Some(what) => {
                Err(format!("{} answers were not 200, the first: {what}", measurement.failures).into())
            }
            None => Ok(measurement),
        }
    }
}

/// How many post a workload.
pub(crate) fn connections(workload: Workload) -> usize {
    (BYTES_UNDER_WAY / workload.body_bytes()).clamp(1, CONNECTIONS)
}
