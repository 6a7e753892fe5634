//! The order in which everything is measured: round by round, and in each round every contender, so that a machine
//! that is slower for a minute is slower for all of them.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use ci_bridge_bench::process;
use ci_bridge_bench::workload::Workload;

use crate::Failure;
use crate::contender::Contender;
use crate::load::Load;
use crate::machine::Clocks;
use crate::nats::{Nats, Stored};
use crate::options::Options;
use crate::outage;
use crate::peers::Peers;
use crate::results::{Results, SHARES, Sample, Start};
use crate::start::{Programs, Running};
use crate::{prepared, programs};

/// Of what the acknowledged floor carries, what comes while the spool empties: live callbacks share the core with that.
const LIVE: f64 = 0.25;
/// A stream that lacks a message after this has lost it; what was spooled meanwhile is on its way.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

pub(crate) fn run(options: &Options) -> Result<Results, Failure> {
    fs::create_dir_all(&options.work)?;
    let before = Clocks::read()?;
    let mut results = all_rounds(options)?;
    results.others_busy = before.others_since()?;
    Ok(results)
}

fn all_rounds(options: &Options) -> Result<Results, Failure> {
    let peers = Peers::install(&options.contenders, &options.root, &options.work);
    let prepared = prepared::write(options)?;
    let programs =
        Programs { bridge: &options.bridge, peers: &peers, prepared: prepared.path(), work: &options.work };
    let mut contenders: Vec<_> =
        options.contenders.iter().copied().filter(|one| !peers.lacks(*one)).collect();
    let mut results = Results::default();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for contender in &contenders {
            measure(*contender, options, &programs, &mut results)?;
        }
        if contenders.contains(&Contender::Bridge) {
            let rate = |workload: &Workload| results.rate(Contender::Acknowledged, *workload);
            let rate = rate(&Workload::Xml).or_else(|| options.workloads.iter().find_map(rate));
            results.outages.push(outage::measure(options, &programs, LIVE * rate.unwrap_or_default())?);
        }
        // Nobody always comes after the same.
        contenders.rotate_left(1);
    }
    for contender in contenders {
        if let Some(program) = program_of(contender, options, &peers)? {
            results.binary_bytes.insert(contender, fs::metadata(program)?.len());
        }
    }
    Ok(results)
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
    for workload in options.workloads.iter().filter(|workload| contender.takes(**workload)) {
        let before = nats.stored()?;
        let sample = sample(contender, *workload, options.seconds, &running, &nats)
            .and_then(|sample| all_stored(contender, *workload, &sample, &nats, before).map(|()| sample))
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
fn all_stored(
    contender: Contender,
    workload: Workload,
    sample: &Sample,
    nats: &Nats,
    before: Stored,
) -> Result<(), Failure> {
    if !contender.publishes() {
        return Ok(());
    }
    let answers = sample.saturated.answers + sample.loaded.iter().map(|one| one.answers).sum::<u64>();
    let each = if contender.publishes_the_raw_body() { 1 } else { workload.messages() as u64 };
    let objects = if workload.is_large() { answers } else { 0 };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stored = nats.stored()?;
        let (messages, names) = (stored.messages - before.messages, stored.objects - before.objects);
        if messages >= answers * each && names >= objects {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "{answers} callbacks were answered, {messages} messages and {names} objects are in NATS"
            )
            .into());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn sample(
    contender: Contender,
    workload: Workload,
    seconds: f64,
    running: &Running,
    nats: &Nats,
) -> Result<Sample, Failure> {
    let load = Load::saturating(workload, seconds);
    let before = process::cpu_seconds(nats.pid())?;
    let saturated = load.run(running)?;
    let nats_busy = (process::cpu_seconds(nats.pid())? - before) / (saturated.seconds + load.warmup());
    let mut loaded = Vec::new();
    if workload == Workload::Xml && contender.is_loaded_in_part() && saturated.answers > 0 {
        for share in SHARES {
            loaded.push(load.at_rate(share * saturated.rate()).run(running)?);
        }
    }
    Ok(Sample { saturated, loaded, nats_busy })
}

fn brief(sample: &Sample) -> String {
    let Sample { saturated, loaded, nats_busy } = sample;
    if saturated.answers == 0 {
        return format!("not one answer in {:.1} s: left out", saturated.seconds);
    }
    let half = SHARES.iter().zip(loaded).find(|(share, _)| **share == 0.5);
    let half = half.map_or_else(String::new, |(_, half)| format!(", {:.2} ms at half", half.latency.p99));
    format!(
        "{:7.0}/s, CPU {:5.2} s/100k, p99 {:.2} ms{half}; busy: itself {:.2}, nats {nats_busy:.2}, load {:.2}",
        saturated.rate(),
        saturated.cpu_per_100k(),
        saturated.latency.p99,
        saturated.cores_busy(),
        saturated.own_cpu_seconds / saturated.seconds,
    )
}

fn program_of(contender: Contender, options: &Options, peers: &Peers) -> Result<Option<PathBuf>, Failure> {
    Ok(match contender {
        Contender::Bridge => Some(options.bridge.clone()),
        Contender::Http | Contender::Acknowledged | Contender::Message => Some(programs::sibling("floor")?),
        Contender::Naive => Some(programs::sibling("naive")?),
        peer => peers.program(peer).map(PathBuf::from),
    })
}
