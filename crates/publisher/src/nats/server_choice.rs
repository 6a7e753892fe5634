//! Which server is tried next, and when. Pure: it is told what async-nats knows of the servers.
//!
//! async-nats tries all servers in one go, by its own order; the reason of a failure then reaches nobody, and nobody
//! can tell which server's credentials are asked for.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::{Server, ServerAddr};

/// The first wait before reconnecting; doubles with every attempt.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest wait before reconnecting: a broker that returns is found within twice this.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// A connection that ends sooner than this is a failed attempt: a server that lets the bridge in and throws it out at
/// once would else be asked again without end, and without a pause.
const SHORTEST_SUCCESS: Duration = Duration::from_secs(1);

/// What is remembered between attempts.
#[derive(Debug, Default)]
pub(super) struct ServerChoice {
    /// When each server was last chosen, as the number of that choice.
    chosen: HashMap<ServerAddr, u64>,
    choices: u64,
    /// Attempts since the last connection.
    attempts: usize,
    /// Connections since one that stood: each makes the next wait longer.
    short_lived: usize,
    attempt: Option<Attempt>,
    avoid: Option<ServerAddr>,
}

#[derive(Debug)]
struct Attempt {
    server: ServerAddr,
    begins: Instant,
    /// As they were when it was chosen.
    failures: usize,
    connects: u64,
}

/// How the last attempt went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was a connection, which has ended.
    Connected,
    /// What async-nats says of it.
    Failed(String),
    /// The name leads to no address: async-nats keeps no record of that.
    Unresolved,
}

impl ServerChoice {
    /// The server of the last choice: the one that is being tried, or that the connection stands to.
    pub(super) fn current(&self) -> Option<&ServerAddr> {
        self.attempt.as_ref().map(|attempt| &attempt.server)
    }

    /// Has the next choice fall on another server, if there is one.
    pub(super) fn avoid_current(&mut self) {
        self.avoid = self.current().cloned();
    }

    /// Whether the last choice has led to a connection. `connects` counts all connections that were ever made.
    pub(super) fn has_connected(&self, connects: u64) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| connects > attempt.connects)
    }

    /// How the last attempt went; `None` before the first.
    pub(super) fn outcome(&self, pool: &[Server], connects: u64) -> Option<Outcome> {
        let attempt = self.attempt.as_ref()?;
        if self.has_connected(connects) {
            return Some(Outcome::Connected);
        }
        let server = pool.iter().find(|server| server.addr == attempt.server)?;
        Some(match &server.last_error {
            Some(error) if server.failed_attempts > attempt.failures => Outcome::Failed(error.clone()),
            _ => Outcome::Unresolved,
        })
    }

    /// The next server and how long to wait for it: the one that was chosen longest ago, so that all others come
    /// before one that was just lost, is frozen, or refuses. Those that the operator named come before those that
    /// the cluster told; `random` decides between equals, so that many bridges do not meet at one server.
    pub(super) fn next(
        &mut self,
        pool: &[Server],
        connects: u64,
        now: Instant,
        mut random: impl FnMut() -> u64,
    ) -> Option<(ServerAddr, Duration)> {
        let stood = self
            .attempt
            .as_ref()
            .is_some_and(|last| now.saturating_duration_since(last.begins) >= SHORTEST_SUCCESS);
        if self.has_connected(connects) {
            self.short_lived = if stood { 0 } else { self.short_lived.saturating_add(1) };
            // How long the server was away before says nothing of the connection that has just ended.
            self.attempts = self.short_lived;
        }
        let avoid = self.avoid.take();
        let rank = |server: &Server| {
            let last = self.chosen.get(&server.addr).copied().unwrap_or(0);
            (avoid.as_ref() == Some(&server.addr), last, server.is_discovered)
        };
        let next = pool.iter().min_by_key(|server| (rank(server), random()))?;
        self.attempts = self.attempts.saturating_add(1);
        self.choices += 1;
        let delay = delay(self.attempts, random());
        self.chosen.retain(|known, _| pool.iter().any(|server| server.addr == *known));
        self.chosen.insert(next.addr.clone(), self.choices);
        self.attempt = Some(Attempt {
            server: next.addr.clone(),
            begins: now + delay,
            failures: next.failed_attempts,
            connects,
        });
        Some((next.addr.clone(), delay))
    }
}

