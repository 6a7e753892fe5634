//! How it goes: the checks of `/readyz` with what to do, the spool, and the callbacks of the last ten minutes.

use std::sync::atomic::Ordering;

use ci_bridge_publisher::{Check, Delivery, Readiness, Spool, SpoolStatus};
use hyper::StatusCode;
use serde::Serialize;

use super::access::Permit;
use super::parameters::Parameters;
use super::{Api, Reply, View, milliseconds};
use crate::answer::json;
use crate::metrics::Outcome;
use crate::recent::{self, KEPT, LATELY, Lately};
use crate::shown::Reconcile;

#[derive(Serialize)]
pub(super) struct Status<'a> {
    run: &'a str,
    version: &'static str,
    started: u64,
    delivery: Delivery,
    /// So many facts are kept.
    keep: usize,
    ready: bool,
    checks: Vec<Checked>,
    spool: Option<Level>,
    lately: Counted,
    reconcile: Option<Reconcile>,
    jobs: bool,
    token: bool,
}

/// What only whoever asks is told.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    status: Status<'a>,
    now: u64,
    may: Permit,
}

#[derive(Serialize)]
struct Checked {
    name: &'static str,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

#[derive(Serialize)]
struct Level {
    messages: u64,
    bytes: u64,
    max_bytes: u64,
    oldest_seconds: u64,
    refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Callbacks of the last ten minutes.
#[derive(Serialize)]
struct Counted {
    seconds: u64,
    /// All but what was turned away, and probes: whatever was meant to become a message.
    callbacks: u64,
    published: u32,
    duplicate: u32,
    spooled: u32,
    quarantined: u32,
    unavailable: u32,
    dropped: u32,
    rejected: u32,
    probe: u32,
}

impl Api {
    pub(super) fn status_now(&self, view: &View, parameters: Parameters, permit: Permit) -> Reply {
        parameters.end()?;
        let now = milliseconds(recent::now());
        Ok(json(StatusCode::OK, "application/json", &Told { status: self.status(view), now, may: permit }))
    }

    pub(super) fn status<'v>(&self, view: &'v View) -> Status<'v> {
        let readiness = match self.draining.load(Ordering::Relaxed) {
            true => Readiness::draining(),
            false => self.publisher.readiness().borrow().clone(),
        };
        Status {
            run: view.recent.run(),
            version: env!("CARGO_PKG_VERSION"),
            started: milliseconds(view.recent.started()),
            delivery: self.publisher.delivery(),
            keep: KEPT,
            ready: readiness.ready,
            checks: readiness.checks.into_iter().map(Checked::from).collect(),
            spool: self.publisher.spool().map(Spool::status).map(Level::from),
            lately: Counted::from(view.recent.lately()),
            reconcile: view.shown.reconcile(),
            jobs: self.publisher.has_jobs(),
            token: self.access.has_tokens(),
        }
    }
}

impl From<Check> for Checked {
    fn from(Check { name, ok, detail }: Check) -> Self {
        Self { name, ok, detail, remedy: if ok { None } else { remedy(name) } }
    }
}

/// What to do about a check that does not hold; its own words say what is wrong.
fn remedy(check: &str) -> Option<&'static str> {
    Some(match check {
        "nats" => "Start NATS, or correct [nats]: ci-bridge check --connect says what it meets.",
        "streams" => {
            "Create or correct the stream, or [jetstream]: ci-bridge check --connect looks at all of it."
        }
        "large" => "Correct the object store, or [jetstream.large].",
        "writes" => "Look at the limits of the stream and the account, and at the disk of NATS.",
        "subjects" => {
            "Correct the stream's subjects or the user's permissions; ci-bridge spool list --refused has the messages."
        }
        "spool" => "Bring NATS back, make room on the disk, or raise spool.max_bytes.",
        "certificates" => "Put a new certificate in its place: it is taken within seconds.",
        Check::ACCEPTING => "Callbacks are not taken: the other checks say why.",
        _ => return None,
    })
}

impl From<SpoolStatus> for Level {
    fn from(status: SpoolStatus) -> Self {
        let SpoolStatus { messages, bytes, max_bytes, oldest_age, refused, trouble } = status;
        Self { messages, bytes, max_bytes, oldest_seconds: oldest_age.as_secs(), refused, detail: trouble }
    }
}

impl From<Lately> for Counted {
    fn from(counts: Lately) -> Self {
        let of = |outcome: Outcome| counts[outcome as usize];
        let aside = [Outcome::Rejected, Outcome::Probe];
        let callbacks = Outcome::ALL.into_iter().filter(|outcome| !aside.contains(outcome));
        Self {
            seconds: LATELY.as_secs(),
            callbacks: callbacks.map(|outcome| u64::from(of(outcome))).sum(),
            published: of(Outcome::Published),
            duplicate: of(Outcome::Duplicate),
            spooled: of(Outcome::Spooled),
            quarantined: of(Outcome::Quarantined),
            unavailable: of(Outcome::Unavailable),
            dropped: of(Outcome::Dropped),
            rejected: of(Outcome::Rejected),
            probe: of(Outcome::Probe),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_but_the_end_has_a_remedy() {
        for name in Check::NAMES {
            assert_eq!(remedy(name).is_some(), name != "shutdown", "{name}");
        }
    }
}
