//! What a service manager such as systemd is told: started, reloading, stopping, alive, and how it is. The protocol is one
//! datagram a message to `$NOTIFY_SOCKET` (sd_notify(3)); without that variable nothing is said.

use std::env;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::process;
use std::sync::LazyLock;
use std::time::Duration;

use ci_bridge_publisher::Readiness;
use tokio::sync::watch;
use tokio::time::interval;
use tracing::warn;

/// systemd shows one line of status; longer ones only fill its journal.
const MAX_STATUS_CHARS: usize = 300;

/// What a busy machine may need beyond the time that the configuration allows.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// What the process was started with; it does not change.
static MANAGER: LazyLock<Option<Manager>> = LazyLock::new(Manager::of_the_environment);

/// Both listeners are open: units that are ordered after this one may start.
pub(crate) fn started() {
    say("READY=1");
}

/// A reload has begun; [`started`] tells that it is over.
pub(crate) fn reloading() {
    say("RELOADING=1");
}

/// Shutdown has begun, and may take so long: the manager is to wait, whatever its unit says.
pub(crate) fn stopping(at_most: Duration) {
    let microseconds = (at_most + STOP_MARGIN).as_micros();
    say(&format!("STOPPING=1\nSTATUS=finishing what is in flight\nEXTEND_TIMEOUT_USEC={microseconds}"));
}

/// Says how the bridge is, at each change, and that it is alive, as often as the manager asks for. Runs until it is
/// dropped, on the runtime that answers callbacks: when that hangs, the watchdog goes unfed.
pub(crate) async fn report(mut readiness: watch::Receiver<Readiness>) {
    let Some(manager) = &*MANAGER else { return };
    let mut watchdog = manager.watchdog.map(interval);
    say(&status(&readiness.borrow_and_update()));
    loop {
        let fed = async {
            match &mut watchdog {
                Some(watchdog) => watchdog.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = fed => say("WATCHDOG=1"),
            changed = readiness.changed() => match changed {
                Ok(()) => say(&status(&readiness.borrow_and_update())),
                Err(_) => return,
            },
        }
    }
}

/// As `systemctl status` shows it. A line break would begin another assignment.
fn status(readiness: &Readiness) -> String {
    let words = match readiness.ready {
        true => "ready".to_owned(),
        false => format!("not ready: {}", readiness.reason()),
    };
    let line = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    format!("STATUS={}", line.take(MAX_STATUS_CHARS).collect::<String>())
}

fn say(message: &str) {
    if let Some(manager) = &*MANAGER
        && let Err(error) = manager.send(message)
    {
        warn!(%error, "the service manager cannot be told how it goes (NOTIFY_SOCKET)");
    }
}

struct Manager {
    socket: String,
    /// How often it is told that the process is alive: twice as often as it asks for.
    watchdog: Option<Duration>,
}

impl Manager {
    fn of_the_environment() -> Option<Self> {
        let variable = |name| env::var(name).ok();
        Self::of(variable("NOTIFY_SOCKET"), variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"))
    }

    fn of(socket: Option<String>, usec: Option<String>, pid: Option<String>) -> Option<Self> {
        let socket = socket.filter(|path| path.starts_with(['/', '@']))?;
        let is_ours = pid.is_none_or(|pid| pid == process::id().to_string());
        let usec = usec.filter(|_| is_ours).and_then(|usec| usec.parse().ok()).filter(|usec| *usec > 0);
        Some(Self { socket, watchdog: usec.map(|usec: u64| Duration::from_micros(usec.div_ceil(2))) })
    }

    fn send(&self, message: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not hold up callbacks.
        socket.set_nonblocking(true)?;
        send_to(&socket, &self.socket, message.as_bytes())
    }
}

/// A name that begins with `@` is in the abstract name space, which only Linux has.
#[cfg(target_os = "linux")]
fn send_to(socket: &UnixDatagram, name: &str, message: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    socket.send_to_addr(message, &address).map(drop)
}

#[cfg(not(target_os = "linux"))]
fn send_to(socket: &UnixDatagram, name: &str, message: &[u8]) -> io::Result<()> {
    socket.send_to(message, name).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_asks_for() {
        let own = process::id().to_string();
        for (socket, usec, pid, expect) in [
            (None, Some("2000000"), None, None),
            (Some(""), None, None, None),
            (Some("vsock:2:1234"), None, None, None),
            (Some("/run/systemd/notify"), None, None, Some(None)),
            (Some("@notify"), Some("2000000"), None, Some(Some(Duration::from_secs(1)))),
            (Some("@notify"), Some("2000000"), Some(own.as_str()), Some(Some(Duration::from_secs(1)))),
            (Some("@notify"), Some("2000000"), Some("1"), Some(None)),
            (Some("@notify"), Some("0"), None, Some(None)),
            (Some("@notify"), Some("soon"), None, Some(None)),
        ] {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let manager = Manager::of(owned(socket), owned(usec), owned(pid));
            assert_eq!(manager.map(|manager| manager.watchdog), expect, "{socket:?} {usec:?} {pid:?}");
        }
    }
}
