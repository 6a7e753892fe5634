//! What was measured, and its medians.

use std::collections::BTreeMap;
use std::time::Duration;

use ci_bridge_bench::measurement::Measurement;
use ci_bridge_bench::workload::Workload;

use crate::contender::Contender;
use crate::machine::QUIET;
use crate::outage::Outage;

/// Of what a contender carries: how its answer times grow with load is looked at there.
pub(crate) const SHARES: [f64; 6] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

/// One round of one contender and workload.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) saturated: Measurement,
    /// At each of [`SHARES`] of that; empty where that is not looked at.
    pub(crate) loaded: Vec<Measurement>,
    /// CPU time of nats-server during the saturating run, in cores: near 1, the bus was the limit, not the contender.
    pub(crate) nats_busy: f64,
}

/// One start of a contender.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) ready_after: Duration,
    /// Resident memory after one callback, in bytes.
    pub(crate) resident: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) samples: BTreeMap<(Contender, Workload), Vec<Sample>>,
    pub(crate) starts: BTreeMap<Contender, Vec<Start>>,
    pub(crate) binary_bytes: BTreeMap<Contender, u64>,
    pub(crate) outages: Vec<Outage>,
    /// Cores that other programs used meanwhile, on average.
    pub(crate) others_busy: f64,
}

impl Results {
    /// The median of a figure over the rounds; none where nothing was measured.
    pub(crate) fn median(
        &self,
        contender: Contender,
        workload: Workload,
        figure: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<f64> {
        median(self.samples.get(&(contender, workload))?.iter().filter_map(figure))
    }

    /// Whether the figures are those of the contenders alone.
    pub(crate) fn is_quiet(&self) -> bool {
        self.others_busy < QUIET
    }

    /// Callbacks a second at saturation.
    pub(crate) fn rate(&self, contender: Contender, workload: Workload) -> Option<f64> {
        self.median(contender, workload, |sample| Some(sample.saturated.rate()))
    }

    pub(crate) fn cpu(&self, contender: Contender, workload: Workload) -> Option<f64> {
        self.median(contender, workload, |sample| Some(sample.saturated.cpu_per_100k()))
    }

    /// Of a contender under a share of the load that it carries, in milliseconds.
    pub(crate) fn loaded(
        &self,
        contender: Contender,
        share: f64,
        figure: impl Fn(&Measurement) -> f64,
    ) -> Option<f64> {
        let place = SHARES.iter().position(|one| *one == share)?;
        self.median(contender, Workload::Xml, |sample| sample.loaded.get(place).map(&figure))
    }

    pub(crate) fn resident_at_load(&self, contender: Contender, workload: Workload) -> Option<f64> {
        self.median(contender, workload, |sample| Some(sample.saturated.resident as f64))
    }

    pub(crate) fn start(&self, contender: Contender, figure: impl Fn(&Start) -> f64) -> Option<f64> {
        median(self.starts.get(&contender)?.iter().map(figure))
    }

    pub(crate) fn outage(&self, figure: impl Fn(&Outage) -> f64) -> Option<f64> {
        median(self.outages.iter().map(figure))
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0], Some(5.0)),
            (vec![7.0, 1.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values.clone().into_iter()), expected, "{values:?}");
        }
    }
}
