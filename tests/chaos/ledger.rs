//! The books: what was promised by an answer, how fast answers came, and which requests never had one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::callback::Callback;
use crate::http::{Answer, Exchange};

/// Shared by all senders.
pub(crate) struct Ledger {
    pub(crate) seed: u64,
    next: AtomicU64,
    book: Mutex<Book>,
}

#[derive(Default)]
pub(crate) struct Book {
    /// By number: an answer said that every message is durable.
    pub(crate) promised: Vec<bool>,
    /// How often each answer was given, as `200 published` or `503`.
    pub(crate) answers: BTreeMap<String, u64>,
    pub(crate) slowest: Duration,
    /// Requests that were written whole and not answered.
    resets: Vec<(Instant, Instant)>,
    outages: Vec<Outage>,
    violations: Vec<String>,
}

/// From the signal that ends the bridge to the ready line of the next.
struct Outage {
    from: Instant,
    to: Option<Instant>,
    graceful: bool,
}

/// `ingress.deadline`, and two seconds for a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A request that was written this long before SIGTERM has been received; a younger one may still have been on its
/// way when the connection was closed as idle.
const SURELY_RECEIVED: Duration = Duration::from_millis(500);
/// From the end of a connection to when its sender has noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);
/// More of the same tell nothing more.
const MAX_VIOLATIONS: usize = 20;

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(0), book: Mutex::default() }
    }

    /// A callback that nobody has posted.
    pub(crate) fn draw(&self) -> Callback {
        Callback::of(self.seed, self.next.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn drawn(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Records what became of a request; gives whether the sender should come again.
    pub(crate) fn record(&self, callback: &Callback, exchange: &Exchange) -> bool {
        let mut book = self.book();
        match exchange {
            Exchange::Refused => true,
            Exchange::Reset { written, ended } => {
                book.resets.push((*written, *ended));
                true
            }
            Exchange::Answered { answer, took } => {
                book.answered(callback, answer, *took);
                answer.status == 503
            }
        }
    }

    pub(crate) fn answers(&self, kind: &str) -> u64 {
        self.book().answers.get(kind).copied().unwrap_or(0)
    }

    pub(crate) fn outage_begins(&self, graceful: bool) {
        let (from, to) = (Instant::now(), None);
        self.book().outages.push(Outage { from, to, graceful });
    }

    pub(crate) fn outage_ends(&self) {
        if let Some(outage) = self.book().outages.last_mut() {
            outage.to = Some(Instant::now());
        }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn answered(&mut self, callback: &Callback, answer: &Answer, took: Duration) {
        *self.answers.entry(answer.kind()).or_default() += 1;
        self.slowest = self.slowest.max(took);
        let number = callback.number;
        if took > ANSWER_WITHIN {
            self.violation(format!("callback {number} was answered after {took:?}"));
        }
        let expected: &[u16] = match callback {
            c if c.is_broken() => &[400, 503],
            c if c.is_large() => &[200, 413, 503],
            _ => &[200, 503],
        };
        if !expected.contains(&answer.status) {
            self.violation(format!("callback {number} was answered {answer:?}"));
        }
        match answer.status {
            200 => self.promised(callback, answer),
            // A body is only called unreadable when it is kept.
            400 => self.promise(number),
            _ => {}
        }
    }

    fn promised(&mut self, callback: &Callback, answer: &Answer) {
        let expected: Vec<_> = callback.messages().into_iter().map(|m| (m.subject, m.id)).collect();
        if answer.messages() != expected || (answer.outcome() == "probe") != callback.is_probe() {
            self.violation(format!("callback {} was promised {answer:?}", callback.number));
        }
        self.promise(callback.number);
    }

    fn promise(&mut self, number: u64) {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        if self.promised.len() <= at {
            self.promised.resize(at + 1, false);
        }
        self.promised[at] = true;
    }

    pub(crate) fn violation(&mut self, text: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(text);
        }
    }

    pub(crate) fn resets(&self) -> usize {
        self.resets.len()
    }

    /// Every broken promise, with the requests that nobody had the right to leave without an answer.
    pub(crate) fn violations(&self) -> Vec<String> {
        let unjust = self.resets.iter().filter_map(|reset| self.judge(*reset));
        self.violations.iter().cloned().chain(unjust).take(MAX_VIOLATIONS).collect()
    }

    /// Why this request should have been answered, if it should.
    fn judge(&self, (written, ended): (Instant, Instant)) -> Option<String> {
        let during = |outage: &&Outage| {
            outage.from <= ended && outage.to.is_none_or(|to| ended <= to + NOTICED_WITHIN)
        };
        let waited = ended - written;
        match self.outages.iter().rev().find(during) {
            None => Some(format!("a request was reset after {waited:?} by a bridge that nobody had ended")),
            Some(outage) if outage.graceful && written + SURELY_RECEIVED < outage.from => Some(format!(
                "SIGTERM left a request without an answer that was written {:?} before",
                outage.from - written
            )),
            Some(_) => None,
        }
    }
}
