//! What the bridge's spool takes while NATS is away, and how it empties when NATS comes: alone, and beside callbacks
//! that go on coming.

use std::thread;
use std::time::{Duration, Instant};

use ci_bridge_bench::measurement::Measurement;
use ci_bridge_bench::workload::Workload;

use crate::contender::Contender;
use crate::load::Load;
use crate::nats::{self, Nats};
use crate::options::Options;
use crate::start::{Programs, Running};
use crate::{Failure, http};

/// A spool that takes longer to empty is not going to.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(crate) struct Outage {
    /// Callbacks into the spool, NATS never having been there.
    pub(crate) spooled: Measurement,
    /// Messages a second out of it, nothing else happening.
    pub(crate) drained: f64,
    /// The same beside live callbacks.
    pub(crate) drained_beside: f64,
    /// Answer times of those callbacks, and of the same rate with an empty spool, in milliseconds.
    pub(crate) live_p99: f64,
    pub(crate) quiet_p99: f64,
}

/// `rate` is the callbacks a second that come while the spool empties.
pub(crate) fn measure(options: &Options, programs: &Programs<'_>, rate: f64) -> Result<Outage, Failure> {
    let (spooled, drained) = drain_alone(options, programs)?;
    let (drained_beside, live_p99, quiet_p99) = drain_beside(options, programs, rate)?;
    let outage = Outage { spooled, drained, drained_beside, live_p99, quiet_p99 };
    eprintln!("  {:12} {}", "spool", brief(&outage));
    Ok(outage)
}

fn drain_alone(options: &Options, programs: &Programs<'_>) -> Result<(Measurement, f64), Failure> {
    let port = nats::free_port()?;
    let bridge = start(programs, port)?;
    let spooled = Load::saturating(Workload::Xml, options.seconds).run(&bridge)?;
    let _nats = Nats::start(&options.nats_server, &options.work, Some(port))?;
    Ok((spooled, Drain::begin(&bridge)?.end()?))
}

fn drain_beside(options: &Options, programs: &Programs<'_>, rate: f64) -> Result<(f64, f64, f64), Failure> {
    let port = nats::free_port()?;
    let bridge = start(programs, port)?;
    // Enough that the spool does not empty before the live callbacks have been measured.
    Load::saturating(Workload::Xml, 2.0 * options.seconds).run(&bridge)?;
    let _nats = Nats::start(&options.nats_server, &options.work, Some(port))?;
    let drain = Drain::begin(&bridge)?;
    let live = Load::saturating(Workload::Xml, options.seconds / 2.0).at_rate(rate);
    let posting = live.begin(&bridge)?;
    let drained = drain.end()?;
    let beside = posting.end()?;
    let quiet = live.run(&bridge)?;
    Ok((drained, beside.latency.p99, quiet.latency.p99))
}

fn start(programs: &Programs<'_>, port: u16) -> Result<Running, Failure> {
    let bridge = programs.start(Contender::Bridge, &format!("nats://127.0.0.1:{port}"))?;
    bridge.accepts()?;
    Ok(bridge)
}

/// A spool that has begun to empty.
struct Drain<'a> {
    bridge: &'a Running,
    depth: f64,
    since: Instant,
}

impl<'a> Drain<'a> {
    /// Waits for the first messages to leave: reconnecting is no part of the rate.
    fn begin(bridge: &'a Running) -> Result<Self, Failure> {
        let full = depth(bridge)?;
        let depth = wait_until(bridge, |depth| depth < full)?;
        Ok(Self { bridge, depth, since: Instant::now() })
    }

    /// Messages a second until it is empty.
    fn end(self) -> Result<f64, Failure> {
        wait_until(self.bridge, |depth| depth == 0.0)?;
        Ok(self.depth / self.since.elapsed().as_secs_f64())
    }
}

fn wait_until(bridge: &Running, reached: impl Fn(f64) -> bool) -> Result<f64, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let depth = depth(bridge)?;
        if reached(depth) {
            return Ok(depth);
        }
        if Instant::now() > deadline {
            return Err(format!("{depth} messages still in the spool after {PATIENCE:?}").into());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn depth(bridge: &Running) -> Result<f64, Failure> {
    metric(bridge, "ci_bridge_spool_messages")
}

/// A figure without labels from `/metrics`.
pub(crate) fn metric(bridge: &Running, name: &str) -> Result<f64, Failure> {
    let metrics = http::get(bridge.admin.as_deref().ok_or("no admin listener")?, "/metrics")?;
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(values.next().ok_or_else(|| format!("no {name} in /metrics"))?.trim().parse()?)
}

fn brief(outage: &Outage) -> String {
    let Outage { spooled, drained, drained_beside, live_p99, quiet_p99 } = outage;
    format!(
        "{:7.0}/s into it, CPU {:.2} s/100k; out of it {drained:.0}/s, beside live callbacks {drained_beside:.0}/s, \
         whose p99 is {live_p99:.2} ms instead of {quiet_p99:.2}",
        spooled.rate(),
        spooled.cpu_per_100k(),
    )
}
