//! What Linux tells of a process: time used and memory held.

use std::fs;
use std::io;

/// `/proc` counts in these on every architecture that nats-server is built for (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

/// User and system time of a process and its threads, in seconds.
///
/// # Errors
///
/// The process is gone, or there is no `/proc`.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat, 2).map(|ticks| ticks as f64 / TICKS_A_SECOND).ok_or_else(|| unreadable("PID/stat"))
}

/// The same of this process, and of those it started and waited for.
///
/// # Errors
///
/// There is no `/proc`.
pub fn own_cpu_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    ticks(&stat, 4).map(|ticks| ticks as f64 / TICKS_A_SECOND).ok_or_else(|| unreadable("self/stat"))
}

/// User, nice, system, interrupt and stolen time of the whole machine since it started, in seconds of one core.
///
/// # Errors
///
/// There is no `/proc`.
pub fn machine_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let total = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let fields: Vec<u64> = total.unwrap_or("").split_ascii_whitespace().flat_map(str::parse).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; then guests, who are users too.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = fields[..] else {
        return Err(unreadable("stat"));
    };
    Ok((user + nice + system + irq + softirq + steal) as f64 / TICKS_A_SECOND)
}

/// The program's name, in parentheses, may hold anything; what follows is numbers. `utime`, `stime`, and of children
/// that were waited for `cutime` and `cstime`, are the 14th to the 17th field of proc(5).
fn ticks(stat: &str, fields: usize) -> Option<u64> {
    let (_, numbers) = stat.rsplit_once(')')?;
    numbers.split_ascii_whitespace().skip(11).take(fields).map(|field| field.parse::<u64>().ok()).sum()
}

/// Resident memory, in bytes.
///
/// # Errors
///
/// As [`cpu_seconds`].
pub fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib: u64| kib * 1024).ok_or_else(|| unreadable("PID/status"))
}

fn unreadable(file: &str) -> io::Error {
    io::Error::other(format!("/proc/{file} is not as proc(5) says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_nothing() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 7 3 20 0 1 0";
        assert_eq!((ticks(stat, 2), ticks(stat, 4)), (Some(300), Some(310)));
    }
}
