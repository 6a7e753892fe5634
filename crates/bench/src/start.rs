//! Starting a contender: what is typed for each, and when it is ready.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ci_bridge_bench::template::Template;
use ci_bridge_bench::workload::Workload;
use tempfile::TempDir;

use crate::affinity::{self, Side};
use crate::contender::{Contender, TOKEN};
use crate::peers::Peers;
use crate::{Failure, http, nats, programs};

/// Ten times what the slowest contender takes to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_micros(500);
/// Of a log, what is shown when its program did not start.
const EXCERPT_BYTES: usize = 2000;

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs<'a> {
    pub(crate) bridge: &'a Path,
    pub(crate) peers: &'a Peers,
    /// What the bridge makes of each workload, for the floor that publishes just that.
    pub(crate) prepared: &'a Path,
    pub(crate) work: &'a Path,
}

/// A contender that runs; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) host: String,
    pub(crate) contender: Contender,
    /// The bridge's second listener.
    pub(crate) admin: Option<String>,
    since: Instant,
    log: PathBuf,
    // Kept open: a program that prints to a closed pipe ends.
    _stdout: Option<BufReader<ChildStdout>>,
    _dir: TempDir,
}

impl Programs<'_> {
    /// Starts a contender and waits until it listens.
    pub(crate) fn start(&self, contender: Contender, nats: &str) -> Result<Running, Failure> {
        let dir = tempfile::Builder::new().prefix("contender-").tempdir_in(self.work)?;
        let log = dir.path().join("log");
        let mut command = self.command(contender, nats, dir.path())?;
        // What the shell knows of other NATS servers is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("NATS_") || name.starts_with("CI_BRIDGE__"))
            {
                command.env_remove(name);
            }
        }
        command.env("NATS_URL", nats).stdin(Stdio::null()).stderr(fs::File::create(&log)?);
        let told = contender.is_told_its_address().then(nats::free_port).transpose()?;
        let told = told.map(|port| format!("127.0.0.1:{port}"));
        match &told {
            Some(address) => command.env("LISTEN", address).stdout(Stdio::null()),
            None => command.stdout(Stdio::piped()),
        };
        let since = Instant::now();
        let mut child = affinity::spawn(&mut command, Side::Contender)?;
        let (line, stdout) = match told {
            Some(address) => (format!("http://{address}"), None),
            None => match first_line(&mut child) {
                Ok((line, stdout)) => (line, Some(stdout)),
                Err(error) => {
                    let _ = child.kill().and_then(|()| child.wait());
                    return Err(format!("{contender} did not start: {error}\n{}", tail(&log)).into());
                }
            },
        };
        let mut hosts = line.split("http://").skip(1).map(host_of);
        let host = hosts.next().unwrap_or_default();
        let admin = hosts.next();
        Ok(Running { child, host, contender, admin, since, log, _stdout: stdout, _dir: dir })
    }

    fn command(&self, contender: Contender, nats: &str, dir: &Path) -> Result<Command, Failure> {
        let mut command = match contender {
            Contender::Http | Contender::Acknowledged | Contender::Message => {
                let mut floor = Command::new(programs::sibling("floor")?);
                floor.arg(contender.name());
                if contender == Contender::Message {
                    floor.arg(self.prepared);
                }
                floor
            }
            Contender::Naive => Command::new(programs::sibling("naive")?),
            Contender::Bridge => {
                let file = dir.join("ci-bridge.toml");
                fs::write(&file, configuration(nats, dir))?;
                let mut bridge = Command::new(self.bridge);
                bridge.arg("serve").arg("-c").arg(file);
                bridge
            }
            peer => self.peers.command(peer)?,
        };
        command.current_dir(dir);
        Ok(command)
    }
}

/// The defaults, and what a real one has: a token. Limits on connections are lifted for the curves.
fn configuration(nats: &str, dir: &Path) -> String {
    let spool = dir.join("spool");
    format!(
        "[ingress]\nlisten = \"127.0.0.1:0\"\nmax_connections = 20000\nmax_in_flight = 20000\n\n\
         [[ingress.endpoints]]\ntokens = [\"{TOKEN}\"]\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
         [nats]\nservers = [\"{nats}\"]\n\n[jetstream]\nduplicate_window = \"2m\"\n\n[spool]\ndir = {spool:?}\n"
    )
}

/// Every contender prints a line with its address as soon as it listens.
fn first_line(child: &mut Child) -> Result<(String, BufReader<ChildStdout>), Failure> {
    let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            if !stdout.read_line(&mut line).is_ok_and(|count| count > 0) {
                return;
            }
        }
        let _ = sender.send((line, stdout));
    });
    receiver.recv_timeout(START_TIMEOUT).map_err(|_| "no line with its address".into())
}

fn host_of(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':')).collect()
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As [`Running::accepts`], after the bridge has called itself ready.
    pub(crate) fn ready(&self) -> Result<Duration, Failure> {
        if let Some(admin) = &self.admin {
            self.ask_until_ok(admin, format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\n\r\n").as_bytes())?;
        }
        self.accepts()
    }

    /// Waits until a callback is accepted, into the spool perhaps; the time since it was started.
    pub(crate) fn accepts(&self) -> Result<Duration, Failure> {
        let template = Template::new(Workload::Xml, &self.host, &self.contender.path(Workload::Xml));
        let mut request = template.request();
        template.stamp(&mut request, 0);
        self.ask_until_ok(&self.host, &request)?;
        Ok(self.since.elapsed())
    }

    fn ask_until_ok(&self, host: &str, request: &[u8]) -> Result<(), Failure> {
        loop {
            let answer = http::ask(host, request);
            if http::is_ok(&answer) {
                return Ok(());
            }
            if self.since.elapsed() > START_TIMEOUT {
                let said = answer.unwrap_or_else(|error| error.to_string());
                return Err(format!("not ready after {START_TIMEOUT:?}: {said}\n{}", tail(&self.log)).into());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// What it complained of, for an error message.
    pub(crate) fn complaints(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text[text.len().saturating_sub(EXCERPT_BYTES)..]).into_owned()
}
