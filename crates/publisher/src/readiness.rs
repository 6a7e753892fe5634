//! Whether callbacks can be taken, in words: what `/readyz` shows.

use serde::Serialize;

use crate::held_back::Refused;

/// Whether callbacks can be taken, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// All checks hold.
    pub ready: bool,
    /// Each check by its name.
    pub checks: Vec<Check>,
    /// Messages of the spool that NATS refuses while it takes others. They need somebody's attention, and keep no new
    /// callback from being answered 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// One reason to be ready or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// One of [`Check::NAMES`].
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What was seen, in a sentence.
    pub detail: String,
}

impl Readiness {
    pub(crate) fn of(checks: Vec<Check>) -> Self {
        Self { ready: checks.iter().all(|check| check.ok), checks, refused: None }
    }

    /// What is said once shutdown has begun.
    #[must_use]
    pub fn draining() -> Self {
        let shutdown = "shutting down: finishing what is in flight";
        let accepting = "shutting down: send callbacks elsewhere";
        Self::of(vec![Check::failed("shutdown", shutdown), Check::failed(Check::ACCEPTING, accepting)])
    }

    /// What is said before anything has been looked at.
    pub(crate) fn starting() -> Self {
        Self::of(vec![Check::failed("nats", "starting"), Check::failed(Check::ACCEPTING, "starting")])
    }

    /// The check of this name, if there is one at the moment.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// The same for whoever asks for this check alone: what cannot be looked at without a connection does not hold.
    #[must_use]
    pub fn answer(&self, name: &str) -> Option<Check> {
        let unseen = || {
            let name = Check::NEED_CONNECTION.into_iter().find(|need| *need == name)?;
            let is_connected = self.check("nats").is_none_or(|nats| nats.ok);
            (!is_connected).then(|| Check::failed(name, "not looked at: see the check nats"))
        };
        self.check(name).cloned().or_else(unseen)
    }

    /// The details of the checks that do not hold, as one sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        let failed = self.checks.iter().filter(|check| !check.ok);
        failed.map(|check| check.detail.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// What a change of is news: the reason without its numbers, which change with every look, and without subjects, in
    /// which a sender's values stand.
    pub(crate) fn kind(&self) -> String {
        let failed = self.checks.iter().filter(|check| !check.ok);
        let details = failed.map(|check| if check.name == "subjects" { check.name } else { &check.detail });
        details.collect::<Vec<_>>().join("; ").chars().filter(|c| !c.is_ascii_digit()).collect()
    }
}

impl Check {
    /// The names of all checks: the connection, the streams' settings and subjects, the object store for large messages,
    /// what publishes are answered, single subjects that are refused, the spool, the certificates that the bridge shows,
    /// whether a callback is answered 200 at all, and the end.
    pub const NAMES: [&'static str; 9] = [
        "nats",
        "streams",
        "large",
        "writes",
        "subjects",
        "spool",
        "certificates",
        Self::ACCEPTING,
        "shutdown",
    ];

    /// Without a connection there is nothing to say of these.
    const NEED_CONNECTION: [&'static str; 4] = ["streams", "large", "writes", "subjects"];

    /// The check that says whether a callback can be answered 200, by NATS or by the spool.
    pub const ACCEPTING: &'static str = "accepting";

    /// One that holds, with what was seen.
    pub fn passed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: true, detail: detail.into() }
    }

    /// One that does not hold, with the reason.
    pub fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: false, detail: detail.into() }
    }
}
