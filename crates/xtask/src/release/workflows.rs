//! The files in `.github/workflows`: nothing here can run them, so they are linted, and held to what they repeat.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cargo::{root, target_dir};
use crate::deploy_check::{Report, output};

/// The linter of the field, from the Go module proxy.
const ACTIONLINT: &str = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";

pub(super) fn check(report: &mut Report) -> Result<(), String> {
    let mut files = Vec::new();
    for name in ["ci.yml", "release.yml"] {
        let path = root().join(".github/workflows").join(name);
        let text = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        for action in unpinned(&text) {
            report.finding(format!("{name}: {action} is not pinned to a commit: a tag can be moved"));
        }
        if !text.lines().any(|line| line.starts_with("permissions:")) {
            report.finding(format!("{name} says nothing of permissions: the default may write"));
        }
        files.push((path, text));
    }
    let deny = fs::read_to_string(root().join("deny.toml")).map_err(|error| format!("deny.toml: {error}"))?;
    let (wanted, built) = (targets(&deny, "    \""), targets(&files[1].1, "target: "));
    if wanted.len() < 4 || wanted != built {
        report.finding(format!("release.yml builds {built:?}, and deny.toml has {wanted:?}"));
    }
    match actionlint() {
        Some(program) => {
            let paths = files.iter().map(|(path, _)| path);
            report.hold(output(Command::new(program).args(paths)).map(drop));
        }
        None => report.left_out("actionlint: neither it nor Go to build it with is on PATH"),
    }
    Ok(())
}

/// On PATH, or built once by Go.
fn actionlint() -> Option<PathBuf> {
    if output(Command::new("actionlint").arg("-version")).is_ok() {
        return Some("actionlint".into());
    }
    let home = target_dir().join("tools").join("actionlint-1.7.12");
    let program = home.join("actionlint");
    if !program.is_file() {
        output(Command::new("go").args(["install", ACTIONLINT]).env("GOBIN", &home)).ok()?;
    }
    Some(program)
}

/// Actions without the hash of a commit.
fn unpinned(text: &str) -> Vec<&str> {
    let actions = text.lines().filter_map(|line| line.split_once("uses: ")).map(|(_, action)| action);
    let is_hash = |hash: &str| hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pinned = |action: &&str| {
        let hash = action.split_once('@').and_then(|(_, rest)| rest.split_whitespace().next());
        !hash.is_some_and(is_hash)
    };
    actions.filter(pinned).collect()
}

/// The triples behind `mark`, in order of the alphabet.
fn targets<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    let behind = |line: &'t str| line.split_once(mark)?.1.split(['"', ',', ' ']).next();
    let is_triple =
        |name: &&str| name.ends_with("-gnu") || name.ends_with("-musl") || name.ends_with("-darwin");
    let mut found: Vec<_> = text.lines().filter_map(behind).filter(is_triple).collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_pinned_by_the_hash_of_a_commit() {
        let text = "  - uses: a/b@v4\n  - uses: c/d@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6\n  - uses: ./local\n";
        assert_eq!(unpinned(text), ["a/b@v4", "./local"]);
    }

    #[test]
    fn triples_are_found_wherever_they_stand() {
        let text = "  - { target: b-linux-musl, runner: x }\n  - { target: a-linux-gnu }\n  target: \n";
        assert_eq!(targets(text, "target: "), ["a-linux-gnu", "b-linux-musl"]);
    }
}
