//! The page in a real browser: `tests/page/` has the steps, this side starts, stops and floods what the page looks at.
//!
//! `cargo xtask page` runs the long form of the flood; what it measures is asserted nowhere else, as it is the machine's.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_ci::{FakeCi, Job};
use crate::support::{Bridge, Connection, LocalNats, browser, nats, repository, signal, task};

/// What opens the page where it is not open to all.
const TOKEN: &str = "a-token-of-the-page-tests";

/// What a page looks at; the script asks for changes of it, a word a line.
struct Stage {
    nats: LocalNats,
    bridge: Option<Bridge>,
    stopped: Option<tempfile::TempDir>,
    /// What the next start is configured with.
    then: String,
    flood: Option<Flood>,
    flooded: Value,
}

impl Stage {
    fn new(configuration: &str, then: &str) -> Self {
        let nats = nats();
        let bridge = Some(Bridge::start(&nats, configuration));
        Self { nats, bridge, stopped: None, then: then.to_owned(), flood: None, flooded: Value::Null }
    }

    fn change(&mut self, wish: &str) {
        let bridge = || self.bridge.as_ref().expect("the bridge runs");
        match wish {
            "stop-nats" => self.nats.kill().expect("nats-server can be killed"),
            "start-nats" => self.nats.restart(None).expect("nats-server starts"),
            "stop" => self.stopped = self.bridge.take().map(Bridge::stop_and_keep_folder),
            "start" => self.bridge = Some(Bridge::start(&self.nats, &self.then)),
            "freeze" => signal("STOP", bridge().id()),
            "thaw" => signal("CONT", bridge().id()),
            "flood" => self.flood = Some(Flood::start(bridge(), flood_minutes().is_some())),
            "calm" => self.flooded = self.flood.take().map_or(Value::Null, Flood::stop),
            other => panic!("the script asks for {other:?}"),
        }
    }

    fn state(&self) -> String {
        let address = |of: fn(&Bridge) -> SocketAddr| self.bridge.as_ref().map(of);
        let (admin, callbacks) = (address(|b| b.admin), address(|b| b.address));
        json!({ "admin": admin, "callbacks": callbacks, "flooded": self.flooded }).to_string()
    }
}

/// How long the long form lasts, where it is asked for.
fn flood_minutes() -> Option<String> {
    std::env::var("CI_BRIDGE_PAGE_MINUTES").ok()
}

/// Callbacks at a steady pace.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    peak: JoinHandle<u64>,
    since: Instant,
}

const SENDERS: usize = 16;
/// Each sends so many in a row, then pauses: 10,000 a second in all in the long form, 1,000 in the short.
const BATCH: u64 = 10;
const LONG_PAUSE: Duration = Duration::from_millis(16);
const SHORT_PAUSE: Duration = Duration::from_millis(160);

impl Flood {
    fn start(bridge: &Bridge, is_long: bool) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (to, id) = (bridge.address, bridge.id());
        let pause = if is_long { LONG_PAUSE } else { SHORT_PAUSE };
        let sender = |_| {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || send(to, pause, &stop, &sent))
        };
        let threads = (0..SENDERS).map(sender).collect();
        let stopped = Arc::clone(&stop);
        let peak = std::thread::spawn(move || {
            let mut peak = 0;
            while !stopped.load(Ordering::Relaxed) {
                peak = peak.max(memory(id).unwrap_or(0));
                std::thread::sleep(Duration::from_millis(100));
            }
            peak
        });
        Self { stop, sent, threads, peak, since: Instant::now() }
    }

    fn stop(self) -> Value {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("every callback is answered 200");
        }
        let peak = self.peak.join().expect("memory can be read");
        json!({ "sent": self.sent.load(Ordering::Relaxed), "seconds": self.since.elapsed().as_secs_f64(), "peak_kib": peak })
    }
}

/// Over one connection, until it is enough.
fn send(to: SocketAddr, pause: Duration, stop: &AtomicBool, sent: &AtomicU64) {
    let mut connection = Connection::open(to);
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let first = sent.fetch_add(BATCH, Ordering::Relaxed);
        for number in first..first + BATCH {
            let answer = connection.post(&task(&format!("f{number}"))).expect("the connection stays open");
            assert_eq!(answer.status, 200);
        }
        due += pause;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// The memory of a process in KiB; `None` where the system does not say.
fn memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Plays a script of `tests/page/` against a bridge with this configuration, and with another after a restart.
fn play(script: &str, configuration: &str, then: &str) {
    let Some(tools) = browser() else { return };
    let mut stage = Stage::new(configuration, then);
    let mut child = Command::new("node")
        .arg(repository("tests/page").join(script))
        .env("PAGE_TOOLS", tools)
        .env("PICTURES", Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures"))
        .env("FLOOD_MINUTES", flood_minutes().unwrap_or_default())
        .env("BRIDGE", stage.state())
        .env("ADMIN_TOKEN", TOKEN)
        .env("CI_BRIDGE", env!("CARGO_BIN_EXE_ci-bridge"))
        .env("WORKFLOW", repository("crates/bridge/samples/workflow-failed.xml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs: npm has just done");
    let mut answers = child.stdin.take().expect("stdin is piped");
    for wish in BufReader::new(child.stdout.take().expect("stdout is piped")).lines() {
        stage.change(&wish.expect("a line"));
        writeln!(answers, "{}", stage.state()).expect("the script listens");
    }
    let status = child.wait().expect("node ends");
    assert!(status.success(), "{script}: {status}");
}

#[test]
fn callbacks_are_found_shared_copied_and_hold_still() {
    play("callbacks.mjs", "[jobs]\nbucket = \"CI_JOBS\"\n", "");
}

#[test]
fn every_view_is_readable_by_all_and_shows_nothing_of_a_sender_but_text() {
    play("screens.mjs", "", "");
}

#[test]
fn quarantine_is_read_replayed_and_locked_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("admin-token");
    fs::write(&file, TOKEN).expect("the token is written");
    let locked = format!("[admin]\ntoken_file = {file:?}\n");
    play("quarantine.mjs", &format!("{locked}[ingress]\nmax_jobs = 1\n"), &locked);
}

#[test]
fn the_last_account_with_ci_is_on_the_first_view() {
    let ci = FakeCi::start();
    ci.add(Job::ended("j1", 3600));
    // One account, so that no second one takes the place of what the first recovered.
    play("reconcile.mjs", &ci.configuration("every = \"6h\"\nsince = \"12h\"\ntags = [\"Transcode\"]"), "");
}

#[test]
fn the_page_says_whether_it_is_live() {
    play("reconnect.mjs", "", "");
}

#[test]
fn three_pages_keep_up_with_a_flood() {
    play("flood.mjs", "", "");
}

#[test]
fn pictures_of_every_view_can_be_looked_at() {
    play("pictures.mjs", "", "");
}
