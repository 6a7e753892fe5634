//! One case of a foreign suite, and what it came to. Pure.

/// What was tried, and what the bridge made of it.
#[derive(Debug)]
pub(super) struct Case {
    /// As the suite calls it, with what it says about it.
    pub(super) name: String,
    /// What the bridge did, as it says it.
    pub(super) found: String,
    pub(super) came_to: CameTo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CameTo {
    Agreed,
    /// The bridge does something else than the suite asks for.
    Differs,
    /// The suite allows either, so what the bridge does is a choice.
    Open,
}

/// What a suite says of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Refused,
    Read,
    Either,
}

impl Case {
    /// A document, and what the bridge said to it.
    pub(super) fn document(name: String, wanted: Wanted, verdict: &Verdict) -> Self {
        let came_to = match (wanted, verdict.is_read()) {
            (Wanted::Either, _) => CameTo::Open,
            (Wanted::Read, true) | (Wanted::Refused, false) => CameTo::Agreed,
            (Wanted::Read, false) | (Wanted::Refused, true) => CameTo::Differs,
        };
        Self { name, found: verdict.to_string(), came_to }
    }
}

/// What `ci-bridge render` says to a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A callback.
    Callback,
    /// Well-formed, but no callback: with the reason.
    Shape(String),
    /// Not well-formed, or more than is read: with the reason.
    Refused(String),
}

impl Verdict {
    fn is_read(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Callback => f.write_str("read: a callback"),
            Self::Shape(reason) => write!(f, "read: {reason}"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}
