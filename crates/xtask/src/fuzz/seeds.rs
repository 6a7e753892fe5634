//! The inputs that a target begins with, made anew for each run: every body of the fixtures and of the samples.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cargo;

/// A walk that finds fewer has lost some.
const LEAST_BODIES: usize = 300;

/// Lines of the target `template`: a template or filter, a pattern, a value.
const TEMPLATES: [&str; 4] = [
    "ci.task.{tag}.{state:lower}\nprod-*\nprod-media-1300000001",
    "ci.*.>\n*-13?*1\n数据-1300000001",
    "ci-quarantine.{reason}.x-{endpoint:upper}\n?\n数",
    "copies.{object}{bucket}\n*a*b*\na\r\nPUB x 0",
];

/// Fills `folder` for the target `name`.
pub(super) fn write(name: &str, folder: &Path) -> io::Result<()> {
    if name == "template" {
        let mut seeds = TEMPLATES.iter().enumerate();
        return seeds.try_for_each(|(at, seed)| fs::write(folder.join(at.to_string()), seed));
    }
    let mut written = 0;
    for root in ["tests/fixtures", "crates/bridge/samples"] {
        for body in bodies(&cargo::root().join(root))? {
            // Its folder's name as well: most are called body.xml.
            let parts: Vec<_> = body.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
            fs::copy(&body, folder.join(parts.join("-")))?;
            written += 1;
        }
    }
    match written >= LEAST_BODIES {
        true => Ok(()),
        false => Err(io::Error::other(format!("only {written} bodies to begin with"))),
    }
}

/// Every body in a folder and in those within it.
fn bodies(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut bodies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_told_of =
            ["expect.json", "README.md", ".gitattributes"].iter().any(|name| path.ends_with(name));
        match path.is_dir() {
            true => bodies.extend(self::bodies(&path)?),
            false if is_told_of => {}
            false => bodies.push(path),
        }
    }
    Ok(bodies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_the_bodies_of_the_fixtures() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        write("xml", folder.path()).expect("seeds");
        let written = fs::read_dir(folder.path()).expect("the folder").count();
        assert!(written >= LEAST_BODIES, "{written}: some have one name");
    }
}
