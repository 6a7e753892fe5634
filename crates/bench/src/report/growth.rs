//! The page of how cost grows.

use std::fmt::Write;

use ci_bridge_bench::measurement::Measurement;

use super::{MIB, grouped, latencies};
use crate::curves::{Cost, Curve, Shape};
use crate::machine;
use crate::options::Options;

pub(super) fn page(options: &Options, curves: &[Curve], others_busy: f64) -> String {
    let mut page = format!(
        "# How cost grows\n\nWritten by `cargo xtask bench --curves`, of ci-bridge alone.\n{}. Seconds each: {}.\n\n\
         ![What a callback costs](curves.svg)\n",
        machine::describe(&options.nats_server),
        options.seconds
    );
    page.push_str(&machine::warning(others_busy));
    for curve in curves {
        let expected = if curve.shape == Shape::Flat { "flat" } else { "in proportion, or less" };
        let found = curve
            .bends_at()
            .map_or_else(|| "it is".to_owned(), |x| format!("**it bends at {}**", grouped(x)));
        let _ = write!(
            page,
            "\n## {}\n\n{} should be {expected}: {found}.\n\n\
             | {} | callbacks/s | CPU µs a callback | p50 / p99 / p999 ms | memory MiB |\n|---:|---:|---:|---:|---:|\n",
            curve.title,
            curve.cost.name(),
            curve.cause
        );
        for point in &curve.points {
            let Measurement { latency, resident, .. } = point.measured;
            let _ = writeln!(
                page,
                "| {} | {} | {:.1} | {} | {:.0} |",
                grouped(point.x),
                grouped(point.measured.rate()),
                Cost::Cpu.of(point),
                latencies([latency.p50, latency.p99, latency.p999]),
                resident as f64 / MIB
            );
        }
    }
    page
}
