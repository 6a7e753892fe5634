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
        Self::of(vec![Check::failed("shutdown", "shutting down: finishing what is in flight")])
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
    /// what publishes are answered, single subjects that are refused, the spool, and
    /// the end.
    pub const NAMES: [&'static str; 7] =
        ["nats", "streams", "large", "writes", "subjects", "spool", "shutdown"];

    pub(crate) fn passed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: true, detail: detail.into() }
    }

    pub(crate) fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: false, detail: detail.into() }
    }
}
