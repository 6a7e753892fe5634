//! How cost grows: one thing at a time grows by decades, everything else stays. A cost a callback that is flat, or in
//! proportion to what the callback holds, has nothing hidden in it that a larger site would find.

use ci_bridge_bench::measurement::Measurement;
use ci_bridge_bench::workload::Workload;

use crate::Failure;
use crate::contender::Contender;
use crate::load::Load;
use crate::nats::{self, Nats};
use crate::options::Options;
use crate::outage;
use crate::peers::Peers;
use crate::results::SHARES;
use crate::start::{Programs, Running};

/// Half of what an administrator usually allows a process to open, and more than a vendor is going to.
const CONNECTION_COUNTS: [usize; 8] = [1, 4, 16, 64, 256, 1024, 4096, 10_000];
const RATES: [f64; 3] = [10.0, 100.0, 1000.0];
const BODY_BYTES: [usize; 10] =
    [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];
const JOBS: [usize; 8] = [1, 2, 5, 10, 20, 50, 100, 200];
const SUBJECTS: [u32; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
/// Of the spool: no more disk than a laptop has to spare, and a point each so many bytes.
const SPOOL_BYTES: f64 = 200e6;
const SPOOL_STEP: f64 = 20e6;
/// A disk that takes longer than these for it ends the curve early.
const SPOOL_RUNS_AT_MOST: usize = 60;

/// What a cost should do as its cause grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    Flat,
    Linear,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cost {
    /// CPU time of a callback, in microseconds.
    Cpu,
    /// The median of answer times, in milliseconds: where few callbacks come, most CPU time is not theirs.
    Latency,
}

#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) measured: Measurement,
}

#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) title: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) cost: Cost,
    pub(crate) shape: Shape,
    pub(crate) points: Vec<Point>,
}

impl Cost {
    pub(crate) fn of(self, point: &Point) -> f64 {
        match self {
            Self::Cpu => point.measured.cpu_per_100k() * 10.0,
            Self::Latency => point.measured.latency.p50,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "µs of CPU a callback",
            Self::Latency => "ms to the answer, median",
        }
    }
}

impl Curve {
    /// Where cost first leaves its shape, against the least before; none: it keeps to it.
    pub(crate) fn bends_at(&self) -> Option<f64> {
        // More than two runs of the same differ by, and less than what a quadratic cost shows in one step.
        const TOLERANCE: f64 = 1.5;
        let mut least = f64::INFINITY;
        for point in &self.points {
            let cost = match self.shape {
                Shape::Flat => self.cost.of(point),
                Shape::Linear => self.cost.of(point) / point.x,
            };
            if cost > least * TOLERANCE {
                return Some(point.x);
            }
            least = least.min(cost);
        }
        None
    }
}

pub(crate) fn run(options: &Options) -> Result<Vec<Curve>, Failure> {
    std::fs::create_dir_all(&options.work)?;
    let peers = Peers::default();
    // The floor that publishes what is prepared takes no part.
    let work = options.work.as_path();
    let programs = Programs { bridge: &options.bridge, peers: &peers, prepared: work, work };
    let bench = Bench { options, programs };
    Ok(vec![
        bench.rates()?,
        bench.loads(
            "Size of the body",
            "bytes",
            Shape::Linear,
            BODY_BYTES.map(|bytes| (bytes as f64, Workload::Moderation(bytes))),
        )?,
        bench.loads(
            "Jobs in a callback",
            "jobs",
            Shape::Linear,
            JOBS.map(|count| (count as f64, Workload::Jobs(count))),
        )?,
        bench.connections()?,
        bench.loads(
            "Distinct subjects",
            "subjects",
            Shape::Flat,
            SUBJECTS.map(|count| (f64::from(count), Workload::Subjects(count))),
        )?,
        bench.spool()?,
    ])
}

struct Bench<'a> {
    options: &'a Options,
    programs: Programs<'a>,
}

