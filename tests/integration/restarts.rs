//! Restarts and reloads under load: nobody who posts a callback notices.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Scope, ScopedJoinHandle};

use crate::support::{
    Bridge, Connection, LocalNats, POLL_INTERVAL, Streams, eventually, nats, request, signal, task,
};

/// Enough that both kinds of senders post all the time.
const SENDERS: usize = 4;
/// Each of the two bridges is replaced so often.
const RESTARTS: usize = 3;
/// Unless CI_BRIDGE_RELOADS says otherwise.
const RELOADS: usize = 100;

/// Passes connections on to bridges that accept callbacks, as a Service of Kubernetes does with its endpoints.
struct Balancer {
    address: SocketAddr,
    backends: Arc<Mutex<Vec<Backend>>>,
    over: Arc<AtomicBool>,
}

#[derive(Clone, Copy)]
struct Backend {
    address: SocketAddr,
    admin: SocketAddr,
    is_accepting: bool,
}

impl Balancer {
    fn start<'s>(scope: &'s Scope<'s, '_>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let backends = Arc::<Mutex<Vec<Backend>>>::default();
        let over = Arc::<AtomicBool>::default();
        let (shared, stop) = (Arc::clone(&backends), Arc::clone(&over));
        scope.spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let accepting: Vec<_> =
                    shared.lock().unwrap().iter().copied().filter(|backend| backend.is_accepting).collect();
                let backend = accepting[number % accepting.len()];
                let client = client.unwrap();
                scope.spawn(move || pass_on(client, TcpStream::connect(backend.address).unwrap()));
            }
        });
        let (shared, stop) = (Arc::clone(&backends), Arc::clone(&over));
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let looked_at = shared.lock().unwrap().clone();
                for backend in looked_at {
                    let is_accepting = asks(backend.admin);
                    let mut backends = shared.lock().unwrap();
                    for found in backends.iter_mut().filter(|found| found.admin == backend.admin) {
                        found.is_accepting = is_accepting;
                    }
                }
                std::thread::sleep(POLL_INTERVAL);
            }
        });
        Self { address, backends, over }
    }

    /// From now on connections go to this bridge as well, when it accepts callbacks.
    fn add(&self, bridge: &Bridge) {
        let backend = Backend { address: bridge.address, admin: bridge.admin, is_accepting: false };
        self.backends.lock().unwrap().push(backend);
        let is_seen =
            || self.backends.lock().unwrap().iter().any(|b| b.admin == bridge.admin && b.is_accepting);
        eventually("the balancer sees it", || is_seen().then_some(()));
    }

    fn remove(&self, admin: SocketAddr) {
        self.backends.lock().unwrap().retain(|backend| backend.admin != admin);
    }

    fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
        // The one that it waits for.
        let _ = TcpStream::connect(self.address);
    }
}

