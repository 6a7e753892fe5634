//! Callbacks of our own making, in the vendor's shapes.

use clap::builder::PossibleValue;

pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) body: &'static str,
}

macro_rules! sample {
    ($name:literal, $file:literal, $about:literal) => {
        Sample { name: $name, about: $about, body: include_str!(concat!("../../samples/", $file)) }
    };
}

/// In the order in which `demo` posts them.
pub(super) const SAMPLES: [Sample; 8] = [
    sample!("noise-reduction", "noise-reduction.xml", "a finished noise reduction, as XML"),
    sample!(
        "noise-reduction-json",
        "noise-reduction.json",
        "the same job again, as JSON: recognised as a repetition"
    ),
    sample!("transcode-failed", "transcode-failed.xml", "a transcoding that failed"),
    sample!("batch", "batch.json", "three jobs in one callback"),
    sample!("workflow-failed", "workflow-failed.xml", "a workflow in which one task failed"),
    sample!("moderation", "moderation.json", "an image that moderation objects to"),
    sample!("probe", "probe.json", "the console's test of a moderation URL: answered, not published"),
    sample!("broken", "broken.json", "a body that nobody can read: kept in quarantine"),
];

impl Sample {
    pub(super) fn help(&self) -> PossibleValue {
        PossibleValue::new(self.name).help(self.about)
    }
}