impl Bench<'_> {
    /// A bridge and a server for one curve.
    fn stage(&self) -> Result<(Nats, Running), Failure> {
        let nats = Nats::start(&self.options.nats_server, &self.options.work, None)?;
        let bridge = self.programs.start(Contender::Bridge, nats.url())?;
        bridge.ready()?;
        Ok((nats, bridge))
    }

    fn rates(&self) -> Result<Curve, Failure> {
        let (_nats, bridge) = self.stage()?;
        let load = Load::saturating(Workload::Xml, self.options.seconds);
        let saturated = load.run(&bridge)?;
        let saturation = saturated.rate();
        let mut points = Vec::new();
        let rates = RATES.into_iter().chain(SHARES.map(|share| share * saturation));
        for rate in rates.filter(|rate| *rate <= saturation) {
            points.push(point(rate, load.at_rate(rate).run(&bridge)?));
        }
        points.push(point(saturation, saturated));
        points.sort_by(|one, other| one.x.total_cmp(&other.x));
        Ok(Curve {
            title: "Callbacks a second",
            cause: "callbacks/s",
            cost: Cost::Latency,
            shape: Shape::Flat,
            points,
        })
    }

    fn loads<const N: usize>(
        &self,
        title: &'static str,
        cause: &'static str,
        shape: Shape,
        workloads: [(f64, Workload); N],
    ) -> Result<Curve, Failure> {
        let (nats, bridge) = self.stage()?;
        let mut points = Vec::new();
        for (x, workload) in workloads {
            points.push(point(x, Load::saturating(workload, self.options.seconds).run(&bridge)?));
            nats.purge()?;
        }
        Ok(Curve { title, cause, cost: Cost::Cpu, shape, points })
    }

    fn connections(&self) -> Result<Curve, Failure> {
        let (nats, bridge) = self.stage()?;
        let mut points = Vec::new();
        for connections in CONNECTION_COUNTS {
            let load = Load { connections, ..Load::saturating(Workload::Xml, self.options.seconds) };
            points.push(point(connections as f64, load.run(&bridge)?));
            nats.purge()?;
        }
        Ok(Curve { title: "Connections", cause: "connections", cost: Cost::Cpu, shape: Shape::Flat, points })
    }

    /// The spool fills while NATS is away; each point is what the next callbacks cost.
    fn spool(&self) -> Result<Curve, Failure> {
        let bridge =
            self.programs.start(Contender::Bridge, &format!("nats://127.0.0.1:{}", nats::free_port()?))?;
        bridge.accepts()?;
        let load = Load::saturating(Workload::Xml, self.options.seconds);
        let mut points = Vec::new();
        for _ in 0..SPOOL_RUNS_AT_MOST {
            let held = outage::metric(&bridge, "ci_bridge_spool_bytes")?;
            let measured = load.run(&bridge)?;
            if held >= SPOOL_STEP * points.len() as f64 {
                // An empty one has no place on a logarithmic axis.
                points.push(point((held / 1e6).max(1.0), measured));
            }
            if held > SPOOL_BYTES {
                break;
            }
        }
        Ok(Curve {
            title: "Spool, NATS away",
            cause: "MB in it",
            cost: Cost::Cpu,
            shape: Shape::Flat,
            points,
        })
    }
}

fn point(x: f64, measured: Measurement) -> Point {
    eprintln!(
        "  {x:12.0} {:8.0}/s, CPU {:6.2} s/100k, p99 {:.2} ms",
        measured.rate(),
        measured.cpu_per_100k(),
        measured.latency.p99
    );
    Point { x, measured }
}

#[cfg(test)]
mod tests {
    use ci_bridge_bench::measurement::Percentiles;

    use super::*;

    fn curve(shape: Shape, costs: &[(f64, f64)]) -> Curve {
        let latency = Percentiles { p50: 1.0, p99: 1.0, p999: 1.0 };
        let measured = |cpu_seconds| Measurement {
            seconds: 1.0,
            answers: 1000,
            failures: 0,
            first_failure: None,
            latency,
            cpu_seconds,
            resident: 0,
            own_cpu_seconds: 0.0,
        };
        let points = costs.iter().map(|(x, cpu)| Point { x: *x, measured: measured(*cpu) }).collect();
        Curve { title: "", cause: "", cost: Cost::Cpu, shape, points }
    }

    #[test]
    fn curves_that_keep_their_shape_and_curves_that_bend() {
        for (shape, costs, bends) in [
            (Shape::Flat, [(1.0, 2.0), (10.0, 1.0), (100.0, 1.4)], None),
            (Shape::Flat, [(1.0, 1.0), (10.0, 1.0), (100.0, 1.6)], Some(100.0)),
            (Shape::Linear, [(1.0, 1.0), (10.0, 5.0), (100.0, 50.0)], None),
            (Shape::Linear, [(1.0, 1.0), (10.0, 20.0), (100.0, 2000.0)], Some(10.0)),
        ] {
            assert_eq!(curve(shape, &costs).bends_at(), bends, "{costs:?}");
        }
    }
}
