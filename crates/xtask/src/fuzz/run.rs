//! One target: its processes, and what they said.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{folder, seeds};

/// An input that has not ended by then hangs, in seconds. What an input may cost is counted in CPU time, by the target
/// itself (`tests/fuzz/src/lib.rs`); this is time on the wall, most of which is others' on a busy machine.
const HANGS_AFTER: u32 = 120;

/// How long an input may become, in bytes: room for several jobs, or for a thousand nested elements.
const LONGEST: usize = 16 * 1024;

pub(super) struct Target {
    name: String,
    program: PathBuf,
    /// Grows from run to run.
    corpus: PathBuf,
    seeds: PathBuf,
    /// Each process's words, and each input that broke a promise.
    finds: PathBuf,
}

/// What a target came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) inputs: u64,
    /// Edges of the control flow that were taken, in the process that saw the most.
    pub(super) coverage: u64,
    /// Until the last process ended: a find ends its process early.
    pub(super) took: Duration,
    pub(super) finds: Vec<PathBuf>,
}

impl Target {
    pub(super) fn prepare(name: &str, home: &Path, programs: &Path) -> io::Result<Self> {
        let place = |kind: &str| home.join(kind).join(name);
        let (corpus, seeds, finds) = (place("corpus"), place("seeds"), place("finds"));
        for folder in [&corpus, &seeds, &finds] {
            fs::create_dir_all(folder)?;
        }
        seeds::write(name, &seeds)?;
        Ok(Self { program: programs.join(name), name: name.to_owned(), corpus, seeds, finds })
    }

    /// Runs as many processes as `jobs` for as long as `share`. They share what they discover through the corpus.
    pub(super) fn run(&self, jobs: usize, share: Duration) -> io::Result<Report> {
        let since = Instant::now();
        let logs: Vec<_> = (0..jobs).map(|job| self.finds.join(format!("{job}.log"))).collect();
        let children: io::Result<Vec<_>> = logs.iter().map(|log| self.start(log, share)).collect();
        let mut report = Report::default();
        for (mut child, log) in children?.into_iter().zip(&logs) {
            let status = child.wait()?;
            let said = String::from_utf8_lossy(&fs::read(log)?).into_owned();
            report.inputs += number_after(&said, "stat::number_of_executed_units: ").unwrap_or(0);
            report.coverage = report.coverage.max(number_after(&said, " cov: ").unwrap_or(0));
            let finds = finds(&said);
            if !status.success() && finds.is_empty() {
                let (name, log) = (&self.name, log.display());
                return Err(io::Error::other(format!("{name} ended with {status} and no find, see {log}")));
            }
            report.finds.extend(finds);
        }
        report.took = since.elapsed();
        report.finds.sort();
        report.finds.dedup();
        Ok(report)
    }

    /// What to type to see a find again.
    pub(super) fn replay(&self, find: &Path) -> String {
        format!("  {} {}", self.program.display(), find.display())
    }

    fn start(&self, log: &Path, share: Duration) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg(&self.corpus).arg(&self.seeds);
        let kept = folder().join("corpus").join(&self.name);
        if kept.is_dir() {
            command.arg(kept);
        }
        command.arg(format!("-max_total_time={}", share.as_secs().max(1)));
        // libFuzzer would keep an input of ten seconds on the wall as well, and call it slow.
        command.arg(format!("-timeout={HANGS_AFTER}")).arg(format!("-report_slow_units={HANGS_AFTER}"));
        command.arg(format!("-max_len={LONGEST}"));
        command.arg(format!("-artifact_prefix={}/", self.finds.display())).arg("-print_final_stats=1");
        let dictionary = folder().join("dictionaries").join(format!("{}.dict", self.name));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?).spawn()
    }
}

/// The inputs that broke a promise, by what the program says of them.
fn finds(said: &str) -> Vec<PathBuf> {
    let written = said.lines().filter_map(|line| line.split_once("Test unit written to "));
    written.map(|(_, path)| PathBuf::from(path.trim())).collect()
}

/// The number after the last occurrence of a word.
fn number_after(text: &str, word: &str) -> Option<u64> {
    let after = &text[text.rfind(word)? + word.len()..];
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_find_is_read_from_what_libfuzzer_prints() {
        let said = "SUMMARY: libFuzzer: deadly signal\nMS: 1 EraseBytes-; base unit: 4f\n\
                    artifact_prefix='f/'; Test unit written to f/crash-da39\nBase64: PA==";
        assert_eq!(finds(said), [PathBuf::from("f/crash-da39")]);
        assert!(finds("Done 7 runs in 1 second(s)").is_empty());
    }

    #[test]
    fn numbers_are_read_from_what_libfuzzer_prints() {
        let said = "#2 INITED cov: 17 ft: 18 corp: 1/1b\n#65536 pulse  cov: 4051 ft: 9\nDone\n\
                    stat::number_of_executed_units: 70001\nstat::average_exec_per_sec: 9";
        assert_eq!(number_after(said, " cov: "), Some(4051));
        assert_eq!(number_after(said, "stat::number_of_executed_units: "), Some(70_001));
        assert_eq!(number_after(said, "nothing "), None);
    }
}
