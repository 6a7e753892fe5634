//! The page of all contenders, and the chart of their throughput.

use std::fmt::Write;

use ci_bridge_bench::measurement::Percentiles;
use ci_bridge_bench::workload::Workload;

use super::{MIB, grouped, latencies};
use crate::chart::{self, Bar};
use crate::contender::Contender;
use crate::options::Options;
use crate::outage::Outage;
use crate::results::{Results, SHARES, Sample};
use crate::{aims, load, machine};

pub(super) fn page(options: &Options, results: &Results) -> String {
    let mut page = format!(
        "# Results\n\nWritten by `cargo xtask bench`; what the columns mean is in [performance.md](../performance.md).\n\
         {}. Medians; rounds: {}, seconds each: {}.\n",
        machine::describe(&options.nats_server),
        options.rounds,
        options.seconds
    );
    page.push_str(&machine::warning(results.others_busy));
    for workload in &options.workloads {
        let _ = write!(page, "\n## {}\n\n{}", title(*workload), table(results, *workload));
    }
    page.push_str(&loaded(results).unwrap_or_default());
    page.push_str("\n## The programs\n\n");
    page.push_str(&programs(results));
    page.push_str(&spool(results).unwrap_or_default());
    page.push_str("\n## Against the aims\n\n| figure | aim | measured | |\n|---|---|---:|---|\n");
    for aim in aims::all(results) {
        let verdict = if aim.met { "met" } else { "**not met**" };
        let _ = writeln!(page, "| {} | {} | {} | {verdict} |", aim.figure, aim.aim, aim.measured);
    }
    page
}

pub(super) fn title(workload: Workload) -> String {
    let size = workload.body().len();
    match workload {
        Workload::Xml => format!("One job as XML, {size} bytes"),
        Workload::Json => format!("The same as JSON, {size} bytes"),
        Workload::Jobs(count) => {
            format!("{count} jobs in a callback, as XML, {} bytes", grouped(size as f64))
        }
        Workload::Moderation(_) => format!("A video's moderation as JSON, {} bytes", grouped(size as f64)),
        Workload::Subjects(count) => format!("One job as XML, on {count} subjects"),
    }
}

fn table(results: &Results, workload: Workload) -> String {
    let mut table =
        "| | callbacks/s | MB/s | × floor | × same message | CPU s/100k | × floor | × same message | \
                     p50 / p99 / p999 ms, saturated | memory MiB |\n\
                     |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for contender in Contender::ALL {
        let Some(row) = row(results, contender, workload) else { continue };
        let _ = writeln!(table, "| {} | {row} |", contender.title());
    }
    if let (Workload::Jobs(count), Some(rate)) = (workload, results.rate(Contender::Bridge, workload)) {
        let _ = writeln!(
            table,
            "\nci-bridge publishes {} messages a second here; the floor of the raw body publishes one a callback.",
            grouped(rate * count as f64)
        );
    }
    if workload.is_large() {
        let _ = writeln!(
            table,
            "\nOver {} connections. More than NATS takes in a message: ci-bridge and both floors put it into the object store, \
             in chunks, and publish a message that says where. The others would have to refuse it, and are left out.",
            load::connections(workload)
        );
    }
    table
}

fn row(results: &Results, contender: Contender, workload: Workload) -> Option<String> {
    let median =
        |figure: &dyn Fn(&Sample) -> f64| results.median(contender, workload, |one| Some(figure(one)));
    let (rate, cpu) = (results.rate(contender, workload)?, results.cpu(contender, workload)?);
    let ratio = |value: f64, of: Option<f64>| of.map_or("–".to_owned(), |of| format!("{:.2}", value / of));
    let [floor, message] = [Contender::Acknowledged, Contender::Message];
    let saturated = [
        median(&|sample| sample.saturated.latency.p50)?,
        median(&|sample| sample.saturated.latency.p99)?,
        median(&|sample| sample.saturated.latency.p999)?,
    ];
    Some(format!(
        "{} | {:.1} | {} | {} | {cpu:.2} | {} | {} | {} | {:.0}",
        grouped(rate),
        rate * workload.body_bytes() as f64 / 1e6,
        ratio(rate, results.rate(floor, workload)),
        ratio(rate, results.rate(message, workload)),
        ratio(cpu, results.cpu(floor, workload)),
        ratio(cpu, results.cpu(message, workload)),
        latencies(saturated),
        results.resident_at_load(contender, workload)? / MIB
    ))
}