/// Whether this bridge accepts callbacks; one that is gone does not.
fn asks(admin: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(admin)?;
        write!(stream, "GET /readyz/accepting HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// Both ways, until each side has ended; a reset of one is one for the other.
fn pass_on(client: TcpStream, bridge: TcpStream) {
    std::thread::scope(|scope| {
        for (mut from, mut to) in
            [(client.try_clone().unwrap(), bridge.try_clone().unwrap()), (bridge, client)]
        {
            scope.spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
}

/// Posts callbacks one after the other until it is told to stop; gives how many were answered 200. Every other sender
/// keeps its connection for as long as it is let.
fn send<'s>(
    scope: &'s Scope<'s, '_>,
    to: SocketAddr,
    path: &'static str,
    number: usize,
    load: &'s Load,
) -> ScopedJoinHandle<'s, usize> {
    scope.spawn(move || {
        let mut kept: Option<Connection> = None;
        for sent in 0.. {
            if load.over.load(Ordering::Relaxed) {
                return sent;
            }
            let body = task(&format!("s{number}n{sent}"));
            let answer = match number % 2 {
                0 => request(to, "POST", path, &[], body.as_bytes()),
                _ => {
                    let connection = kept.get_or_insert_with(|| Connection::open(to));
                    let length = body.len();
                    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
                    connection.write(format!("{head}{body}").as_bytes());
                    // A reset would panic here.
                    connection.read_answer()
                }
            };
            assert_eq!(answer.status, 200, "{answer:?}");
            load.answered.fetch_add(1, Ordering::Relaxed);
            if answer.header("connection") == Some("close") {
                kept = None;
            }
        }
        0
    })
}

/// What the senders and the test tell each other.
#[derive(Default)]
struct Load {
    over: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    /// Waits until so many more callbacks have been answered.
    fn goes_on(&self, count: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("more callbacks", || {
            (self.answered.load(Ordering::Relaxed) >= before + count).then_some(())
        });
    }
}

/// Each callback that was answered is in the stream, once.
fn assert_stored_once(nats: &LocalNats, answered: usize) {
    let streams = Streams::of(nats);
    let stored = streams.messages("CI");
    let ids: std::collections::BTreeSet<_> = stored.iter().map(|message| message.id().to_owned()).collect();
    assert_eq!(
        (stored.len(), ids.len()),
        (answered, answered),
        "stored, and different, of those answered 200"
    );
}

#[test]
fn a_rolling_restart_behind_a_balancer_is_noticed_by_nobody() {
    let nats = nats();
    let start = || Bridge::start(&nats, "[ingress]\nshutdown_delay = \"1s\"\n");
    let load = Load::default();
    let answered = std::thread::scope(|scope| {
        let balancer = Balancer::start(scope);
        let mut bridges = [start(), start()];
        bridges.iter().for_each(|bridge| balancer.add(bridge));
        let senders: Vec<_> =
            (0..SENDERS).map(|number| send(scope, balancer.address, "/ci/callback", number, &load)).collect();
        for _ in 0..RESTARTS {
            for place in &mut bridges {
                load.goes_on(20);
                let next = start();
                balancer.add(&next);
                let old = std::mem::replace(place, next);
                let admin = old.admin;
                let (status, log) = old.terminate();
                assert_eq!(status.code(), Some(0), "{log}");
                balancer.remove(admin);
            }
        }
        load.goes_on(20);
        load.over.store(true, Ordering::Relaxed);
        let answered: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        balancer.stop();
        answered
    });
    assert_stored_once(&nats, answered);
}

/// Configurations that are taken, and others that are refused, by turns.
fn configurations() -> [String; 6] {
    let endpoint = |tokens: &str| format!("[[ingress.endpoints]]\ntokens = [{tokens}]\n");
    [
        format!(
            "{}[[rules]]\nmatch = {{ tag = \"NoiseReduction\" }}\nsubject = \"ci.a.{{tag}}\"\n",
            endpoint("\"kept\", \"a\"")
        ),
        "not TOML".to_owned(),
        format!("{}[subjects]\ntask = \"ci.b.{{tag}}\"\n", endpoint("\"b\", \"kept\"")),
        // Only a restart could change it.
        format!("[jetstream]\nstream = \"OTHER\"\n{}", endpoint("\"kept\"")),
        endpoint("\"kept\""),
        "[[ingress.endpoints]]\ntokens_file = \"nowhere\"\n".to_owned(),
    ]
}

#[test]
fn reloads_of_good_and_bad_files_under_load_are_noticed_by_nobody() {
    let count = std::env::var("CI_BRIDGE_RELOADS").ok().and_then(|count| count.parse().ok());
    let count: usize = count.unwrap_or(RELOADS);
    let nats = nats();
    let configurations = configurations();
    let bridge = Bridge::start(&nats, &configurations[0]);
    let file = bridge.folder().join("ci-bridge.toml");
    let reloads = |outcome: &str| bridge.metric(&format!("ci_bridge_reloads_total{{outcome=\"{outcome}\"}}"));
    let load = Load::default();
    let began = std::time::Instant::now();
    let answered: usize = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| send(scope, bridge.address, "/ci/callback/kept", number, &load))
            .collect();
        for number in 0..count {
            let before = reloads("applied") + reloads("refused");
            // As Kubernetes and editors do: nobody reads half a file.
            let next = bridge.folder().join("next.toml");
            std::fs::write(&next, &configurations[number % configurations.len()]).unwrap();
            std::fs::rename(&next, &file).unwrap();
            signal("HUP", bridge.id());
            eventually("a reload", || (reloads("applied") + reloads("refused") > before).then_some(()));
        }
        load.goes_on(20);
        load.over.store(true, Ordering::Relaxed);
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    let (applied, refused) = (reloads("applied"), reloads("refused"));
    println!(
        "{applied} reloads applied and {refused} refused in {:.1} s; {answered} callbacks, all answered 200 and stored once",
        began.elapsed().as_secs_f64()
    );
    let half = (count / 2) as f64;
    assert!(applied >= half && refused >= half, "{applied} {refused}");
    assert_stored_once(&nats, answered);
}
