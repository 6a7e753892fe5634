//! A throwaway nats-server with JetStream, for `ci-bridge demo` and the tests.

mod reserved_port;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use reserved_port::ReservedPort;

/// nats-server says within milliseconds that it listens.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A running nats-server; it and its files go when this is dropped.
#[derive(Debug)]
pub struct LocalNats {
    child: Child,
    folder: TempDir,
    program: PathBuf,
    config: String,
    /// So that nobody else gets the port while the server is away.
    port: ReservedPort,
}

impl LocalNats {
    /// Starts `$NATS_SERVER`, or the `nats-server` on the path, on a free port. `config` is added to its
    /// configuration file.
    ///
    /// # Errors
    ///
    /// When there is no nats-server, or it does not start; its log is part of the message.
    pub fn start(config: &str) -> io::Result<Self> {
        let program = find()?;
        let folder = tempfile::Builder::new().prefix("ci-bridge-nats-").tempdir()?;
        let port = ReservedPort::new()?;
        let child = launch(&program, folder.path(), &port, config)?;
        Ok(Self { child, folder, program, config: config.to_owned(), port })
    }

    /// `nats://127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.port)
    }

    /// The folder that goes when this is dropped.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server the hard way (SIGKILL); its streams stay.
    ///
    /// # Errors
    ///
    /// When the process cannot be ended.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Starts the server again, on the same port and with the same streams; `config` replaces the one before.
    ///
    /// # Errors
    ///
    /// As [`LocalNats::start`].
    pub fn restart(&mut self, config: Option<&str>) -> io::Result<()> {
        self.kill()?;
        if let Some(config) = config {
            config.clone_into(&mut self.config);
        }
        self.child = launch(&self.program, self.folder.path(), &self.port, &self.config)?;
        Ok(())
    }

    /// `nats-server: v2.15.1`
    ///
    /// # Errors
    ///
    /// When the program does not run.
    pub fn version(&self) -> io::Result<String> {
        let output = Command::new(&self.program).arg("--version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

impl Drop for LocalNats {
    fn drop(&mut self) {
        // It may have gone already, and there is nobody to tell if it will not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> io::Result<PathBuf> {
    if let Some(program) = std::env::var_os("NATS_SERVER") {
        return Ok(PathBuf::from(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps it in /usr/sbin, which users' paths leave out.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let name: OsString = format!("nats-server{}", std::env::consts::EXE_SUFFIX).into();
    folders.map(|folder| folder.join(&name)).find(|program| program.is_file()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "no nats-server found: run `cargo xtask demo`, which fetches one, or install it and set NATS_SERVER to its path",
        )
    })
}

fn launch(program: &Path, folder: &Path, port: &ReservedPort, config: &str) -> io::Result<Child> {
    // A server that was killed leaves its ports file behind.
    let ports = folder.join("ports");
    let _ = fs::remove_dir_all(&ports);
    fs::create_dir(&ports)?;
    let log = folder.join("log");
    let file = folder.join("nats.conf");
    let store = folder.join("jetstream");
    let text = format!(
        "listen: \"{port}\"\nports_file_dir: {ports:?}\nlog_file: {log:?}\njetstream {{ store_dir: {store:?} }}\n{config}\n"
    );
    fs::write(&file, text)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    detach_from_terminal(&mut command);
    let mut child = command
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("cannot start {}: {e}", program.display())))?;
    let deadline = Instant::now() + START_TIMEOUT;
    while Instant::now() < deadline && child.try_wait()?.is_none() {
        if listens(&ports) {
            return Ok(child);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    let _ = child.kill();
    let _ = child.wait();
    let log = fs::read_to_string(&log).unwrap_or_default();
    Err(io::Error::other(format!("{} did not start:\n{log}", program.display())))
}

/// Ctrl-C goes to the whole foreground group; the server must outlive it until we have cleaned up.
fn detach_from_terminal(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

/// nats-server writes a file of its ports once it listens on them.
fn listens(folder: &Path) -> bool {
    let is_it = |entry: fs::DirEntry| entry.path().extension().is_some_and(|e| e == "ports");
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(is_it))
}
