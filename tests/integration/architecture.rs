//! The crate graph: who may depend on whom, as a rule that can fail.

use std::process::Command;

/// Everything that a crate depends on, near and far, to build.
fn dependencies(package: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            package,
        ])
        .current_dir(crate::support::repository("."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout).into_owned();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn each_crate_keeps_to_its_own_vocabulary() {
    let rows = [
        ("ci-bridge-schema", &["tokio", "hyper", "async-nats", "figment", "tracing", "fjall"][..]),
        ("ci-bridge-publisher", &["hyper", "figment", "clap", "ci-bridge-ingress"]),
        ("ci-bridge-ingress", &["figment", "clap", "ci-bridge"]),
    ];
    for (package, strangers) in rows {
        let found = dependencies(package);
        assert!(found.len() > 3, "{package}: {found:?}");
        for stranger in strangers {
            assert!(!found.iter().any(|name| name == stranger), "{package} depends on {stranger}");
        }
    }
}

#[test]
fn there_is_one_tls_provider() {
    let found = dependencies("ci-bridge");
    assert!(
        found.iter().any(|name| name == "ring") && !found.iter().any(|name| name == "aws-lc-rs"),
        "{found:?}"
    );
}
