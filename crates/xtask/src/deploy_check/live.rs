//! The program itself: whether it takes the command lines and configurations that were found, and what it exposes while it runs
//! with a nats-server as compose.yaml runs both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Report, output};
use crate::cargo::root;
use crate::nats_server;

/// What takes this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// `nats.conf` reads it from the environment, as `.env` gives it to compose.
const PASSWORD: &str = "nats-deploy-check";
/// The one of `make_secrets`.
const TOKEN: &str = "deploy-check";

/// `--help` after everything else: clap complains of an unknown word before it gets there.
pub(super) fn command_lines(bridge: &Path, out: &Path, report: &mut Report) -> Result<(), String> {
    let lines = rows(&out.join("invocations"))?;
    let configs = rows(&out.join("configs"))?;
    if lines.len() < 4 || configs.len() < 4 {
        return Err(format!(
            "only {} command lines and {} configurations were found",
            lines.len(),
            configs.len()
        ));
    }
    for line in &lines {
        let [place, words @ ..] = line.as_slice() else { continue };
        report.hold(
            output(quiet(bridge).args(words).arg("--help"))
                .map(drop)
                .map_err(|said| format!("{place}: {said}")),
        );
    }
    for line in &configs {
        let [place, file] = line.as_slice() else { continue };
        let checked = output(quiet(bridge).args(["check", "-c", file]));
        report.hold(checked.map(drop).map_err(|said| format!("{place}: {said}")));
    }
    Ok(())
}

/// In an environment that holds nothing of this machine's NATS.
fn quiet(bridge: &Path) -> Command {
    let mut command = Command::new(bridge);
    command.env_clear();
    command
}

fn rows(file: &Path) -> Result<Vec<Vec<String>>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Both processes end with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn run(bridge: &Path, out: &Path, report: &mut Report) -> Result<(), String> {
    let [nats, admin, callbacks, monitor] = free_ports()?;
    let _server = start_nats(out, nats, monitor)?;
    let configuration = configuration_of(out)?;
    let mut command = quiet(bridge);
    command.args(["serve", "-c"]).arg(&configuration).current_dir(out);
    let environment = [
        ("NATS_URL", format!("nats://127.0.0.1:{nats}")),
        ("NATS_USER", "ci-bridge".to_owned()),
        ("NATS_PASSWORD", PASSWORD.to_owned()),
        ("CI_BRIDGE__INGRESS__LISTEN", format!("127.0.0.1:{callbacks}")),
        ("CI_BRIDGE__ADMIN__LISTEN", format!("127.0.0.1:{admin}")),
        ("CI_BRIDGE__SPOOL__DIR", out.join("spool").display().to_string()),
        // A stream in memory is a finding, and so a metric.
        ("CI_BRIDGE__JETSTREAM__STORAGE", "memory".to_owned()),
    ];
    // As compose.yaml asks.
    report.hold(eventually(|| {
        let health = get(monitor, "/healthz?js-enabled-only=true")?;
        if health.contains(" 200 OK") { Ok(()) } else { Err(health) }
    }));
    let mut running = start(command.envs(environment.clone()).stdout(Stdio::piped()).stderr(Stdio::null()))?;
    wait_for_ready_line(&mut running)?;
    let health = |argument: &[&str]| {
        let mut ask = quiet(bridge);
        output(ask.arg("healthcheck").args(argument).arg("-c").arg(&configuration).envs(environment.clone()))
            .map(drop)
    };
    report.hold(health(&[]));
    report.hold(eventually(|| health(&["--ready"])));
    let url = format!("http://127.0.0.1:{callbacks}/ci/callback");
    let post = |token: &str| {
        output(quiet(bridge).args(["send", "--sample", "noise-reduction", "--url", &url, "--token", token]))
    };
    report.hold(post(TOKEN).map(drop));
    if post("another").is_ok() {
        report.finding("a callback with a wrong token is taken");
    }
    output(Command::new("kill").arg("-HUP").arg(running.0.id().to_string()))?;
    let exposed = || get(admin, "/metrics").map(|text| series(&text));
    report.hold(eventually(|| {
        let there = exposed()?;
        let missing = missing(&there);
        if missing.is_empty() { Ok(()) } else { Err(missing.join("; ")) }
    }));
    Ok(())
}

/// With `deploy/nats.conf`, but for the ports and the folder that only a container has.
fn start_nats(out: &Path, port: u16, monitor: u16) -> Result<Running, String> {
    let server = nats_server::provision().map_err(|error| error.to_string())?;
    let file = root().join("deploy/nats.conf");
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let folder = format!("store_dir: {:?}", out.join("streams"));
    let text = text.replace("store_dir: /data", &folder);
    let text = text.replace("0.0.0.0:4222", &format!("127.0.0.1:{port}"));
    let text = text.replace("0.0.0.0:8222", &format!("127.0.0.1:{monitor}"));
    let file = out.join("nats.conf");
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = Command::new(server);
    command.arg("-c").arg(file).env("NATS_PASSWORD", PASSWORD).stdout(Stdio::null());
    start(command.stderr(Stdio::null()))
}

