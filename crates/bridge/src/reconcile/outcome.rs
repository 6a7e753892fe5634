//! What became of each job, and how many of each.

use serde::Serialize;

/// What an account says of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// The bus has it.
    Present,
    /// It had not: it was published; with `--dry-run`, it would have been.
    Recovered,
    /// It ended so shortly ago that its callback may be on its way.
    Young,
    /// No endpoint would take its callback, or a rule drops it.
    Foreign,
    /// It is missing, and could not be published.
    Failed,
}

/// One job, as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) result: Outcome,
}

/// How many jobs of each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    pub(crate) present: u64,
    pub(crate) recovered: u64,
    pub(crate) young: u64,
    pub(crate) foreign: u64,
    pub(crate) failed: u64,
}

/// Who is told, while an account is being made.
pub(crate) trait Report: Send {
    /// Of one job.
    fn job(&mut self, line: Line);

    /// Of what kept part of the account from being made: one sentence with the remedy.
    fn problem(&mut self, sentence: &str);

    /// Of how far it is: lists that were read, of how many, and the one that is being read.
    fn progress(&mut self, done: usize, of: usize, what: &str);
}

impl Outcome {
    pub(crate) const ALL: [Self; 5] =
        [Self::Present, Self::Recovered, Self::Young, Self::Foreign, Self::Failed];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Recovered => "recovered",
            Self::Young => "young",
            Self::Foreign => "foreign",
            Self::Failed => "failed",
        }
    }
}

impl Totals {
    pub(crate) fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Present => &mut self.present,
            Outcome::Recovered => &mut self.recovered,
            Outcome::Young => &mut self.young,
            Outcome::Foreign => &mut self.foreign,
            Outcome::Failed => &mut self.failed,
        } += 1;
    }
}
