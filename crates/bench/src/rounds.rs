//! The order in which everything is measured: round by round, and in each round every contender, so that a machine
//! that is slower for a minute is slower for all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use ci_bridge_bench::process;
use ci_bridge_bench::workload::Workload;

use crate::Failure;
use crate::contender::Contender;
use crate::load::{self, Load};
use crate::machine::Clocks;
use crate::nats::Nats;
use crate::options::Options;
use crate::outage;
use crate::peers::Peers;
use crate::results::{Results, Sample, Start};
use crate::start::{Programs, Running};

/// The moderate runs send this share of what the floor carries.
const MODERATE: f64 = 0.5;
/// Of the moderate rate, what comes while the spool empties: live callbacks share the core with that.
const LIVE: f64 = 0.5;
/// A contender that carries less than this more than the moderate rate would only show its queue.
const HEADROOM: f64 = 1.05;

pub(crate) fn run(options: &Options) -> Result<Results, Failure> {
    fs::create_dir_all(&options.work)?;
    let before = Clocks::read()?;
    let mut results = all_rounds(options)?;
    results.others_busy = before.others_since()?;
    Ok(results)
}

fn all_rounds(options: &Options) -> Result<Results, Failure> {
    let peers = Peers::install(&options.contenders, &options.root, &options.work);
    let programs = Programs { bridge: &options.bridge, peers: &peers, work: &options.work };
    let mut contenders: Vec<_> = options.contenders.iter().copied().filter(|one| peers.has(*one)).collect();
    let mut results = Results { rates: moderate_rates(options, &programs)?, ..Results::default() };
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for contender in &contenders {
            measure(*contender, options, &programs, &mut results)?;
        }
        if contenders.contains(&Contender::Bridge) {
            let rate = results.rates.get(&Workload::Xml).or_else(|| results.rates.values().next());
            let rate = LIVE * rate.copied().unwrap_or_default();
            results.outages.push(outage::measure(options, &programs, rate)?);
        }
        // Nobody always comes after the same.
        contenders.rotate_left(1);
    }
    for contender in contenders {
        if let Some(program) = program_of(contender, options)? {
            results.binary_bytes.insert(contender, fs::metadata(program)?.len());
        }
    }
    Ok(results)
}

/// One rate for all rounds, so that their latencies can be compared.
fn moderate_rates(options: &Options, programs: &Programs<'_>) -> Result<BTreeMap<Workload, f64>, Failure> {
    let nats = Nats::start(&options.nats_server, &options.work, None)?;
    let floor = programs.start(Contender::Acknowledged, nats.url())?;
    floor.ready()?;
    let rate = |workload: &Workload| {
        // The floor publishes one message whatever is in the body. For a fair rate of callbacks with many jobs, those jobs
        // have come to it one by one.
        let (measured, share) = match workload {
            Workload::Jobs(count) => (Workload::Xml, MODERATE / *count as f64),
            _ => (*workload, MODERATE),
        };
        let measurement = Load::saturating(measured, options.seconds).run(&floor)?;
        Ok((*workload, measurement.rate() * share))
    };
    options.workloads.iter().map(rate).collect()
}

fn measure(
    contender: Contender,
    options: &Options,
    programs: &Programs<'_>,
    results: &mut Results,
) -> Result<(), Failure> {
    let nats = Nats::start(&options.nats_server, &options.work, None)?;
    let running = programs.start(contender, nats.url())?;
    let ready_after = running.ready()?;
    let start = Start { ready_after, resident: process::resident(running.pid())? };
    results.starts.entry(contender).or_default().push(start);
    for workload in &options.workloads {
        let rate = results.rates.get(workload).copied().unwrap_or_default();
        let before = nats.stored()?;
        let sample = sample(*workload, rate, options.seconds, &running, &nats)
            .and_then(|sample| {
                all_stored(contender, *workload, &sample, nats.stored()? - before).map(|()| sample)
            })
            .map_err(|error| format!("{contender}, {workload}: {error}\n{}", running.complaints()))?;
        eprintln!("  {contender:12} {:18} {}", workload.to_string(), brief(&sample));
        // A contender may need longer for one answer than was measured, on a machine that is busy otherwise.
        if sample.saturated.answers > 0 {
            results.samples.entry((contender, *workload)).or_default().push(sample);
        }
        if contender.publishes() {
            nats.purge()?;
        }
    }
    Ok(())
}

/// An answer of 200 is worth what stands behind it: no contender may be fast by losing or by repeating itself.
fn all_stored(contender: Contender, workload: Workload, sample: &Sample, stored: u64) -> Result<(), Failure> {
    let each = if contender.publishes_the_raw_body() { 1 } else { workload.messages() as u64 };
    let moderate = sample.moderate.as_ref().map_or(0, |moderate| moderate.answers);
    let promised = (sample.saturated.answers + moderate) * each;
    if contender.publishes() && stored < promised {
        return Err(format!("{promised} messages were answered for, {stored} are in the stream").into());
    }
    Ok(())
}

fn sample(
    workload: Workload,
    rate: f64,
    seconds: f64,
    running: &Running,
    nats: &Nats,
) -> Result<Sample, Failure> {
    let load = Load::saturating(workload, seconds);
    let before = process::cpu_seconds(nats.pid())?;
    let saturated = load.run(running)?;
    let nats_busy = (process::cpu_seconds(nats.pid())? - before) / (saturated.seconds + load.warmup());
    let moderate =
        if saturated.rate() > rate * HEADROOM { Some(load.at_rate(rate).run(running)?) } else { None };
    Ok(Sample { saturated, moderate, nats_busy })
}

fn brief(sample: &Sample) -> String {
    let Sample { saturated, moderate, nats_busy } = sample;
    if saturated.answers == 0 {
        return format!("not one answer in {:.1} s: left out", saturated.seconds);
    }
    let moderate = moderate.as_ref().map_or_else(
        || "does not carry the moderate rate".to_owned(),
        |one| format!("p99 {:.2} ms at {:.0}/s", one.latency.p99, one.rate()),
    );
    format!(
        "{:7.0}/s, CPU {:5.2} s/100k, p99 {:.2} ms, {moderate}; busy: itself {:.2}, nats {nats_busy:.2}, load {:.2}",
        saturated.rate(),
        saturated.cpu_per_100k(),
        saturated.latency.p99,
        saturated.cores_busy(),
        saturated.own_cpu_seconds / saturated.seconds,
    )
}

/// Interpreters are not the peers' own size.
fn program_of(contender: Contender, options: &Options) -> Result<Option<PathBuf>, Failure> {
    Ok(match contender {
        Contender::Bridge => Some(options.bridge.clone()),
        Contender::Http | Contender::Acknowledged => Some(load::sibling("floor")?),
        Contender::Naive => Some(load::sibling("naive")?),
        Contender::Python | Contender::Node => None,
    })
}
