//! One thing that `check` has looked at, and what it found.

use ci_bridge_publisher::Check;
use ci_bridge_publisher::nats::WriteCheck;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    /// Worth a look, or not tried: nothing that keeps a bridge from running.
    Note,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was looked at, then what was found.
    pub(super) text: String,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, text: impl Into<String>) -> Self {
        Self { verdict, text: text.into() }
    }

    pub(super) fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok    ",
            Verdict::Note => "?     ",
            Verdict::Failed => "FAILED",
        };
        format!("{verdict} {}", self.text)
    }
}

impl From<&Check> for Finding {
    fn from(check: &Check) -> Self {
        let verdict = if check.ok { Verdict::Ok } else { Verdict::Failed };
        Self::new(verdict, format!("{}: {}", check.name, check.detail))
    }
}

impl From<&WriteCheck> for Finding {
    fn from(write: &WriteCheck) -> Self {
        match write {
            WriteCheck::Written(text) => Self::new(Verdict::Ok, format!("writes: {text}")),
            WriteCheck::NotTried(text) => Self::new(Verdict::Note, format!("writes: not tried: {text}")),
            WriteCheck::Failed(text) => Self::new(Verdict::Failed, format!("writes: {text}")),
        }
    }
}