/// `deploy/ci-bridge.toml`, with the token where it is here.
fn configuration_of(out: &Path) -> Result<String, String> {
    let found = rows(&out.join("configs"))?.into_iter().find(|row| row[0] == "deploy/ci-bridge.toml");
    found.map(|row| row[1].clone()).ok_or_else(|| "deploy/ci-bridge.toml was not found".to_owned())
}

fn free_ports() -> Result<[u16; 4], String> {
    let listener = || TcpListener::bind("127.0.0.1:0");
    let held =
        (0..4).map(|_| listener()).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let ports: Vec<u16> = held.iter().filter_map(|held| Some(held.local_addr().ok()?.port())).collect();
    ports.try_into().map_err(|_| "no ports".to_owned())
}

fn start(command: &mut Command) -> Result<Running, String> {
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::null()).spawn().map(Running).map_err(|error| format!("{name}: {error}"))
}

fn wait_for_ready_line(running: &mut Running) -> Result<(), String> {
    let stdout = running.0.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    if line.starts_with("ci-bridge ready") { Ok(()) } else { Err("ci-bridge does not start".to_owned()) }
}

fn eventually(mut attempt: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(said) if Instant::now() > deadline => return Err(said),
            Err(_) => sleep(Duration::from_millis(100)),
            Ok(()) => return Ok(()),
        }
    }
}

fn get(port: u16, path: &str) -> Result<String, String> {
    let asked = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    asked().map_err(|error: std::io::Error| format!("{path}: {error}"))
}

/// The names of all series that are there, each with the names of its labels.
fn series(metrics: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for line in metrics.lines().filter(|line| line.starts_with("ci_bridge_")) {
        let name: String = line.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let labels = line[name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = labels.into_iter().flat_map(|(labels, _)| labels.split(','));
        found
            .entry(name)
            .or_default()
            .extend(labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned())));
    }
    found
}

/// Only a bridge with TLS, with `[reconcile]` or with `[jobs]`, has these; `tests/integration/watching.rs` holds all that is asked for against one that has everything.
const NOT_HERE: [&str; 5] = [
    "ci_bridge_certificate_not_after_seconds",
    "ci_bridge_certificate_not_before_seconds",
    "ci_bridge_job_requests_total",
    "ci_bridge_reconciled_jobs_total",
    "ci_bridge_reconcile_last_success_timestamp_seconds",
];

/// What the alert rules, and their tests, ask for and a running bridge does not have.
fn missing(there: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    // A series that only damage or trouble makes has its name here, and is held against the source by its own crate's tests.
    let files =
        ["deploy/helm/ci-bridge/files/ci-bridge.rules.yaml", "deploy/prometheus/ci-bridge.rules.test.yaml"];
    let text: String = files.iter().filter_map(|file| fs::read_to_string(root().join(file)).ok()).collect();
    let mut missing = BTreeSet::new();
    for (name, labels) in asked(&text).into_iter().filter(|(name, _)| !NOT_HERE.contains(&name.as_str())) {
        match there.get(&name) {
            None => {
                missing
                    .insert(format!("the alert rules ask for {name}, which a running bridge does not have"));
            }
            Some(has) => missing.extend(
                labels.iter().filter(|label| *label != "instance" && !has.contains(*label)).map(|label| {
                    format!("the alert rules ask for {name}{{{label}}}, and the series has {has:?}")
                }),
            ),
        }
    }
    missing.into_iter().collect()
}

/// Each `ci_bridge_name{label=…}` in a text.
fn asked(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("ci_bridge_") {
        let name: String =
            text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let rest = text[at + name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = rest.into_iter().flat_map(|(labels, _)| labels.split(','));
        let label = |label: &str| Some(label.split(['=', '!']).next()?.trim().to_owned());
        found.push((name, labels.filter_map(label).collect()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rules_ask_for_is_held_against_what_is_there() {
        let there = series(
            "# TYPE ci_bridge_ready gauge\nci_bridge_ready{check=\"nats\",x=\"1\"} 1\nci_bridge_up 1\n",
        );
        assert_eq!(there["ci_bridge_ready"], BTreeSet::from(["check".to_owned(), "x".to_owned()]));
        assert!(there["ci_bridge_up"].is_empty());
        let rules = asked("expr: rate(ci_bridge_ready{check!=\"shutdown\", y=\"1\"}[5m]) > ci_bridge_down");
        assert_eq!(rules[0], ("ci_bridge_ready".to_owned(), vec!["check".to_owned(), "y".to_owned()]));
        assert_eq!(rules[1], ("ci_bridge_down".to_owned(), vec![]));
    }
}
