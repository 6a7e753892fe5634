//! The real `ci-bridge serve`, on ports and with a spool that outlive it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{PATIENCE, eventually, free_port, signal};

/// A bridge that can be ended and started again; killed when dropped.
pub(crate) struct Bridge {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
}

/// `drain_timeout` of the configuration below, and what a busy machine may add.
const DRAIN_TIME: Duration = Duration::from_secs(11);
/// Lines of the log that a failed test shows.
const LOG_TAIL: usize = 60;

impl Bridge {
    /// Starts towards a server that may not be there, and waits for the ready line.
    pub(crate) fn start(nats: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [address, admin] =
            [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let configuration = format!(
            "[ingress]\nlisten = \"{address}\"\nmax_body = \"256KiB\"\ndeadline = \"3s\"\ndrain_timeout = \"10s\"\n\
             [admin]\nlisten = \"{admin}\"\n[nats]\nservers = [\"{nats}\"]\n[spool]\ndir = \"spool\"\n"
        );
        fs::write(folder.path().join("ci-bridge.toml"), configuration).expect("the configuration is written");
        let child = launch(folder.path(), &[]);
        Self { child, address, admin, folder }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("ci-bridge can be killed");
        self.child.wait().expect("ci-bridge ends");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(&mut self) {
        signal("TERM", self.child.id());
        let asked = Instant::now();
        let status = eventually("ci-bridge ends", || self.child.try_wait().expect("its status"));
        assert!(status.success(), "SIGTERM: {status}");
        assert!(asked.elapsed() < DRAIN_TIME, "drained for {:?}", asked.elapsed());
    }

    /// Starts it again where it was. `settings` are environment variables for this life only.
    pub(crate) fn restart(&mut self, settings: &[(&str, &str)]) {
        self.child = launch(self.folder.path(), settings);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.get("/readyz").starts_with("HTTP/1.1 200")
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        sum(&self.get("/metrics"), name)
    }

    /// Callbacks received, and the sum of their outcomes.
    pub(crate) fn callbacks(&self) -> (u64, u64) {
        let text = self.get("/metrics");
        let received = sum(&text, "ci_bridge_callbacks_received_total");
        (received, sum(&text, "ci_bridge_callbacks_total{"))
    }

    /// Memory in KiB; `None` where the system does not say.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    }

    /// What the admin listener answers, head and body.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        let mut connection = TcpStream::connect(self.admin).expect("the admin listener");
        connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("the request is sent");
        connection.read_to_string(&mut answer).expect("an answer");
        answer
    }

    pub(crate) fn log_contains(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _: std::io::Result<ExitStatus> = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the last lines of ci-bridge's log ---\n{}", self.log_tail());
        }
    }
}

fn launch(folder: &Path, settings: &[(&str, &str)]) -> Child {
    let log: File = OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("the log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ci-bridge"))
        .env_clear()
        .envs(settings.iter().copied())
        .args(["serve", "-c", "ci-bridge.toml"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("ci-bridge starts");
    let mut line = String::new();
    let _ = BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line);
    assert!(line.starts_with("ci-bridge ready"), "{line:?}; {:?}", fs::read_to_string(folder.join("log")));
    child
}

/// The sum of a metric over its labels.
fn sum(metrics: &str, name: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
