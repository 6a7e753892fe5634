//! `cargo xtask deploy-check`: everything in `deploy/`, held against the program and the tools that will read it, without a
//! cluster, a container engine or a running systemd.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the order of the checks, and which file is looked at by which |
//! | `tools.rs` | what the checks need, fetched into `target/` |
//! | `manifests.py` | charts, kustomization, compose file, alerts: what takes a reader of YAML |
//! | `live.rs` | the program: its flags, its configurations, its metrics, its health |
//! | `package.rs` | the Debian package and the systemd unit in it |

mod live;
mod package;
mod tools;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo::{cargo, root, target_dir};
use tools::Tools;

/// Each file under `deploy/`, by the beginning of its path, and what looks at it. A file that none of these names is a finding.
const LOOKED_AT: [(&str, &str); 11] = [
    (".gitignore", "secrets_are_ignored"),
    ("Dockerfile", "hadolint; manifests.py; the build context"),
    ("README.md", "links, by manifests.py"),
    ("ci-bridge.toml", "live: a bridge runs with it"),
    ("compose.yaml", "check-jsonschema; manifests.py"),
    ("debian/", "package; shellcheck"),
    ("helm/", "manifests.py"),
    ("kustomize/sidecar/", "manifests.py"),
    ("nats.conf", "live: a nats-server runs with it"),
    ("prometheus/ci-bridge.rules.test.yaml", "promtool"),
    ("systemd/ci-bridge.", "package; manifests.py"),
];

/// What was found, and what could not be looked at.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<String>,
    left_out: Vec<String>,
}

impl Report {
    pub(crate) fn finding(&mut self, what: impl Into<String>) {
        self.findings.push(what.into());
    }

    pub(crate) fn left_out(&mut self, what: impl Into<String>) {
        self.left_out.push(what.into());
    }

    /// Says what was left out, and whether what was looked at is as it should be.
    pub(crate) fn finish(&self, what: &str) -> Result<(), String> {
        for left in &self.left_out {
            eprintln!("left out: {left}");
        }
        if self.findings.is_empty() {
            eprintln!("{what} is as it should be");
            return Ok(());
        }
        Err(format!("{} findings in {what}\n  {}", self.findings.len(), self.findings.join("\n  ")))
    }

    /// Notes a check that failed; its own words say where.
    pub(crate) fn hold(&mut self, outcome: Result<(), String>) {
        if let Err(said) = outcome {
            self.findings.push(said);
        }
    }
}

/// Runs every check; with `write`, what is generated is written first.
///
/// # Errors
/// A tool cannot be had, or there are findings; then each is a line of its own.
pub(crate) fn run(write: bool) -> Result<(), String> {
    let home = target_dir().join("deploy-check");
    let out = fresh(&home.join("out"))?;
    let mut report = Report::default();
    step("tools");
    let tools = Tools::provision(&home, &mut report)?;
    let bridge = build()?;
    step("Dockerfile, compose file, scripts");
    files(&tools, &mut report);
    step("charts, kustomization, alerts");
    report.hold(make_secrets(&out.join("secrets")));
    manifests(&tools, &out, write, &mut report);
    match &tools.promtool {
        Some(promtool) => report.hold(rules(promtool, &out)),
        None => report.left_out(
            "the tests of the alert rules: promtool is not on PATH, and no apt-get to fetch it with",
        ),
    }
    step("command lines and configurations");
    live::command_lines(&bridge, &out, &mut report)?;
    step("a bridge and a nats-server with what compose.yaml gives them");
    live::run(&bridge, &out, &mut report)?;
    step("Debian package and systemd unit");
    package::check(&out, &tools, &mut report)?;
    report.left_out("building the image and starting containers: that takes an engine; the same files are run as processes");
    report.left_out(
        "starting the unit and installing the chart: that takes systemd as the first process, and a cluster",
    );
    report.finish("deploy/")
}

fn step(name: &str) {
    eprintln!("==> deploy-check: {name}");
}

pub(crate) fn fresh(dir: &Path) -> Result<PathBuf, String> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok(dir.to_owned())
}

/// With the features that `cargo xtask test` builds, so that nothing is built twice.
fn build() -> Result<PathBuf, String> {
    let mut build =
        cargo(&["test", "--workspace", "--test", "integration", "--no-run", "--locked", "--quiet"]);
    let status = build.status().map_err(|error| error.to_string())?;
    let bridge = target_dir().join("debug").join("ci-bridge");
    if status.success() { Ok(bridge) } else { Err(format!("cargo build: {status}")) }
}

/// The output of a program in the workspace root; an error has all that it printed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().display().to_string();
    let output = command.current_dir(root()).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name}, {}: {}{}", output.status, printed, complained.trim_end()))
}

