//! `cargo xtask release --check`: what a tag would publish, made and looked at as far as this machine can. Nothing is published.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the order of the checks; crates, SBOM, auditable build, checksums |
//! | `versions.rs` | one version everywhere it stands |
//! | `workflows.rs` | the files in `.github/workflows` |

mod versions;
mod workflows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo::{cargo, root, target_dir};
use crate::deploy_check::{Report, fresh, output};
use crate::tool::Tool;

/// Puts the list of dependencies into the binary; as `.github/workflows/release.yml` installs it.
const CARGO_AUDITABLE: Tool = Tool::new("cargo-auditable", "0.7.7");
/// Reads it back.
const RUST_AUDIT_INFO: Tool = Tool::new("rust-audit-info", "0.5.4");
/// Writes the SBOM.
const CARGO_CYCLONEDX: Tool = Tool::new("cargo-cyclonedx", "0.5.9");

/// Ours that are published, those that others depend on first.
const CRATES: [&str; 5] =
    ["ci-bridge-schema", "ci-bridge-publisher", "ci-bridge-ingress", "ci-bridge-tencent", "ci-bridge"];
/// The largest has some 140 KiB. Fixtures that slip in would be a megabyte.
const MOST_BYTES_OF_A_CRATE: u64 = 512 * 1024;

/// Runs every check; `tag` is the one that the release would have.
///
/// # Errors
/// A tool cannot be had, or there are findings; then each is a line of its own.
pub(crate) fn run(tag: Option<&str>) -> Result<(), String> {
    let out = fresh(&target_dir().join("release-check"))?;
    let mut report = Report::default();
    step("versions, changelog");
    let version = versions::check(tag, &mut report)?;
    step("workflows");
    workflows::check(&mut report)?;
    step("an auditable build");
    report.hold(auditable(&out));
    step("SBOM");
    report.hold(sbom(&out));
    step("crates, each built from its package");
    report.hold(crates(&version, &out));
    step("checksums");
    report.hold(checksums(&out));
    musl(&mut report);
    report.left_out("signatures, provenance, the image and the release itself: they take the forge's identity, and an engine");
    report.left_out("the Debian package and the chart: `cargo xtask deploy-check` builds both and looks at what is in them");
    report.left_out("cargo-semver-checks: it compares with a version that the registry has, and there is none before the first");
    report.finish("what a tag would publish")
}

fn step(name: &str) {
    eprintln!("==> release --check: {name}");
}

/// In the development profile: the release profile takes minutes, and the list is the same.
fn auditable(out: &Path) -> Result<(), String> {
    let dir = CARGO_AUDITABLE.provision()?;
    let mut build =
        cargo(&["auditable", "build", "--locked", "--quiet", "--package", "ci-bridge", "--bin", "ci-bridge"]);
    let build_dir = target_dir().join("auditable");
    output(with_path(&mut build, &dir).arg("--target-dir").arg(&build_dir))?;
    let program = out.join("ci-bridge");
    fs::copy(build_dir.join("debug/ci-bridge"), &program).map_err(|error| format!("ci-bridge: {error}"))?;
    let list = output(Command::new(RUST_AUDIT_INFO.provision()?).arg(&program))?;
    for name in ["ci-bridge-schema", "async-nats", "rustls"] {
        if !list.contains(&format!("\"name\":\"{name}\"")) {
            return Err(format!("the list of dependencies in the auditable binary has no {name}"));
        }
    }
    Ok(())
}

/// cargo finds its subcommands on the path.
fn with_path<'c>(command: &'c mut Command, program: &Path) -> &'c mut Command {
    let before = std::env::var_os("PATH").unwrap_or_default();
    let own = program.parent().map(PathBuf::from).unwrap_or_default();
    let all = std::iter::once(own).chain(std::env::split_paths(&before));
    match std::env::join_paths(all) {
        Ok(path) => command.env("PATH", path),
        Err(_) => command,
    }
}

