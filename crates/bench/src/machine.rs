//! On what it was measured, as far as it matters and tells nothing else: no host name, no path.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use ci_bridge_bench::process;

use crate::{Failure, affinity};

pub(crate) fn describe(nats_server: &Path) -> String {
    let cores = affinity::cores().len();
    let pinned = match cores {
        0 | 1 => "one core for everything, so the ratios between contenders are smaller than on two",
        _ => "the contender alone on one of them, nats-server and the load generator on another",
    };
    format!(
        "{cores} cores ({}), {pinned}; Linux {}; {}; JetStream with file storage; {} connections kept open",
        cpu_model().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        kernel().unwrap_or_default(),
        version(nats_server).unwrap_or_else(|| "nats-server".to_owned()),
        crate::load::CONNECTIONS,
    )
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// `6.1` of `6.1.0-18-cloud-amd64`: the rest may be a name that somebody gave.
fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let numbers: Vec<_> = release.trim().split(['.', '-']).take(2).collect();
    Some(numbers.join("."))
}

/// `nats-server: v2.15.1` as `nats-server 2.15.1`.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().replace(": v", " "))
}

/// Cores that other programs may use while it is measured: what a system does of itself.
pub(crate) const QUIET: f64 = 0.1;

/// What the machine and what this run have computed.
pub(crate) struct Clocks {
    at: Instant,
    machine: f64,
    own: f64,
}

impl Clocks {
    pub(crate) fn read() -> Result<Self, Failure> {
        Ok(Self {
            at: Instant::now(),
            machine: process::machine_seconds()?,
            own: process::own_cpu_seconds()?,
        })
    }

    /// Cores that others kept busy since.
    pub(crate) fn others_since(&self) -> Result<f64, Failure> {
        let now = Self::read()?;
        let others = (now.machine - self.machine) - (now.own - self.own);
        Ok(others.max(0.0) / self.at.elapsed().as_secs_f64())
    }
}

/// What a page says that was measured while others ran.
pub(crate) fn warning(others_busy: f64) -> String {
    if others_busy < QUIET {
        return String::new();
    }
    format!("\n**Other programs kept {others_busy:.1} cores busy meanwhile: these figures say little.**\n")
}
