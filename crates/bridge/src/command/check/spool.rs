//! The spool's folder, looked at without making anything: `check` often runs as somebody else than the bridge.

use std::path::{Path, PathBuf, absolute};

use bytesize::ByteSize;
use ci_bridge_publisher::SpoolSettings;
use rustix::fs::{Access, access, statvfs};

use super::finding::{Finding, Verdict};

/// What the files of a spool take beside twice its messages, while they are being compacted.
const COMPACTION: u64 = 128 << 20;

pub(super) fn check(spool: &SpoolSettings) -> Vec<Finding> {
    let dir = absolute(&spool.dir).unwrap_or_else(|_| spool.dir.clone());
    let shown = dir.display();
    let finding = |verdict, text: String| Finding::new(verdict, format!("spool: {text}"));
    if dir.exists() && !dir.is_dir() {
        return vec![finding(Verdict::Failed, format!("{shown} is no folder: choose another spool.dir"))];
    }
    let Some(nearest) = nearest(&dir) else {
        return vec![finding(Verdict::Failed, format!("{shown} cannot be made: choose another spool.dir"))];
    };
    let is_writable = access(&nearest, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    let mut findings = vec![match (is_writable, nearest == dir) {
        (true, true) => finding(Verdict::Ok, format!("{shown} can be written")),
        (true, false) => finding(Verdict::Ok, format!("{shown} is made at the first start")),
        (false, _) => finding(
            Verdict::Note,
            format!("this user may not write {}: the user that runs the bridge must", nearest.display()),
        ),
    }];
    let most = spool.max_bytes.saturating_mul(2).saturating_add(COMPACTION);
    let free = statvfs(&nearest).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)).unwrap_or(u64::MAX);
    let taken = taken(&dir);
    if free.saturating_add(taken) < most {
        let [free, most] = [free, most].map(|bytes| ByteSize::b(bytes).to_string());
        findings.push(finding(
            Verdict::Note,
            format!("{free} are free there, and a full spool takes up to {most}: lower spool.max_bytes, or make room"),
        ));
    }
    findings
}

/// The folder itself, or what is there of the way to it.
fn nearest(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find(|ancestor| ancestor.is_dir()).map(Path::to_path_buf)
}

/// What the spool takes already; it has no folders within folders that hold much.
fn taken(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}
