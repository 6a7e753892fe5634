//! What is written: pages of tables and charts, under `target/bench/` always, in `docs/benchmarks/` when asked.

mod excerpt;
mod growth;
mod summary;

use std::fs;

use crate::Failure;
use crate::curves::Curve;
use crate::numbers::grouped;
use crate::options::Options;
use crate::plot;
use crate::results::Results;

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn write(options: &Options, results: &Results) -> Result<(), Failure> {
    let page = summary::page(options, results);
    println!("{page}");
    if options.write {
        excerpt::write(options, results)?;
    }
    keep(options, &[("results.md", page), ("throughput.svg", summary::chart(options, results))])
}

pub(crate) fn write_curves(options: &Options, curves: &[Curve], others_busy: f64) -> Result<(), Failure> {
    let page = growth::page(options, curves, others_busy);
    println!("{page}");
    keep(options, &[("curves.md", page), ("curves.svg", plot::panels(curves))])
}

fn keep(options: &Options, files: &[(&str, String)]) -> Result<(), Failure> {
    let published = options.write.then(|| options.root.join("docs/benchmarks"));
    for place in [options.work.clone()].into_iter().chain(published) {
        fs::create_dir_all(&place)?;
        for (name, content) in files {
            fs::write(place.join(name), content)?;
        }
    }
    Ok(())
}

/// Of answer times, in milliseconds.
fn latencies(values: [f64; 3]) -> String {
    values.map(|value| if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }).join(" / ")
}
