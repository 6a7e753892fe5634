//! The tables that stand in other pages, between a pair of marks: the READMEs' and that of `docs/capacity.md`.

use std::fmt::Write;
use std::fs;

use ci_bridge_bench::workload::Workload;

use super::{MIB, grouped};
use crate::Failure;
use crate::contender::Contender;
use crate::options::Options;
use crate::results::Results;

const SECONDS_A_DAY: f64 = 86_400.0;
/// Of one core, what a sidecar should use.
const ROOM: f64 = 0.1;

/// A table is copied on without the page it comes from.
const NOT_QUIET: &str = "*Measured while other programs ran.*";

pub(super) fn write(options: &Options, results: &Results) -> Result<(), Failure> {
    for (file, mark, table) in [
        (
            "README.md",
            "table",
            contenders(
                results,
                Contender::title,
                "1 KB XML, one core | callbacks/s | × floor | × same message | CPU s/100k | memory",
            ),
        ),
        (
            "README.zh-CN.md",
            "table",
            contenders(
                results,
                Contender::chinese,
                "1 KB XML，一个核 | 回调/秒 | 与下限之比 | 与相同消息之比 | CPU 秒/10 万 | 内存",
            ),
        ),
        ("docs/capacity.md", "capacity", capacity(options, results)),
    ] {
        let path = options.root.join(file);
        let table = if results.is_quiet() { table } else { format!("{table}\n{NOT_QUIET}\n") };
        let text = replaced(&fs::read_to_string(&path)?, mark, &table)
            .map_err(|error| format!("{file}: {error}"))?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// Replaces what stands between `<!-- bench NAME: begin -->` and its end.
fn replaced(text: &str, name: &str, with: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- bench {name}: begin -->\n"), format!("<!-- bench {name}: end -->"));
    let missing = || format!("no marks for the {name}");
    let (before, rest) = text.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}{with}{end}{after}"))
}

fn contenders(results: &Results, title: fn(Contender) -> &'static str, head: &str) -> String {
    let mut table = format!("| {head} |\n|---|---:|---:|---:|---:|---:|\n");
    for contender in Contender::ALL.into_iter().filter(|contender| contender.publishes()) {
        let _ = row(results, contender).map(|row| writeln!(table, "| {} | {row} |", title(contender)));
    }
    table
}

fn row(results: &Results, contender: Contender) -> Option<String> {
    let rate = results.rate(contender, Workload::Xml)?;
    Some(format!(
        "{} | {:.2} | {:.2} | {:.1} | {:.0} MiB",
        grouped(rate),
        rate / results.rate(Contender::Acknowledged, Workload::Xml)?,
        rate / results.rate(Contender::Message, Workload::Xml)?,
        results.cpu(contender, Workload::Xml)?,
        results.resident_at_load(contender, Workload::Xml)? / MIB
    ))
}

fn capacity(options: &Options, results: &Results) -> String {
    let mut table = "| callbacks of | callbacks/s | messages/s | CPU ms a callback | room a day |\n|---|---:|---:|---:|---:|\n".to_owned();
    for workload in &options.workloads {
        let (rate, cpu) =
            (results.rate(Contender::Bridge, *workload), results.cpu(Contender::Bridge, *workload));
        let (Some(rate), Some(cpu)) = (rate, cpu) else { continue };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {:.3} | {} |",
            super::summary::title(*workload),
            grouped(rate),
            grouped(rate * workload.messages() as f64),
            cpu / 100.0,
            millions(ROOM * SECONDS_A_DAY / (cpu / 1e5))
        );
    }
    if let Some(spooled) = results.outage(|outage| outage.spooled.rate()) {
        let _ = writeln!(
            table,
            "| one job as XML, into the spool while NATS is away | {} | | | |",
            grouped(spooled)
        );
    }
    table
}

/// `170 million`: a plan needs no more digits.
fn millions(number: f64) -> String {
    let millions = number / 1e6;
    if millions < 10.0 {
        format!("{millions:.1} million")
    } else {
        format!("{:.0} million", (millions / 10.0).round() * 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = "a\n<!-- bench table: begin -->\nold\n<!-- bench table: end -->\nb\n";
        let new = replaced(text, "table", "new\n").expect("both marks");
        assert_eq!(new, text.replace("old", "new"));
        assert_eq!(replaced(&new, "table", "old\n").as_deref(), Ok(text));
        assert!(replaced(text, "capacity", "").is_err());
    }
}
