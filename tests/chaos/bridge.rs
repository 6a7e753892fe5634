//! The real `ci-bridge serve`, on ports and with a spool that outlive it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ci_bridge::local_nats::ReservedPort;
use tempfile::TempDir;

use crate::broker::{Broker, USER};
use crate::process::{PATIENCE, eventually, signal};

/// A bridge that can be ended and started again; killed when dropped.
pub(crate) struct Bridge {
    child: Child,
    disk: Disk,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    /// So that nobody else gets its ports while it is away.
    _ports: [ReservedPort; 2],
    folder: TempDir,
}

/// Where the spool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    Shared,
    /// One of the bridge's own, which its namespace holds and its end takes away.
    Small,
}

/// `drain_timeout` of the configuration below, and what a busy machine may add.
const DRAIN_TIME: Duration = Duration::from_secs(15);
/// What the spool's files take at least, and a little more.
const SMALL_DISK: &str = "96m";
/// Lines of the log that a failed test shows.
const LOG_TAIL: usize = 60;

impl Bridge {
    /// Starts towards a server that may not be there, and waits for the ready line.
    pub(crate) fn start(broker: &Broker) -> Self {
        Self::start_on(Disk::Shared, broker)
    }

    pub(crate) fn start_on(disk: Disk, broker: &Broker) -> Self {
        let (nats, password) = (broker.url(), broker.password());
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("disk")).expect("a folder for the spool");
        let ports = [(); 2].map(|()| ReservedPort::new().expect("a free port"));
        let [address, admin] = [ports[0].address(), ports[1].address()];
        fs::write(folder.path().join("password"), password).expect("the password is written");
        let configuration = format!(
            "[ingress]\nlisten = \"{address}\"\ndeadline = \"3s\"\ndrain_timeout = \"10s\"\n\
             [admin]\nlisten = \"{admin}\"\n[nats]\nservers = [\"{nats}\"]\n\
             user = \"{USER}\"\npassword_file = \"password\"\n[spool]\ndir = \"disk/spool\"\n"
        );
        fs::write(folder.path().join("ci-bridge.toml"), configuration).expect("the configuration is written");
        let child = launch(disk, folder.path(), &[]);
        Self { child, disk, address, admin, _ports: ports, folder }
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
        self.child = launch(self.disk, self.folder.path(), settings);
    }

    /// Replaces the password that it connects with.
    pub(crate) fn set_password(&self, password: &str) {
        fs::write(self.folder.path().join("password"), password).expect("the password is written");
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

    /// A file on the bridge's own disk, as this process can reach it.
    pub(crate) fn on_disk(&self, name: &str) -> PathBuf {
        let disk = self.folder.path().join("disk").join(name);
        let disk = disk.strip_prefix("/").expect("temporary folders have absolute paths");
        Path::new("/proc").join(self.child.id().to_string()).join("root").join(disk)
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

/// Whether a process may have a small disk here: it takes user namespaces, or the rights of root.
pub(crate) fn has_small_disks() -> bool {
    let mut mount = on_small_disk("/tmp");
    mount.arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A command whose program sees a tmpfs in the place of `folder`; unshare, the shell and the program follow one
/// another in the same process.
fn on_small_disk(folder: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("mount -t tmpfs -o size={SMALL_DISK} tmpfs {folder} && exec \"$@\"");
    command.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    command
}

fn launch(disk: Disk, folder: &Path, settings: &[(&str, &str)]) -> Child {
    let log: File = OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("the log");
    let program = env!("CARGO_BIN_EXE_ci-bridge");
    let mut command = match disk {
        Disk::Shared => Command::new(program),
        Disk::Small => on_small_disk("disk"),
    };
    if disk == Disk::Small {
        command.arg(program);
    }
    let mut child = command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
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