fn run_tool<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: &[S]) -> Result<(), String> {
    output(Command::new(program).args(args)).map(drop)
}

fn files(tools: &Tools, report: &mut Report) {
    report.hold(run_tool(tools.python("hadolint"), &["deploy/Dockerfile"]));
    let compose = ["--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"];
    report.hold(run_tool(tools.python("check-jsonschema"), &compose));
    let schema = ["--check-metaschema", "deploy/helm/ci-bridge/values.schema.json"];
    report.hold(run_tool(tools.python("check-jsonschema"), &schema));
    report.hold(run_tool(tools.python("shellcheck"), &[".ci/run", "deploy/debian/postrm"]));
    report.hold(every_file_is_looked_at());
    report.hold(secrets_are_ignored());
    report.hold(context());
}

fn every_file_is_looked_at() -> Result<(), String> {
    let files = output(Command::new("git").args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "deploy",
    ]))?;
    let names: Vec<_> = files.lines().filter_map(|line| line.strip_prefix("deploy/")).collect();
    if names.len() < LOOKED_AT.len() {
        return Err(format!("deploy/ has {} files only", names.len()));
    }
    let unknown: Vec<_> = names
        .into_iter()
        .filter(|name| !LOOKED_AT.iter().any(|(begin, _)| name.starts_with(begin)))
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(format!("no check looks at deploy/{}", unknown.join(", deploy/")))
    }
}

/// What README.md has a user write there must not be committed, nor reach the build context.
fn secrets_are_ignored() -> Result<(), String> {
    ["deploy/ci_callback_tokens", "deploy/.env"]
        .iter()
        .try_for_each(|secret| run_tool("git", &["check-ignore", "--quiet", "--no-index", secret]))
        .map_err(|_| "deploy/.gitignore does not name the files with secrets".to_owned())
}

/// What `.dockerignore` lets through must be all that cargo needs.
fn context() -> Result<(), String> {
    let context = fresh(&target_dir().join("deploy-check").join("context"))?;
    let rules = fs::read_to_string(root().join(".dockerignore")).map_err(|error| error.to_string())?;
    let rules: Vec<_> = rules.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if rules.first() != Some(&"*") {
        return Err(".dockerignore does not begin with `*`: what it does not name would go along".to_owned());
    }
    let (named, but): (Vec<&str>, Vec<&str>) = rules[1..].iter().partition(|rule| rule.starts_with('!'));
    let files = output(Command::new("git").args(["ls-files"]))?;
    let is_in = |path: &str| {
        let under =
            |rule: &str| path == rule || path.strip_prefix(rule).is_some_and(|rest| rest.starts_with('/'));
        named.iter().any(|rule| under(&rule[1..])) && !but.iter().any(|rule| under(rule))
    };
    for path in files.lines().filter(|path| is_in(path)) {
        let to = context.join(path);
        let folder = to.parent().unwrap_or(&context);
        fs::create_dir_all(folder)
            .and_then(|()| fs::copy(root().join(path), &to))
            .map_err(|error| format!("{path}: {error}"))?;
    }
    let manifest = context.join("Cargo.toml");
    let mut metadata = cargo(&["metadata", "--locked", "--format-version", "1", "--manifest-path"]);
    output(metadata.arg(&manifest))
        .map(drop)
        .map_err(|said| format!("with what .dockerignore lets through, {said}"))
}

/// A token and a certificate where the configurations say that mounted ones are.
fn make_secrets(dir: &Path) -> Result<(), String> {
    let dir = fresh(dir)?;
    fs::write(dir.join("tokens"), "deploy-check\n").map_err(|error| error.to_string())?;
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]);
    openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    output(openssl.arg("-keyout").arg(dir.join("tls.key")).arg("-out").arg(dir.join("tls.crt"))).map(drop)
}

fn manifests(tools: &Tools, out: &Path, write: bool, report: &mut Report) {
    let mut python = Command::new(tools.python("python"));
    python.arg("-c").arg(include_str!("manifests.py")).arg(root()).arg(out).arg(tools.programs());
    if write {
        python.arg("--write");
    }
    report.hold(output(&mut python).map(drop));
}

/// The rules as the chart renders them, and their tests.
fn rules(promtool: &Path, out: &Path) -> Result<(), String> {
    run_tool(promtool, &["test", "rules", "deploy/prometheus/ci-bridge.rules.test.yaml"])?;
    run_tool(promtool, &["check", "rules", "deploy/helm/ci-bridge/files/ci-bridge.rules.yaml"])?;
    let rendered = out.join("rules.yaml");
    if !rendered.is_file() {
        return Ok(());
    }
    run_tool(promtool, &[OsStr::new("check"), OsStr::new("rules"), rendered.as_os_str()])
}
