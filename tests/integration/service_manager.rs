//! What systemd is told, by a socket in its place.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::support::{PATIENCE, ci_bridge, signal};

/// A bridge without NATS that a service manager started, and what the manager hears.
struct Unit {
    bridge: Child,
    socket: UnixDatagram,
    folder: TempDir,
}

impl Unit {
    fn start(watchdog_usec: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ci-bridge.toml");
        std::fs::write(&file, "").unwrap();
        let address = folder.path().join("notify");
        let socket = UnixDatagram::bind(&address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = ci_bridge();
        command.args(["serve", "--nats", "nats://127.0.0.1:1", "--listen", "127.0.0.1:0"]);
        command.args(["--admin-listen", "127.0.0.1:0", "-c"]).arg(file).current_dir(folder.path());
        command.env("NOTIFY_SOCKET", address).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(usec) = watchdog_usec {
            command.env("WATCHDOG_USEC", usec);
        }
        Self { bridge: command.spawn().unwrap(), socket, folder }
    }

    /// The next message that begins so; others may come before it.
    fn hears(&self, beginning: &str) -> String {
        let mut buffer = [0; 4096];
        let mut before = Vec::new();
        loop {
            let Ok(count) = self.socket.recv(&mut buffer) else {
                panic!("{beginning} does not come after {before:?}");
            };
            let message = String::from_utf8_lossy(&buffer[..count]).into_owned();
            if message.starts_with(beginning) {
                return message;
            }
            before.push(message);
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.bridge.kill();
        let _ = self.bridge.wait();
    }
}

#[test]
fn systemd_is_told_how_it_goes() {
    let mut unit = Unit::start(None);
    assert_eq!(unit.hears("READY=1"), "READY=1");
    let status = unit.hears("STATUS=not ready: not connected to NATS");
    assert_eq!(status.lines().count(), 1, "{status}");
    for change in ["SIGHUP", "a changed file", "a file that cannot be used"] {
        match change {
            "SIGHUP" => signal("HUP", unit.bridge.id()),
            "a changed file" => std::fs::write(unit.folder.path().join("ci-bridge.toml"), "# new\n").unwrap(),
            _ => std::fs::write(unit.folder.path().join("ci-bridge.toml"), "rubbish").unwrap(),
        }
        unit.hears("RELOADING=1");
        assert_eq!(unit.hears("READY=1"), "READY=1", "{change}");
    }
    signal("TERM", unit.bridge.id());
    // Ten seconds of ingress.drain_timeout, and two for a busy machine.
    assert!(unit.hears("STOPPING=1").contains("\nEXTEND_TIMEOUT_USEC=12000000"));
    assert_eq!(unit.bridge.wait().unwrap().code(), Some(0));
}

#[test]
fn the_watchdog_is_fed_while_the_bridge_is_alive() {
    let unit = Unit::start(Some("200000"));
    unit.hears("READY=1");
    for _ in 0..3 {
        unit.hears("WATCHDOG=1");
    }
}