fn sbom(out: &Path) -> Result<(), String> {
    let program = CARGO_CYCLONEDX.provision()?;
    let mut write = cargo(&["cyclonedx", "--manifest-path", "crates/bridge/Cargo.toml", "--format", "json"]);
    write.args(["--spec-version", "1.5", "--all-features", "--quiet"]);
    output(with_path(&mut write, &program))?;
    // It writes beside each manifest of the workspace.
    let mut found = None;
    for name in folders(&root().join("crates"))? {
        for file in folders(&name)?.into_iter().filter(|file| file.to_string_lossy().ends_with(".cdx.json")) {
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            if file.ends_with("bridge/ci-bridge.cdx.json") {
                found = Some(text);
            }
        }
    }
    let text = found.ok_or("cargo-cyclonedx wrote no crates/bridge/ci-bridge.cdx.json")?;
    fs::write(out.join("ci-bridge.cdx.json"), &text).map_err(|error| error.to_string())?;
    let holds = |words: &str| text.replace(' ', "").contains(words);
    for words in [
        "\"bomFormat\":\"CycloneDX\"",
        "\"specVersion\":\"1.5\"",
        "\"name\":\"async-nats\"",
        "\"purl\":\"pkg:cargo/rustls@",
    ] {
        if !holds(words) {
            return Err(format!("the SBOM has no {words}"));
        }
    }
    Ok(())
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(dir);
    match entries {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        // A file among folders.
        Err(_) if dir.is_file() => Ok(Vec::new()),
        Err(error) => Err(format!("{}: {error}", dir.display())),
    }
}

/// Packs them, and builds each from what was packed, as the registry would hand it out.
fn crates(version: &str, out: &Path) -> Result<(), String> {
    let ours = ["--workspace", "--exclude", "xtask", "--locked", "--allow-dirty", "--quiet"];
    output(cargo(&["package"]).args(ours))?;
    // What the registry asks beyond that; built they have just been.
    output(cargo(&["publish", "--dry-run", "--no-verify"]).args(ours))?;
    for name in CRATES {
        let archive = format!("{name}-{version}.crate");
        let packed = target_dir().join("package").join(&archive);
        let bytes = fs::copy(&packed, out.join(&archive))
            .map_err(|error| format!("{}: {error}", packed.display()))?;
        if bytes > MOST_BYTES_OF_A_CRATE {
            return Err(format!(
                "{archive} has {bytes} bytes: is there something in it that only tests need?"
            ));
        }
        let files = output(Command::new("tar").arg("-tzf").arg(&packed))?;
        for file in ["README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
            if !files.lines().any(|line| line == format!("{name}-{version}/{file}")) {
                return Err(format!("{archive} has no {file}"));
            }
        }
    }
    Ok(())
}

/// As the workflow writes them; whoever downloads checks them so.
fn checksums(out: &Path) -> Result<(), String> {
    let script = "cd \"$0\" && sha256sum ./* > ../SHA256SUMS && mv ../SHA256SUMS . && sha256sum --check --quiet SHA256SUMS";
    output(Command::new("sh").arg("-c").arg(script).arg(out)).map(drop)
}

/// A static binary takes musl's half of the standard library, and a C compiler for it: ring and mimalloc are partly C.
fn musl(report: &mut Report) {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let installed =
        output(Command::new("rustup").args(["target", "list", "--installed"])).unwrap_or_default();
    let has_target = installed.lines().any(|line| line == target);
    let has_compiler = output(Command::new("musl-gcc").arg("--version")).is_ok();
    if !(has_target && has_compiler) {
        report.left_out(format!(
            "a static binary: it takes `rustup target add {target}` and Debian's musl-tools"
        ));
        return;
    }
    step("a static binary");
    let mut build = cargo(&["build", "--locked", "--quiet", "--package", "ci-bridge", "--bin", "ci-bridge"]);
    report.hold(output(build.args(["--target", &target])).and_then(|_| {
        let program = target_dir().join(&target).join("debug/ci-bridge");
        let dynamic = output(Command::new("readelf").arg("--dynamic").arg(&program))?;
        match dynamic.contains("NEEDED") {
            true => Err(format!("{} needs libraries", program.display())),
            false => output(Command::new(&program).arg("--version")).map(drop),
        }
    }));
}
