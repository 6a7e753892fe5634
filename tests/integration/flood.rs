//! Slow and idle senders by the hundred: what they cost, and whether the others notice.
//!
//! `cargo xtask flood` runs the long form, with 2,000 connections, and prints a table; times are asserted nowhere, as they
//! are the machine's.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Bridge, Connection, eventually, nats, task};

/// Senders that mean well, and how often each posts.
const GOOD: usize = 8;
const POST_INTERVAL: Duration = Duration::from_millis(5);
/// How often a slow sender writes a byte, and how soon one that was cut off comes again.
const DRIBBLE_INTERVAL: Duration = Duration::from_secs(1);
/// How often those are looked at, in so many parts, and the memory.
const ROUND: Duration = Duration::from_millis(100);
const PARTS: usize = 100;
/// How often somebody posts what is too large.
const OVERSIZE_INTERVAL: Duration = Duration::from_millis(50);
const OVERSIZE: usize = 1_200_000;
/// What all of them together may cost.
const MOST_MEMORY: u64 = 64 * 1024;

struct Plan {
    slow: usize,
    max_connections: usize,
    calm: Duration,
    flood: Duration,
}

#[test]
fn slow_and_idle_senders_cost_little_and_keep_nobody_out() {
    let long = std::env::var("CI_BRIDGE_FLOOD_CONNECTIONS").ok().and_then(|number| number.parse().ok());
    let plan = match long {
        Some(slow) => Plan {
            slow,
            max_connections: 1024,
            calm: Duration::from_secs(15),
            flood: Duration::from_secs(30),
        },
        None => Plan {
            slow: 200,
            max_connections: 100,
            calm: Duration::from_millis(500),
            flood: Duration::from_secs(2),
        },
    };
    let nats = nats();
    let bridge = Bridge::start(
        &nats,
        &format!("[ingress]\nmax_body = \"1MiB\"\nmax_connections = {}\n", plan.max_connections),
    );
    let idle = memory(bridge.id());
    let calm = good_senders(&bridge, "calm", plan.calm);
    let warm = memory(bridge.id());
    let stop = AtomicBool::new(false);
    let opened = AtomicUsize::new(0);
    let (flooded, peak) = std::thread::scope(|scope| {
        scope.spawn(|| slow_senders(bridge.address, plan.slow, &opened, &stop));
        scope.spawn(|| oversize_senders(bridge.address, &stop));
        let peak = scope.spawn(|| peak_memory(bridge.id(), &stop));
        eventually("all places are taken", || {
            (bridge.metric("ci_bridge_connections") >= plan.max_connections as f64 - 10.0).then_some(())
        });
        let flooded = good_senders(&bridge, "flooded", plan.flood);
        stop.store(true, Ordering::Relaxed);
        (flooded, peak.join().unwrap())
    });
    report(&plan, &bridge, &calm, &flooded, opened.into_inner(), [idle, warm, peak]);
    assert_eq!(flooded.refused, 0, "a connection in use is never closed for another");
    assert!(flooded.answered.len() > 50 && !flooded.fresh.is_empty(), "the good ones were served");
    if let (Some(idle), Some(peak)) = (idle, peak) {
        assert!(peak - idle < MOST_MEMORY, "{} KiB above idle", peak - idle);
    }
    eventually("at rest", || (bridge.metric("ci_bridge_connections") == 0.0).then_some(()));
    bridge.assert_every_callback_is_accounted_for();
}

/// What those who mean well have seen.
#[derive(Default)]
struct Seen {
    answered: Vec<Duration>,
    /// Posts over a connection in use that got no 200.
    refused: usize,
    /// How long each new connection took to get in, with all that were told to come again.
    fresh: Vec<Duration>,
    turned_away: usize,
}

fn good_senders(bridge: &Bridge, name: &str, during: Duration) -> Seen {
    let (to, until) = (bridge.address, Instant::now() + during);
    let senders: Vec<_> = (0..GOOD)
        .map(|sender| {
            let name = format!("{name}-{sender}");
            std::thread::spawn(move || good_sender(to, &name, until))
        })
        .collect();
    let mut all = Seen::default();
    for seen in senders.into_iter().map(|sender| sender.join().unwrap()) {
        all.answered.extend(seen.answered);
        all.refused += seen.refused;
        all.fresh.extend(seen.fresh);
        all.turned_away += seen.turned_away;
    }
    all.answered.sort_unstable();
    all
}

/// Posts at a steady pace over one connection, and now and then over a new one.
fn good_sender(to: SocketAddr, name: &str, until: Instant) -> Seen {
    const POSTS_A_CONNECTION: usize = 100;
    let mut seen = Seen::default();
    let mut kept = None;
    let (mut wanted, mut was_turned_away) = (Instant::now(), false);
    for number in 0.. {
        if Instant::now() >= until {
            break;
        }
        let body = task(&format!("{name}-{number}"));
        let is_fresh = kept.is_none() || number % POSTS_A_CONNECTION == 0;
        let mut connection = kept.take().filter(|_| !is_fresh).unwrap_or_else(|| Connection::open(to));
        let begun = Instant::now();
        if is_fresh && !std::mem::replace(&mut was_turned_away, false) {
            wanted = begun;
        }
        let is_answered = connection.post(&body).is_some_and(|answer| answer.status == 200);
        match (is_answered, is_fresh) {
            (true, _) => {
                seen.answered.push(begun.elapsed());
                seen.fresh.extend(is_fresh.then(|| wanted.elapsed()));
                kept = Some(connection);
            }
            (false, true) => {
                seen.turned_away += 1;
                was_turned_away = true;
            }
            (false, false) => seen.refused += 1,
        }
        std::thread::sleep(POST_INTERVAL.saturating_sub(begun.elapsed()));
    }
    seen
}

