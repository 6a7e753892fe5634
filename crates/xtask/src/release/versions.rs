//! One version, wherever it stands.

use std::fs;

use crate::cargo::root;
use crate::deploy_check::Report;

/// Gives the version of the workspace.
pub(super) fn check(tag: Option<&str>, report: &mut Report) -> Result<String, String> {
    let manifest = read("Cargo.toml")?;
    let package = manifest.split("[workspace.package]").nth(1).unwrap_or_default();
    let version = quoted(package, "version = ").ok_or("Cargo.toml has no version of the workspace")?;
    let rust = quoted(package, "rust-version = ").ok_or("Cargo.toml has no rust-version")?;
    for line in manifest.lines().filter(|line| line.starts_with("ci-bridge") && line.contains("path = ")) {
        if quoted(line, "version = ") != Some(version) {
            report.finding(format!("Cargo.toml: {line:?} is not version {version}"));
        }
    }
    for (file, words) in [
        ("deploy/helm/ci-bridge/Chart.yaml", format!("\nversion: {version}\n")),
        ("deploy/helm/ci-bridge/Chart.yaml", format!("\nappVersion: {version}\n")),
        ("deploy/Dockerfile", format!("\nARG VERSION={version}\n")),
        ("README.md", format!("Rust {rust} or later")),
        ("README.zh-CN.md", format!("Rust {rust}")),
        ("crates/schema/README.md", format!("Rust {rust} or later")),
        ("crates/bridge/README.md", format!("Rust {rust} or later")),
    ] {
        if !read(file)?.contains(&words) {
            report.finding(format!("{file} does not say {:?}", words.trim()));
        }
    }
    report.hold(changelog(&read("CHANGELOG.md")?, version, tag));
    Ok(version.to_owned())
}

/// A tag is of the version, and the version has its section; before that, what is new stands under Unreleased.
fn changelog(text: &str, version: &str, tag: Option<&str>) -> Result<(), String> {
    let has = |name: &str| text.lines().any(|line| line.starts_with(&format!("## [{name}]")));
    match tag {
        Some(tag) if tag != format!("v{version}") => {
            Err(format!("the tag {tag} is not of version {version}: v{version} would be"))
        }
        Some(_) if !has(version) => Err(format!("CHANGELOG.md has no section [{version}]")),
        None if !has(version) && !has("Unreleased") => {
            Err(format!("CHANGELOG.md has neither a section [{version}] nor [Unreleased]"))
        }
        _ => Ok(()),
    }
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(root().join(file)).map_err(|error| format!("{file}: {error}"))
}

/// What stands in quotes behind `key`.
fn quoted<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.split(key).nth(1)?.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_needs_its_version_and_its_section() {
        let new = "# Changelog\n\n## [Unreleased]\n";
        let done = "# Changelog\n\n## [1.2.0] - 2026-03-02\n";
        for (text, tag, expect) in [
            (new, None, Ok(())),
            (done, None, Ok(())),
            (done, Some("v1.2.0"), Ok(())),
            (done, Some("v1.2.1"), Err("the tag v1.2.1 is not of version 1.2.0: v1.2.0 would be")),
            (new, Some("v1.2.0"), Err("CHANGELOG.md has no section [1.2.0]")),
            ("", None, Err("CHANGELOG.md has neither a section [1.2.0] nor [Unreleased]")),
        ] {
            assert_eq!(changelog(text, "1.2.0", tag), expect.map_err(str::to_owned), "{text:?} {tag:?}");
        }
    }
}
