//! The `ci-bridge` binary as a child process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::http::{Answer, request};
use super::{LocalNats, eventually, signal};

/// A running `ci-bridge serve`; killed when dropped.
pub(crate) struct Bridge {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
    folder: TempDir,
    nats_url: String,
}

/// The binary, in an environment that holds nothing of the machine's.
pub(crate) fn ci_bridge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ci-bridge"));
    command.env_clear();
    for name in ["PATH", "NATS_SERVER", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs the binary to its end with `input` on standard input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    use std::io::Write;
    let mut command = ci_bridge();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("ci-bridge starts");
    // A program that refuses its arguments does not read its input.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    child.wait_with_output().expect("ci-bridge ends")
}

impl Bridge {
    /// Starts with `configuration` on top of free ports and this nats-server, and waits until it is ready.
    pub(crate) fn start(nats: &LocalNats, configuration: &str) -> Self {
        let bridge = Self::start_towards(&nats.url(), configuration);
        bridge.wait_until_ready();
        bridge
    }

    /// Starts towards a server that may not be there, and waits for the ready line only.
    pub(crate) fn start_towards(nats_url: &str, configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ci-bridge.toml"), configuration)
            .expect("the configuration is written");
        Self::launch(folder, nats_url.to_owned(), None)
    }

    /// Starts in a shell that has done this first: `ulimit -n 64`, or `export NAME=value`.
    pub(crate) fn start_in_shell(nats: &LocalNats, first: &str, configuration: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ci-bridge.toml"), configuration)
            .expect("the configuration is written");
        let bridge = Self::launch(folder, nats.url(), Some(first));
        bridge.wait_until_ready();
        bridge
    }

    /// Ends it the hard way (SIGKILL) and starts it again, with the same configuration and spool.
    pub(crate) fn kill_and_restart(mut self) -> Self {
        self.child.kill().expect("the bridge can be killed");
        self.child.wait().expect("the bridge ends");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"));
        Self::launch(folder, self.nats_url.clone(), None)
    }

    /// Ends it (SIGKILL), and starts it again with the same configuration and spool when `meanwhile` is done.
    pub(crate) fn kill_and_restart_after(mut self, meanwhile: impl FnOnce()) -> Self {
        self.child.kill().expect("the bridge can be killed");
        self.child.wait().expect("the bridge ends");
        meanwhile();
        self.kill_and_restart()
    }

    /// Ends it (SIGKILL), and starts it again with the same spool and another configuration.
    pub(crate) fn kill_and_restart_with(self, configuration: &str) -> Self {
        let file = self.folder().join("ci-bridge.toml");
        self.kill_and_restart_after(|| {
            std::fs::write(file, configuration).expect("the configuration is written");
        })
    }

    /// Asks it to stop; what it leaves in its folder stays until the folder is dropped.
    pub(crate) fn stop_and_keep_folder(mut self) -> TempDir {
        signal("TERM", self.child.id());
        self.child.wait().expect("ci-bridge ends");
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"))
    }

    fn launch(folder: TempDir, nats_url: String, first: Option<&str>) -> Self {
        let file = folder.path().join("ci-bridge.toml");
        let mut command = ci_bridge();
        if let Some(first) = first {
            let program = command.get_program().to_owned();
            command = Command::new("sh");
            command.arg("-c").arg(format!("{first} && exec \"$0\" \"$@\"")).arg(program);
        }
        command.arg("serve").arg("-c").arg(&file).args(["--nats", &nats_url]).current_dir(folder.path());
        command
            .env("CI_BRIDGE__ADMIN__LISTEN", "127.0.0.1:0")
            .env("CI_BRIDGE__INGRESS__LISTEN", "127.0.0.1:0");
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ci-bridge starts");
        let (log, log_reader) = collect_log(&mut child);
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the ready line");
        let mut addresses = line
            .split("://")
            .skip(1)
            .filter_map(|text| text.split([',', ' ', '\n']).next()?.parse::<SocketAddr>().ok());
        let (Some(address), Some(admin)) = (addresses.next(), addresses.next()) else {
            let _ = child.wait();
            let _ = log_reader.join();
            panic!("no ready line, but {line:?}; log:\n{}", log.lock().unwrap());
        };
        Self { child, address, admin, log, log_reader: Some(log_reader), folder, nats_url }
    }

    /// The folder that it runs in; its spool is there.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn wait_until_ready(&self) {
        eventually("ready", || (self.get("/readyz").status == 200).then_some(()));
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Posts a callback to the default endpoint.
    pub(crate) fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.post_to("/ci/callback", &[], body)
    }

    /// Posts it, and waits until its stream has it: on a busy machine what is large may be spooled first.
    pub(crate) fn post_and_store(&self, body: impl AsRef<[u8]>) {
        let answer = self.post(body);
        let outcome = answer.json()["outcome"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 200 && ["published", "spooled"].contains(&&*outcome), "{answer:?}");
        super::eventually("stored", || (self.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    }

    pub(crate) fn post_to(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
        request(self.address, "POST", path, headers, body.as_ref())
    }

    /// Asks the admin listener.
    pub(crate) fn get(&self, path: &str) -> Answer {
        request(self.admin, "GET", path, &[], b"")
    }

    /// The value of a metric, with its labels as they are written; 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0.0)
    }

    /// Every callback has exactly one outcome.
    pub(crate) fn assert_every_callback_is_accounted_for(&self) {
        let text = self.get("/metrics").text();
        let outcomes = text.lines().filter(|line| line.starts_with("ci_bridge_callbacks_total{"));
        let sum: f64 = outcomes.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        assert_eq!(self.metric("ci_bridge_callbacks_received_total"), sum, "{text}");
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The first line of the log with these words, when it has come: what is written before an answer may be read after it.
    pub(crate) fn logged(&self, words: &str) -> String {
        eventually(words, || self.log().lines().find(|line| line.contains(words)).map(str::to_owned))
    }

    /// Waits until it has ended by itself; gives its exit code.
    pub(crate) fn wait_for_end(mut self) -> Option<i32> {
        eventually("the end", || self.child.try_wait().expect("its state can be asked for")).code()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        signal("TERM", self.child.id());
        let status = self.child.wait().expect("ci-bridge ends");
        let _ = self.log_reader.take().map(JoinHandle::join);
        (status, self.log())
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = self.log_reader.take().map(JoinHandle::join);
            eprintln!("--- log of ci-bridge ---\n{}", self.log());
        }
    }
}

fn collect_log(child: &mut Child) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let log = Arc::new(Mutex::new(String::new()));
    let mut stderr = child.stderr.take().expect("stderr is piped");
    let kept = Arc::clone(&log);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut buffer) {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
    (log, reader)
}
