//! A TCP proxy between the bridge and NATS, which can do what signals cannot: lose one direction, hold, delay, cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What happens to the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// Both connections stay open and nothing moves.
    Hold,
    /// What the server says is lost. The connections must be cut before bytes pass again.
    LoseAnswers,
    /// Each chunk waits.
    Delay(Duration),
}

/// Passes bytes on until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wire: Arc<Wire>,
}

struct Wire {
    upstream: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    stopped: AtomicBool,
}

struct State {
    mode: Mode,
    /// Both ends of each connection.
    open: Vec<Arc<Pair>>,
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
    closed: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the proxy");
        let address = listener.local_addr().expect("the proxy's address");
        let state = State { mode: Mode::Pass, open: Vec::new() };
        let wire = Arc::new(Wire {
            upstream,
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&wire);
        thread::spawn(move || accepting.accept(&listener));
        Self { address, wire }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.wire.state().mode = mode;
        self.wire.changed.notify_all();
    }

    /// Closes every connection; new ones are taken.
    pub(crate) fn cut(&self) {
        for pair in std::mem::take(&mut self.wire.state().open) {
            pair.close();
        }
        self.wire.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.stopped.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes `accept`.
        let _ = TcpStream::connect(self.address);
    }
}

impl Wire {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            // NATS is away: the client sees its connection end.
            let _ = self.join(client);
        }
    }

    fn join(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(self.upstream)?;
        // A connection to a port of this host that nobody listens on can meet itself.
        if server.local_addr()? == self.upstream {
            return Ok(());
        }
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let pair = Arc::new(Pair { client, server, closed: AtomicBool::new(false) });
        let mut state = self.state();
        state.open.retain(|pair| !pair.is_closed());
        state.open.push(Arc::clone(&pair));
        drop(state);
        for answers in [false, true] {
            let (wire, pair) = (Arc::clone(self), Arc::clone(&pair));
            thread::spawn(move || {
                let _ = wire.pump(&pair, answers);
                pair.close();
                wire.changed.notify_all();
            });
        }
        Ok(())
    }

    fn pump(&self, pair: &Pair, answers: bool) -> io::Result<()> {
        let (mut from, mut to) = match answers {
            true => (&pair.server, &pair.client),
            false => (&pair.client, &pair.server),
        };
        let mut buffer = [0; 64 * 1024];
        while let count @ 1.. = from.read(&mut buffer)? {
            match self.when_moving(pair) {
                Mode::LoseAnswers if answers => continue,
                Mode::Delay(time) => thread::sleep(time),
                _ => {}
            }
            to.write_all(&buffer[..count])?;
        }
        Ok(())
    }

    fn when_moving(&self, pair: &Pair) -> Mode {
        let held = |state: &mut State| state.mode == Mode::Hold && !pair.is_closed();
        let state = self.changed.wait_while(self.state(), held);
        state.unwrap_or_else(PoisonError::into_inner).mode
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pair {
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
