//! An answer of the bridge in words, for `send` and `demo`.

use std::io;

use serde::Deserialize;

use super::post::Answered;
use super::printer::Printer;

/// What a 200 says.
#[derive(Deserialize)]
struct Report {
    outcome: String,
    messages: Vec<Reported>,
    #[serde(default)]
    rules: Vec<usize>,
}

#[derive(Deserialize)]
struct Reported {
    subject: String,
    id: String,
    stream: Option<String>,
    seq: Option<u64>,
    duplicate: bool,
}

/// What every other answer says.
#[derive(Deserialize)]
struct Problem {
    detail: String,
    /// Under which id the body is kept in quarantine.
    id: Option<String>,
}

/// An answer in words.
pub(super) struct Explained {
    /// `200 published`, or the status and what is wrong.
    pub(super) verdict: String,
    /// A line for each message: subject, stream and sequence, id.
    pub(super) messages: Vec<String>,
    /// How many messages were stored now, and not before.
    pub(super) new: usize,
}

impl Explained {
    /// # Errors
    /// The body is none of the bridge's: something else answered.
    pub(super) fn of(answered: &Answered, printer: &Printer) -> io::Result<Self> {
        if answered.status == 200 {
            let report: Report = serde_json::from_slice(&answered.body).map_err(|_| stranger(answered))?;
            return Ok(Self::of_report(&report, printer));
        }
        let problem: Problem = serde_json::from_slice(&answered.body).map_err(|_| stranger(answered))?;
        let status = printer.paint("31", &answered.status.to_string());
        let kept = problem.id.map(|id| format!("  kept in quarantine as {id}"));
        Ok(Self {
            verdict: format!("{status} {}", problem.detail),
            messages: kept.into_iter().collect(),
            new: 0,
        })
    }

    fn of_report(report: &Report, printer: &Printer) -> Self {
        let new = report.messages.iter().filter(|message| !message.duplicate).count();
        let note = match (report.messages.len() - new, report.rules.as_slice()) {
            (_, [_, ..]) => {
                let rules: Vec<_> = report.rules.iter().map(|rule| format!("rules.{rule}")).collect();
                format!(" by {}", rules.join(", "))
            }
            (0, []) => String::new(),
            (repeated, []) => format!(", {repeated} already stored: not stored again"),
        };
        let verdict = format!("{} {}{note}", printer.paint("32", "200"), report.outcome);
        let line = |message: &Reported| {
            let place = match (&message.stream, message.seq) {
                (Some(stream), Some(sequence)) => format!("  {stream} #{sequence}"),
                _ => String::new(),
            };
            format!(
                "  {}{}  {}",
                message.subject,
                printer.paint("2", &place),
                printer.paint("2", &message.id)
            )
        };
        Self { verdict, messages: report.messages.iter().map(line).collect(), new }
    }
}

fn stranger(answered: &Answered) -> io::Error {
    let status = answered.status;
    io::Error::other(format!(
        "{status}, but not in the words of ci-bridge: something else answers at this address"
    ))
}
