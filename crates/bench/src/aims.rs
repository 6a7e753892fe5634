//! What the bridge is meant to reach, each against the acknowledged floor of the same run.

use ci_bridge_bench::workload::Workload;

use crate::contender::Contender::{Acknowledged, Bridge, Message};
use crate::numbers::grouped;
use crate::results::Results;

const MIB: f64 = 1024.0 * 1024.0;

/// One aim, and how it went.
#[derive(Debug)]
pub(crate) struct Aim {
    pub(crate) figure: &'static str,
    pub(crate) aim: String,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

/// Those whose figures were measured.
pub(crate) fn all(results: &Results) -> Vec<Aim> {
    let rows = [
        throughput(results),
        cpu(results),
        cpu_of_the_same(results),
        latency(results),
        json(results),
        jobs(results),
        idle(results),
        at_load(results),
        start(results),
        spooled(results),
        spooled_cpu(results),
        drained(results),
        live(results),
        binary(results),
    ];
    rows.into_iter().flatten().collect()
}

fn throughput(results: &Results) -> Option<Aim> {
    let ratio = results.rate(Bridge, Workload::Xml)? / results.rate(Acknowledged, Workload::Xml)?;
    at_least("callbacks a second, XML", ratio, 0.90, " × the floor")
}

fn cpu(results: &Results) -> Option<Aim> {
    let ratio = results.cpu(Bridge, Workload::Xml)? / results.cpu(Acknowledged, Workload::Xml)?;
    at_most("CPU time of a callback, XML", ratio, 1.25, " × the floor")
}

fn cpu_of_the_same(results: &Results) -> Option<Aim> {
    let ratio = results.cpu(Bridge, Workload::Xml)? / results.cpu(Message, Workload::Xml)?;
    at_most("the same, without what NATS takes for the headers", ratio, 1.25, " × the same message")
}

fn latency(results: &Results) -> Option<Aim> {
    let p99 = |contender| results.loaded(contender, 0.5, |one| one.latency.p99);
    let ratio = p99(Bridge)? / p99(Acknowledged)?;
    at_most("p99 at half of what it carries", ratio, 1.2, " × the floor at half of its own")
}

fn json(results: &Results) -> Option<Aim> {
    let ratio = results.rate(Bridge, Workload::Json)? / results.rate(Bridge, Workload::Xml)?;
    at_least("JSON of the same callback", ratio, 1.0, " × XML")
}

/// Either of two will do: the bus itself ends near 100,000 messages a second where it has one core.
fn jobs(results: &Results) -> Option<Aim> {
    let messages = results.rate(Bridge, Workload::Jobs(64))? * 64.0;
    let ratio = messages / results.rate(Acknowledged, Workload::Xml)?;
    Some(Aim {
        figure: "messages a second, 64 jobs in a callback",
        aim: "≥ 150,000 or 2 × the floor".to_owned(),
        measured: format!("{}, {ratio:.2} × the floor", grouped(messages)),
        met: messages >= 150_000.0 || ratio >= 2.0,
    })
}

fn idle(results: &Results) -> Option<Aim> {
    at_most("resident memory, idle", results.start(Bridge, |start| start.resident as f64)? / MIB, 8.0, " MiB")
}

fn at_load(results: &Results) -> Option<Aim> {
    at_most("resident memory at load", results.resident_at_load(Bridge, Workload::Xml)? / MIB, 16.0, " MiB")
}

fn start(results: &Results) -> Option<Aim> {
    let seconds = results.start(Bridge, |start| start.ready_after.as_secs_f64())?;
    at_most("start to ready, NATS up", seconds * 1e3, 30.0, " ms")
}

fn spooled(results: &Results) -> Option<Aim> {
    let ratio =
        results.outage(|outage| outage.spooled.rate())? / results.rate(Acknowledged, Workload::Xml)?;
    at_least("NATS away: callbacks a second into the spool", ratio, 0.5, " × the floor")
}

fn spooled_cpu(results: &Results) -> Option<Aim> {
    let ratio =
        results.outage(|outage| outage.spooled.cpu_per_100k())? / results.cpu(Acknowledged, Workload::Xml)?;
    at_most("NATS away: CPU time of a callback", ratio, 1.5, " × the floor")
}

fn drained(results: &Results) -> Option<Aim> {
    let rate = results.outage(|outage| outage.drained_beside)?;
    at_least("messages a second out of the spool, beside live callbacks", rate, 20_000.0, "")
}

fn live(results: &Results) -> Option<Aim> {
    let ratio = results.outage(|outage| outage.live_p99 / outage.quiet_p99)?;
    at_most("p99 of the live callbacks meanwhile", ratio, 2.0, " × without")
}

fn binary(results: &Results) -> Option<Aim> {
    at_most("binary", *results.binary_bytes.get(&Bridge)? as f64 / 1e6, 12.0, " MB")
}

fn at_least(figure: &'static str, value: f64, aim: f64, unit: &str) -> Option<Aim> {
    Some(Aim {
        figure,
        aim: format!("≥ {}{unit}", plain(aim)),
        measured: shown(value, unit),
        met: value >= aim,
    })
}

fn at_most(figure: &'static str, value: f64, aim: f64, unit: &str) -> Option<Aim> {
    Some(Aim {
        figure,
        aim: format!("≤ {}{unit}", plain(aim)),
        measured: shown(value, unit),
        met: value <= aim,
    })
}

fn plain(number: f64) -> String {
    if number >= 1000.0 { grouped(number) } else { format!("{number}") }
}

fn shown(value: f64, unit: &str) -> String {
    match value {
        1000.0.. => format!("{}{unit}", grouped(value)),
        10.0.. => format!("{value:.1}{unit}"),
        _ => format!("{value:.2}{unit}"),
    }
}
