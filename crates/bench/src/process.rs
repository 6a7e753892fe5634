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
    ticks(&stat).map(|ticks| ticks as f64 / TICKS_A_SECOND).ok_or_else(|| unreadable("stat"))
}

/// The program's name, in parentheses, may hold anything; what follows is numbers. `utime` and `stime` are the 14th and
/// the 15th field of proc(5).
fn ticks(stat: &str) -> Option<u64> {
    let (_, numbers) = stat.rsplit_once(')')?;
    let mut fields = numbers.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
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
    kib.map(|kib: u64| kib * 1024).ok_or_else(|| unreadable("status"))
}

fn unreadable(file: &str) -> io::Error {
    io::Error::other(format!("/proc/PID/{file} is not as proc(5) says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_nothing() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0";
        assert_eq!(ticks(stat), Some(300));
    }
}
