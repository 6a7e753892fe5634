//! What is counted: answers, failures, and how long answers took.

use std::io;
use std::time::{Duration, Instant};

use ci_bridge_bench::measurement::{Measurement, Percentiles};
use ci_bridge_bench::process;
use hdrhistogram::Histogram;

/// Three digits are more than two runs agree on.
const DIGITS: u8 = 3;
/// Of an answer, what is shown when it is the first that failed.
const EXCERPT_BYTES: usize = 400;

#[derive(Debug)]
pub(crate) struct Tally {
    /// In nanoseconds.
    latencies: Histogram<u64>,
    failures: u64,
    first_failure: Option<String>,
    since: Instant,
    pid: Option<u32>,
    cpu: f64,
    own_cpu: f64,
}

impl Tally {
    pub(crate) fn new(pid: Option<u32>) -> Result<Self, hdrhistogram::CreationError> {
        let latencies = Histogram::new(DIGITS)?;
        let since = Instant::now();
        Ok(Self { latencies, failures: 0, first_failure: None, since, pid, cpu: 0.0, own_cpu: 0.0 })
    }

    pub(crate) fn answered(&mut self, status: u16, took: Duration, answer: &[u8]) {
        if status != 200 {
            return self.failed(&String::from_utf8_lossy(&answer[..answer.len().min(EXCERPT_BYTES)]));
        }
        // A histogram that resizes itself takes any value.
        let _ = self.latencies.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn failed(&mut self, what: &str) {
        self.failures += 1;
        self.first_failure.get_or_insert_with(|| what.to_owned());
    }

    /// The warm-up is over: what succeeded so far does not count.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        self.latencies.reset();
        self.since = Instant::now();
        self.own_cpu = process::cpu_seconds(std::process::id())?;
        self.cpu = self.pid.map_or(Ok(0.0), process::cpu_seconds)?;
        Ok(())
    }

    /// The measured part is over. Answers that come later are looked at, not counted.
    pub(crate) fn end(&self) -> io::Result<Measurement> {
        let percentile = |share| self.latencies.value_at_quantile(share) as f64 / 1e6;
        Ok(Measurement {
            seconds: self.since.elapsed().as_secs_f64(),
            answers: self.latencies.len(),
            failures: 0,
            first_failure: None,
            latency: Percentiles { p50: percentile(0.5), p99: percentile(0.99), p999: percentile(0.999) },
            cpu_seconds: self.pid.map_or(Ok(0.0), process::cpu_seconds)? - self.cpu,
            resident: self.pid.map_or(Ok(0), process::resident)?,
            own_cpu_seconds: process::cpu_seconds(std::process::id())? - self.own_cpu,
        })
    }

    /// Adds the failures, which count from the first request to the last answer.
    pub(crate) fn judge(self, measurement: &mut Measurement) {
        (measurement.failures, measurement.first_failure) = (self.failures, self.first_failure);
    }
}
