//! What the bridge makes of each workload, for the floor that publishes just that: asked of the bridge that is measured,
//! so that the two never differ.

use std::fs::{self, File};
use std::process::Command;

use ci_bridge_bench::workload::Workload;
use tempfile::TempDir;

use crate::Failure;
use crate::options::Options;

/// Writes a file for each workload, of its name, with a line for each message.
pub(crate) fn write(options: &Options) -> Result<TempDir, Failure> {
    let dir = tempfile::Builder::new().prefix("prepared-").tempdir_in(&options.work)?;
    // The first callback, which shows that a contender is ready, is always that.
    for workload in options.workloads.iter().chain([&Workload::Xml]) {
        let body = tempfile::NamedTempFile::new_in(&options.work)?;
        fs::write(body.path(), workload.body())?;
        let lines = File::create(dir.path().join(workload.to_string()))?;
        // Without a configuration of the folder that we happen to be in.
        let render = Command::new(&options.bridge)
            .arg("render")
            .arg(fs::canonicalize(body.path())?)
            .current_dir(dir.path())
            .stdout(lines)
            .output()?;
        if !render.status.success() {
            let said = String::from_utf8_lossy(&render.stderr);
            return Err(format!("ci-bridge render {workload}: {}\n{said}", render.status).into());
        }
    }
    Ok(dir)
}
