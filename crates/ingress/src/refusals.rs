//! What the log says of requests that strangers can make as many of as they like. A callback that is refused before it is
//! parsed is kept nowhere and may never come again, so an operator must be able to see it; but nobody must be able to fill
//! the log.

use std::net::IpAddr;

use ci_bridge_publisher::{LogLimit, SUM_UP_INTERVAL};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// Lines a minute for one reason at one endpoint: an example, with its sender.
const REFUSED_LINES: u64 = 1;
/// The same for bodies in quarantine: each is kept, under the id in its line.
const QUARANTINED_LINES: u64 = 5;
/// The same for callbacks that are published without CI's word.
const UNVERIFIED_LINES: u64 = 1;
/// The same for callbacks that are refused without CI's word.
const UNASKED_LINES: u64 = 1;
/// Failed handshakes are mostly scanners': only their number is told.
const HANDSHAKE_LINES: u64 = 0;

#[derive(Debug)]
pub(crate) struct Refusals {
    refused: LogLimit,
    quarantined: LogLimit,
    unverified: LogLimit,
    unasked: LogLimit,
    handshakes: LogLimit,
}

/// A callback that was refused. Nothing of a secret is in it.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) reason: &'static str,
    pub(crate) detail: &'a str,
    pub(crate) endpoint: &'a str,
    /// Of its body, as far as it was announced or read.
    pub(crate) bytes: u64,
    pub(crate) peer: IpAddr,
}

/// A body that quarantine has.
#[derive(Debug)]
pub(crate) struct QuarantineEntry<'a> {
    pub(crate) reason: &'static str,
    pub(crate) detail: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) id: &'a str,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            refused: LogLimit::new(REFUSED_LINES),
            quarantined: LogLimit::new(QUARANTINED_LINES),
            unverified: LogLimit::new(UNVERIFIED_LINES),
            unasked: LogLimit::new(UNASKED_LINES),
            handshakes: LogLimit::new(HANDSHAKE_LINES),
        }
    }
}

impl Refusals {
    pub(crate) fn refused(&self, refusal: &Refusal<'_>) {
        let Refusal { reason, detail, endpoint, bytes, peer } = refusal;
        if self.refused.admits(reason, endpoint) {
            warn!(reason, endpoint, bytes, %peer, detail, "callback refused, and kept nowhere");
        }
    }

    pub(crate) fn quarantined(&self, entry: &QuarantineEntry<'_>) {
        let QuarantineEntry { reason, detail, endpoint, id } = entry;
        if self.quarantined.admits(reason, endpoint) {
            warn!(reason, endpoint, %id, detail, "kept in quarantine");
        }
    }

    pub(crate) fn published_unverified(&self, endpoint: &str, why: &str) {
        if self.unverified.admits("unverified", endpoint) {
            warn!(endpoint, why, "CI does not answer: a callback is published unverified");
        }
    }

    pub(crate) fn refused_unverified(&self, endpoint: &str, why: &str) {
        if self.unasked.admits("unverified", endpoint) {
            warn!(endpoint, why, "a callback that needs CI's word is refused");
        }
    }

    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.handshakes.admits(reason, "");
    }

    /// Says once a minute how many there were. Runs until it is dropped.
    pub(crate) async fn sum_up_every_minute(&self) {
        let mut minutes = interval(SUM_UP_INTERVAL);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once.
        minutes.tick().await;
        loop {
            minutes.tick().await;
            self.sum_up();
        }
    }

    pub(crate) fn sum_up(&self) {
        for sum in self.refused.sum_up() {
            let (count, reason, endpoint) = (sum.count, sum.reason, sum.of);
            warn!(count, reason, endpoint, "callbacks refused in the last minute, and kept nowhere");
        }
        for sum in self.quarantined.sum_up() {
            let (count, reason, endpoint) = (sum.count, sum.reason, sum.of);
            warn!(count, reason, endpoint, "bodies kept in quarantine in the last minute");
        }
        for sum in self.unverified.sum_up() {
            warn!(count = sum.count, endpoint = sum.of, "callbacks published unverified in the last minute");
        }
        for sum in self.unasked.sum_up() {
            let (count, endpoint) = (sum.count, sum.of);
            warn!(count, endpoint, "callbacks that need CI's word refused in the last minute");
        }
        for sum in self.handshakes.sum_up() {
            info!(count = sum.count, reason = sum.reason, "TLS handshakes failed in the last minute");
        }
    }
}
