//! `ci-bridge serve` over TLS, in front of a nats-server of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Certificate;

/// nats-server says within milliseconds which port it took.
const START_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Both processes; they end when this is dropped.
pub(super) struct Served {
    bridge: Ended,
    _nats: Ended,
    port: String,
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have gone already, and there is nobody to tell if it will not.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Served {
    /// Starts both with their files in `home`, on free ports, and waits until the bridge is ready.
    pub(super) fn start(
        bridge: &Path,
        server: &Path,
        tls: &Certificate,
        home: &Path,
    ) -> Result<Self, String> {
        let (nats, url) = start_nats(server, home)?;
        let config = home.join("ci-bridge.toml");
        let text = format!("[ingress.tls]\ncert = {:?}\nkey = {:?}\n", tls.cert, tls.key);
        fs::write(&config, text).map_err(|e| e.to_string())?;
        let log = home.join("ci-bridge.log");
        let mut serve = Command::new(bridge);
        serve.arg("serve").arg("-c").arg(config).args(["--nats", &url, "--listen", "127.0.0.1:0"]);
        serve.args(["--admin-listen", "127.0.0.1:0"]).current_dir(home).env_clear();
        serve.stdin(Stdio::null()).stdout(Stdio::piped());
        serve.stderr(File::create(&log).map_err(|e| e.to_string())?);
        let mut bridge = Ended(serve.spawn().map_err(|e| format!("ci-bridge: {e}"))?);
        let mut line = String::new();
        if let Some(output) = bridge.0.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        let port =
            ready_port(&line).ok_or_else(|| format!("ci-bridge is not ready: see {}", log.display()))?;
        Ok(Self { bridge, _nats: nats, port: port.to_owned() })
    }

    pub(super) fn port(&self) -> &str {
        &self.port
    }

    /// After all that, a callback gets through to NATS.
    pub(super) fn takes_a_callback(mut self, program: &Path, tls: &Certificate) -> Result<(), String> {
        if let Ok(Some(status)) = self.bridge.0.try_wait() {
            return Err(format!("ci-bridge has ended: {status}"));
        }
        let url = format!("https://127.0.0.1:{}/ci/callback", self.port);
        let mut send = Command::new(program);
        send.args(["send", "--sample", "noise-reduction", "--url", &url, "--ca"]).arg(&tls.cert).env_clear();
        let output = send.output().map_err(|e| format!("ci-bridge send: {e}"))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                Err(format!("no callback gets through: {}", String::from_utf8_lossy(&output.stderr).trim()))
            }
        }
    }
}

fn start_nats(server: &Path, home: &Path) -> Result<(Ended, String), String> {
    let folder = home.join("nats");
    // What an earlier run left, with its ports file.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let mut command = Command::new(server);
    command
        .args(["--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir"])
        .arg(folder.join("store"));
    command.arg("--ports_file_dir").arg(&folder).arg("--log").arg(folder.join("log"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let nats = Ended(command.spawn().map_err(|e| format!("{}: {e}", server.display()))?);
    let deadline = Instant::now() + START_TIMEOUT;
    while Instant::now() < deadline {
        if let Some(url) = read_ports(&folder) {
            return Ok((nats, url));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Err(format!("{} does not start: see {}", server.display(), folder.join("log").display()))
}

/// `{"nats":["nats://127.0.0.1:4222"]}`; nothing of a file that is half written.
fn read_ports(folder: &Path) -> Option<String> {
    let mut files = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let text = fs::read_to_string(files.find(|path| path.extension().is_some_and(|e| e == "ports"))?).ok()?;
    let (_, from) = text.split_once("\"nats://")?;
    let (address, _) = from.split_once('"')?;
    Some(format!("nats://{address}"))
}

/// `ci-bridge ready: callbacks on https://127.0.0.1:PORT, admin on …`
fn ready_port(line: &str) -> Option<&str> {
    let (_, from) = line.split_once("https://127.0.0.1:")?;
    from.split([',', ' ', '\n']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_in_the_ready_line() {
        let line = "ci-bridge ready: callbacks on https://127.0.0.1:43325, admin on http://127.0.0.1:33785\n";
        assert_eq!(ready_port(line), Some("43325"));
        assert_eq!(ready_port(""), None);
    }
}
