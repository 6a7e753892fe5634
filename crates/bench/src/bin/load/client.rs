//! The loop: send what is due, read what has come, until the time is over.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use ci_bridge_bench::measurement::Measurement;
use ci_bridge_bench::template::Template;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::arguments::Arguments;
use crate::connection::{Connection, Progress};
use crate::tally::Tally;

/// An answer that has not come by then is a failure. No contender takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Room for what a contender answers to a callback of many jobs; longer answers are read in parts.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Events taken from the kernel at once.
const EVENTS: usize = 256;

pub(crate) struct Client {
    epoll: OwnedFd,
    template: Template,
    connections: Vec<Connection>,
    /// Those without a request, the longest idle first.
    idle: VecDeque<usize>,
    next: u64,
    tally: Tally,
    scratch: Vec<u8>,
    events: Vec<epoll::Event>,
}

/// When requests are due.
enum Pace {
    /// As soon as a connection is idle.
    Saturate,
    /// One each interval, late or not: what waits for a connection waits on the answers' account.
    Every { interval: Duration, next: Instant },
}

impl Client {
    pub(crate) fn connect(arguments: &Arguments) -> io::Result<Self> {
        raise_open_files();
        let template = Template::new(arguments.workload, &arguments.host, &arguments.path);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(arguments.connections);
        for place in 0..arguments.connections {
            let connection = Connection::open(&arguments.host, &template)?;
            let data = epoll::EventData::new_u64(place as u64);
            epoll::add(&epoll, &connection.socket, data, epoll::EventFlags::IN)?;
            connections.push(connection);
        }
        Ok(Self {
            epoll,
            template,
            idle: (0..connections.len()).collect(),
            connections,
            // 48 bits go into an id: 16 of the run, 32 of the callback.
            next: (arguments.run & 0xffff) << 32,
            tally: Tally::new(arguments.pid).map_err(io::Error::other)?,
            scratch: vec![0; SCRATCH_BYTES],
            events: Vec::with_capacity(EVENTS),
        })
    }

    pub(crate) fn run(mut self, arguments: &Arguments) -> io::Result<Measurement> {
        let mut pace = Pace::new(arguments.rate);
        self.run_until(Instant::now() + arguments.warmup, &mut pace)?;
        self.tally.begin()?;
        self.run_until(Instant::now() + arguments.measured, &mut pace)?;
        let mut measurement = self.tally.end()?;
        self.finish()?;
        self.tally.judge(&mut measurement);
        Ok(measurement)
    }

    fn run_until(&mut self, end: Instant, pace: &mut Pace) -> io::Result<()> {
        while let Some(left) = left(end) {
            self.send_due(pace)?;
            let due = pace.due_in().filter(|_| !self.idle.is_empty());
            self.handle_events(due.map_or(left, |due| due.min(left)))?;
        }
        Ok(())
    }

    /// Waits for what is unanswered: it must be answered well too, and a contender should not see its callers hang up.
    fn finish(&mut self) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        while self.idle.len() < self.connections.len() {
            let Some(left) = left(end) else {
                let missing = self.connections.len() - self.idle.len();
                self.tally.failed(&format!("{missing} requests without an answer after {PATIENCE:?}"));
                break;
            };
            self.handle_events(left)?;
        }
        Ok(())
    }

    fn send_due(&mut self, pace: &mut Pace) -> io::Result<()> {
        let now = Instant::now();
        while let Some(place) = self.idle.front().copied() {
            let Some(intended) = pace.take(now) else { break };
            self.idle.pop_front();
            let number = self.next;
            self.next += 1;
            if !self.connections[place].send(&self.template, number, intended)? {
                self.watch(place, epoll::EventFlags::IN | epoll::EventFlags::OUT)?;
            }
        }
        Ok(())
    }

    fn handle_events(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        let mut events = std::mem::take(&mut self.events);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            // Copies: the kernel's struct is packed.
            let (place, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(epoll::EventFlags::OUT) && self.connections[place].write()? {
                self.watch(place, epoll::EventFlags::IN)?;
            }
            if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                self.read(place)?;
            }
        }
        self.events = events;
        Ok(())
    }

    fn read(&mut self, place: usize) -> io::Result<()> {
        let connection = &mut self.connections[place];
        match connection.read(&mut self.scratch) {
            Progress::Waiting => {}
            Progress::Answered(status, bytes) => {
                self.tally.answered(status, connection.intended.elapsed(), &bytes);
                self.idle.push_back(place);
            }
            Progress::Failed(what) => {
                self.tally.failed(&what);
                return Err(io::Error::other(what));
            }
        }
        Ok(())
    }

    fn watch(&self, place: usize, flags: epoll::EventFlags) -> io::Result<()> {
        let data = epoll::EventData::new_u64(place as u64);
        Ok(epoll::modify(&self.epoll, &self.connections[place].socket, data, flags)?)
    }
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        rate.map_or(Self::Saturate, |rate| Self::Every {
            interval: Duration::from_secs_f64(1.0 / rate),
            next: Instant::now(),
        })
    }

    /// The time for which a request was meant, if that has come.
    fn take(&mut self, now: Instant) -> Option<Instant> {
        match self {
            Self::Saturate => Some(now),
            Self::Every { next, .. } if *next > now => None,
            Self::Every { interval, next } => {
                let intended = *next;
                *next += *interval;
                Some(intended)
            }
        }
    }

    fn due_in(&self) -> Option<Duration> {
        match self {
            Self::Saturate => None,
            Self::Every { next, .. } => Some(next.saturating_duration_since(Instant::now())),
        }
    }
}

fn left(end: Instant) -> Option<Duration> {
    end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// Each connection is an open file; what the administrator allows is more than what a shell starts with.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, opening the connections says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