/// At once the first time; then exponential with jitter of half its length, so that many bridges do not come back
/// at the same instant (ADR-40).
fn delay(attempts: usize, random: u64) -> Duration {
    let Some(failures) = attempts.checked_sub(1).filter(|failures| *failures > 0) else {
        return Duration::ZERO;
    };
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(10);
    let full = FIRST_DELAY.saturating_mul(1 << doublings).min(MAX_DELAY);
    let jitter = full.mul_f64(f64::from(u32::try_from(random % 512).unwrap_or(0)) / 1024.0);
    full / 2 + jitter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, failures: usize) -> Server {
        Server {
            addr: name.parse().unwrap(),
            failed_attempts: failures,
            did_connect: false,
            is_discovered: name.starts_with("found"),
            last_error: (failures > 0).then(|| "refused".to_owned()),
        }
    }

    fn pool(names: &[&str]) -> Vec<Server> {
        names.iter().map(|name| server(name, 0)).collect()
    }

    fn next(choice: &mut ServerChoice, pool: &[Server], connects: u64) -> String {
        let (server, _) = choice.next(pool, connects, Instant::now(), || 0).unwrap();
        server.host().to_owned()
    }

    #[test]
    fn every_server_has_its_turn_before_one_comes_again() {
        let mut choice = ServerChoice::default();
        let servers = pool(&["found1", "a", "b", "found2"]);
        let round: Vec<_> = (0..6).map(|_| next(&mut choice, &servers, 0)).collect();
        assert_eq!(round, ["a", "b", "found1", "found2", "a", "b"]);
        // It connects to c, which freezes: the rest comes first.
        let servers = pool(&["a", "b", "c"]);
        assert_eq!(next(&mut choice, &servers, 0), "c");
        let round: Vec<_> = (0..3).map(|_| next(&mut choice, &servers, 1)).collect();
        assert_eq!(round, ["a", "b", "c"]);
        assert_eq!(choice.chosen.len(), 3, "nothing is kept of servers that are gone");
        assert!(choice.next(&[], 1, Instant::now(), || 0).is_none());
    }

    #[test]
    fn a_server_that_is_avoided_comes_last_once_and_alone_it_comes_all_the_same() {
        let mut choice = ServerChoice::default();
        let servers = pool(&["a", "b"]);
        assert_eq!(next(&mut choice, &servers, 0), "a");
        choice.avoid_current();
        assert_eq!(next(&mut choice, &servers, 1), "b");
        assert_eq!(next(&mut choice, &servers, 1), "a");
        choice.avoid_current();
        assert_eq!(next(&mut choice, &servers[..1], 2), "a");
    }

    #[test]
    fn the_outcome_of_an_attempt_is_told_from_those_before() {
        let mut choice = ServerChoice::default();
        assert_eq!(choice.outcome(&pool(&["a"]), 0), None);
        next(&mut choice, &pool(&["a"]), 0);
        assert_eq!(choice.outcome(&[server("a", 1)], 0), Some(Outcome::Failed("refused".to_owned())));
        next(&mut choice, &[server("a", 1)], 0);
        assert_eq!(choice.outcome(&[server("a", 1)], 0), Some(Outcome::Unresolved), "no new failure");
        next(&mut choice, &[server("a", 1)], 0);
        assert_eq!(choice.outcome(&[server("a", 0)], 1), Some(Outcome::Connected));
    }

    #[test]
    fn only_a_connection_that_stood_takes_the_waiting_back() {
        let mut choice = ServerChoice::default();
        let (servers, start) = (pool(&["a"]), Instant::now());
        let mut after = |seconds, connects| {
            choice.next(&servers, connects, start + Duration::from_secs(seconds), || 0).unwrap().1
        };
        assert_eq!(after(0, 0), Duration::ZERO);
        assert_eq!(after(0, 1), FIRST_DELAY / 2, "thrown out at once");
        assert_eq!(after(0, 2), FIRST_DELAY);
        assert_eq!(after(9, 2), FIRST_DELAY * 2, "no connection, however long it took");
        assert_eq!(after(99, 3), Duration::ZERO);
    }

    #[test]
    fn reconnecting_backs_off_to_a_second_and_not_beyond() {
        assert_eq!((delay(0, 7), delay(1, 7)), (Duration::ZERO, Duration::ZERO));
        for attempts in [2, 5, 100, usize::MAX] {
            for random in [0, 511, u64::MAX] {
                let delay = delay(attempts, random);
                assert!(delay >= FIRST_DELAY / 2 && delay <= MAX_DELAY, "{attempts}: {delay:?}");
            }
        }
    }
}