/// How answer times grow with load: each contender at shares of what it carries itself.
fn loaded(results: &Results) -> Option<String> {
    let contenders: Vec<_> = Contender::ALL.into_iter().filter(|one| one.is_loaded_in_part()).collect();
    let mut table = "\n## Answer times under load\n\nOne job as XML, each at a share of its own saturation; p50 / p99 / p999 ms.\n\n\
                     | load |"
        .to_owned();
    for contender in &contenders {
        let _ = write!(table, " {} |", contender.title());
    }
    let _ = writeln!(table, " p99, ci-bridge × floor |\n|---:|{}---:|", "---:|".repeat(contenders.len()));
    for share in SHARES {
        let _ = write!(table, "| {:.0} % |", share * 100.0);
        for contender in &contenders {
            let at = |figure: &dyn Fn(&Percentiles) -> f64| {
                results.loaded(*contender, share, |one| figure(&one.latency))
            };
            let times = [at(&|times| times.p50), at(&|times| times.p99), at(&|times| times.p999)];
            let [Some(p50), Some(p99), Some(p999)] = times else { return None };
            let _ = write!(table, " {} |", latencies([p50, p99, p999]));
        }
        let p99 = |contender| results.loaded(contender, share, |one| one.latency.p99);
        let _ = writeln!(table, " {:.2} |", p99(Contender::Bridge)? / p99(Contender::Acknowledged)?);
    }
    Some(table)
}

fn programs(results: &Results) -> String {
    let mut table =
        "| | start to ready ms | memory idle MiB | binary MB |\n|---|---:|---:|---:|\n".to_owned();
    for contender in Contender::ALL {
        let ready = results.start(contender, |start| start.ready_after.as_secs_f64() * 1e3);
        let idle = results.start(contender, |start| start.resident as f64 / MIB);
        let (Some(ready), Some(idle)) = (ready, idle) else { continue };
        let binary = results.binary_bytes.get(&contender);
        let binary = binary.map_or_else(|| "–".to_owned(), |bytes| format!("{:.1}", *bytes as f64 / 1e6));
        let _ = writeln!(table, "| {} | {ready:.0} | {idle:.0} | {binary} |", contender.title());
    }
    table
}

fn spool(results: &Results) -> Option<String> {
    let outage = |figure: &dyn Fn(&Outage) -> f64| results.outage(figure);
    Some(format!(
        "\n## The spool\n\n| | |\n|---|---:|\n\
         | NATS away: callbacks/s into the spool, fsynced | {} |\n\
         | its CPU s/100k | {:.2} |\n\
         | NATS back: messages/s out of it | {} |\n\
         | the same beside live callbacks | {} |\n\
         | their p99, and without a drain, ms | {:.2} / {:.2} |\n",
        grouped(outage(&|outage| outage.spooled.rate())?),
        outage(&|outage| outage.spooled.cpu_per_100k())?,
        grouped(outage(&|outage| outage.drained)?),
        grouped(outage(&|outage| outage.drained_beside)?),
        outage(&|outage| outage.live_p99)?,
        outage(&|outage| outage.quiet_p99)?,
    ))
}

pub(super) fn chart(options: &Options, results: &Results) -> String {
    let mut bars: Vec<Bar> = Contender::ALL
        .into_iter()
        .filter(|contender| contender.publishes())
        .filter_map(|contender| {
            let value = results.rate(contender, Workload::Xml)?;
            let (name, highlighted) = (contender.title().to_owned(), contender == Contender::Bridge);
            Some(Bar { name, value, label: grouped(value), highlighted })
        })
        .collect();
    bars.sort_by(|one, other| other.value.total_cmp(&one.value));
    let note = format!(
        "1 KB XML, every callback acknowledged by JetStream before its answer; median of rounds: {}",
        options.rounds
    );
    chart::bars("Callbacks a second on one core", &note, &bars)
}
