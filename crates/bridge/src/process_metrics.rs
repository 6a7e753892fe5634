//! What every exporter says of its own process, under the names that Prometheus' client libraries gave them: `process_…`.
//! Read from `/proc` when they are asked for; elsewhere than on Linux there are none.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Reads them anew at each scrape.
#[derive(Debug)]
pub(crate) struct ProcessMetrics;

/// What `/proc/self` tells.
#[derive(Debug, PartialEq)]
struct Process {
    cpu_seconds: f64,
    start_time: f64,
    resident_bytes: i64,
    virtual_bytes: i64,
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(process) = read() else { return Ok(()) };
        let cpu = ConstCounter::new(process.cpu_seconds);
        let help = "User and system time spent";
        cpu.encode(encoder.encode_descriptor(
            "process_cpu",
            help,
            Some(&Unit::Seconds),
            cpu.metric_type(),
        )?)?;
        let started = ConstGauge::new(process.start_time);
        let (help, kind) = ("When the process was started, in Unix time", started.metric_type());
        let started_at = encoder.encode_descriptor("process_start_time", help, Some(&Unit::Seconds), kind)?;
        started.encode(started_at)?;
        let mut gauge = |name, help, unit: Option<&Unit>, value: i64| {
            let value = ConstGauge::new(value);
            value.encode(encoder.encode_descriptor(name, help, unit, value.metric_type())?)
        };
        let bytes = Some(&Unit::Bytes);
        gauge("process_resident_memory", "Resident memory", bytes, process.resident_bytes)?;
        gauge("process_virtual_memory", "Virtual memory", bytes, process.virtual_bytes)?;
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the folder itself.
            let open = i64::try_from(open.count().saturating_sub(1)).unwrap_or(i64::MAX);
            gauge("process_open_fds", "Open files", None, open)?;
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(i64::MAX);
        gauge("process_max_fds", "Files that may be open", None, limit)
    }
}

#[cfg(target_os = "linux")]
fn read() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let ticks = rustix::param::clock_ticks_per_second();
    parse(&stat, &system, ticks as f64, i64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn read() -> Option<Process> {
    None
}

/// Reads `/proc/self/stat` and, for the time of the boot, `/proc/stat` (proc(5)).
#[cfg(any(target_os = "linux", test))]
fn parse(stat: &str, system: &str, ticks: f64, page: i64) -> Option<Process> {
    // The program's name is the second field, in parentheses, and may hold anything; the state behind it is the third.
    let fields: Vec<_> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(Process {
        cpu_seconds: (field(14)? + field(15)?) as f64 / ticks,
        start_time: boot + field(22)? as f64 / ticks,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)?.checked_mul(page)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let stat =
            "7 (ci (x) 1) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 5 0 1200 8192000 300 1844 1 1 0";
        let system = "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n";
        let expected = Process {
            cpu_seconds: 3.0,
            start_time: 1_700_000_012.0,
            resident_bytes: 300 * 4096,
            virtual_bytes: 8_192_000,
        };
        assert_eq!(parse(stat, system, 100.0, 4096), Some(expected));
        assert_eq!(parse("7 (x", system, 100.0, 4096), None);
    }
}