/// One slow sender: what it writes first, and then byte by byte.
struct Slow {
    first: &'static [u8],
    drop_by_drop: u8,
    connection: Option<TcpStream>,
    next: Instant,
}

const KINDS: [(&[u8], u8); 3] = [
    (b"", b' '),
    (b"POST /ci/callback HTTP/1.1\r\nHost: x\r\nX-Slow: ", b'x'),
    (b"POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", b' '),
];

/// A third says nothing, a third never ends its head, a third never ends its body; all come again when they are cut off.
fn slow_senders(to: SocketAddr, count: usize, opened: &AtomicUsize, stop: &AtomicBool) {
    let slow = |(first, drop_by_drop)| Slow { first, drop_by_drop, connection: None, next: Instant::now() };
    let mut senders: Vec<_> = KINDS.into_iter().cycle().take(count).map(slow).collect();
    // A few at a time: a hundred at once would keep a core from those who are measured for some milliseconds.
    let part = count.div_ceil(PARTS);
    while !stop.load(Ordering::Relaxed) {
        for senders in senders.chunks_mut(part) {
            senders.iter_mut().for_each(|sender| sender.go_on(to, opened));
            std::thread::sleep(ROUND / u32::try_from(PARTS).unwrap());
        }
    }
}

impl Slow {
    fn go_on(&mut self, to: SocketAddr, opened: &AtomicUsize) {
        let is_due = Instant::now() >= self.next;
        if is_due {
            self.next = Instant::now() + DRIBBLE_INTERVAL;
        }
        match &mut self.connection {
            Some(connection) => {
                let ended = match connection.read(&mut [0; 512]) {
                    Ok(count) => count == 0,
                    Err(error) => error.kind() != ErrorKind::WouldBlock,
                };
                let says_something = !self.first.is_empty() && is_due;
                if ended || says_something && connection.write(&[self.drop_by_drop]).is_err() {
                    self.connection = None;
                }
            }
            None if is_due => {
                let Ok(mut connection) = TcpStream::connect(to) else { return };
                opened.fetch_add(1, Ordering::Relaxed);
                let _ = connection.write_all(self.first);
                connection.set_nonblocking(true).unwrap();
                self.connection = Some(connection);
            }
            None => {}
        }
    }
}

fn oversize_senders(to: SocketAddr, stop: &AtomicBool) {
    let body = vec![b' '; OVERSIZE];
    while !stop.load(Ordering::Relaxed) {
        // Whoever finds no place is told so before its body is looked at.
        let answer = request_or_reset(to, &body);
        assert!(matches!(answer, None | Some(413 | 503)), "{answer:?}");
        std::thread::sleep(OVERSIZE_INTERVAL);
    }
}

fn request_or_reset(to: SocketAddr, body: &[u8]) -> Option<u16> {
    let mut connection = Connection::open(to);
    let length = body.len();
    connection.write(
        format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
    );
    connection.write(body);
    let bytes = connection.read_to_end();
    std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()
}

/// The memory of a process in KiB; `None` where the system does not say.
fn memory(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

fn peak_memory(id: u32, stop: &AtomicBool) -> Option<u64> {
    let mut peak = None;
    while !stop.load(Ordering::Relaxed) {
        peak = peak.max(memory(id));
        std::thread::sleep(ROUND);
    }
    peak
}

fn report(
    plan: &Plan,
    bridge: &Bridge,
    calm: &Seen,
    flooded: &Seen,
    opened: usize,
    memory: [Option<u64>; 3],
) {
    let at = |seen: &Seen, percent: usize| {
        let place = (seen.answered.len() * percent / 100).min(seen.answered.len().saturating_sub(1));
        seen.answered.get(place).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    let [idle, warm, peak] = memory.map(|kib| kib.map_or(0.0, |kib| kib as f64 / 1024.0));
    let closed =
        |reason: &str| bridge.metric(&format!("ci_bridge_connections_closed_total{{reason=\"{reason}\"}}"));
    println!("{} slow and idle senders, max_connections = {}", plan.slow, plan.max_connections);
    println!(
        "connections opened by them {opened}, evicted {}, turned away {}",
        closed("evicted"),
        closed("no_room")
    );
    println!("memory: idle {idle:.1} MiB, after good senders {warm:.1} MiB, at most {peak:.1} MiB");
    for (name, seen) in [("calm", calm), ("flooded", flooded)] {
        println!(
            "{name:8} {} posts: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; {} new connections, in after at most {:.0} ms, \
             {} times turned away",
            seen.answered.len(),
            at(seen, 50),
            at(seen, 99),
            at(seen, 100),
            seen.fresh.len(),
            seen.fresh.iter().max().map_or(0.0, |time| time.as_secs_f64() * 1000.0),
            seen.turned_away
        );
    }
}
