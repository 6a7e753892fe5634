//! What is counted, whether instructions (`examples/stages.rs`) or allocations (`tests/allocations.rs`): the bodies that
//! `cargo xtask bench` posts, on the routes that `serve` has without a configuration file.

use ci_bridge_publisher::{Destinations, Format, Router, TemplateError};

// One definition of the bodies: what is counted is what is measured.
#[path = "../../../bench/src/workload.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the benchmark uses more of it")]
pub(crate) mod workload;

/// The default templates, without rules.
pub(crate) fn router() -> Result<Router, TemplateError> {
    let subjects = [
        "ci.task.{tag}.{state:lower}",
        "ci.workflow.{state}",
        "ci.moderation.{event}.{verdict}",
        "ci-quarantine.{reason}",
    ];
    let destinations = Destinations {
        stream: "CI".into(),
        quarantine_stream: "CI_QUARANTINE".into(),
        jobs: None,
        format: Format::CloudeventsBinary,
    };
    Router::new(subjects, Vec::new(), destinations).map_err(|(_, error)| error)
}
