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
        ("ci-bridge-ingress", &["figment", "clap", "ci-bridge", "ci-bridge-tencent"]),
        ("ci-bridge-tencent", &["async-nats", "figment", "clap", "ci-bridge-publisher", "ci-bridge-ingress"]),
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
    // Of every dependency that any build has, optional and for tests included.
    let lock = std::fs::read_to_string(crate::support::repository("Cargo.lock")).unwrap();
    let has = |name: &str| lock.contains(&format!("\nname = \"{name}\"\n"));
    assert!(has("ring") && has("rustls"));
    for other in ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls", "boring-sys", "mbedtls"] {
        assert!(!has(other), "{other}");
    }
}

#[test]
fn no_crate_of_ours_may_be_unsafe() {
    const FORBIDDEN: &str = "\nunsafe_code = \"forbid\"\n";
    let root = crate::support::repository(".");
    let crates = std::fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<_> = crates.chain([root.join("tests/fuzz"), root.clone()]).collect();
    assert!(folders.len() > 6, "{folders:?}");
    for folder in folders {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let inherits = manifest.contains("\n[lints]\nworkspace = true\n");
        assert!(inherits || manifest.contains(FORBIDDEN), "{}", folder.display());
    }
}
