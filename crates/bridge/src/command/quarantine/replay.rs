//! `quarantine replay`: another try, each entry where it belongs.

use std::io::{self, Write};
use std::process::ExitCode;

use ci_bridge_publisher::{HeaderName, Message, Receipt};
use ci_bridge_schema as schema;
use serde_json::Value;

use super::super::progress;
use super::entry::Entry;
use super::store::Store;
use super::target::{TargetArgs, sentence};
use super::{EMPTY, missing};
use crate::config::Config;
use crate::failure::{Failure, say};

pub(super) struct Replay<'a> {
    pub(super) config: &'a Config,
    /// What the configuration lets a body cost.
    pub(super) limits: &'a schema::Limits,
    pub(super) target: &'a TargetArgs,
    pub(super) keep: bool,
}

/// Whether an entry was taken this time, and what there is to say.
type Outcome = (bool, String);

impl Replay<'_> {
    pub(super) async fn run(&self, store: &Store, numbers: Vec<u64>) -> Result<ExitCode, Failure> {
        let all = numbers.is_empty();
        let count = if all { store.len() } else { numbers.len() as u64 };
        let numbers = if all { store.numbers().collect() } else { numbers };
        let bar = progress::bar(count, "replayed");
        let mut accepted = true;
        for number in numbers {
            let entry = match store.find(number).await? {
                Some(entry) => entry,
                None if all => continue,
                None => return Err(missing(number).into()),
            };
            let (taken, report) = self.try_again(store, &entry).await?;
            bar.suspend(|| writeln!(io::stdout().lock(), "{number} {}: {report}", entry.id()))?;
            bar.inc(1);
            accepted &= taken;
            if taken && !self.keep {
                store.delete(number).await?;
            }
        }
        bar.finish_and_clear();
        if all && bar.position() == 0 {
            say(EMPTY);
        }
        Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn try_again(&self, store: &Store, entry: &Entry) -> io::Result<Outcome> {
        let body = entry.body();
        if !entry.is_refused() {
            return self.post(entry, body).await;
        }
        Ok(match store.publish_refused(&entry.0).await {
            Ok((message, receipt)) => (true, placed(&message, &receipt)),
            Err(why) => (false, why),
        })
    }

    async fn post(&self, entry: &Entry, body: bytes::Bytes) -> io::Result<Outcome> {
        // The bridge would keep it once more, as it would anybody's: what this program cannot read either is not sent.
        if let Err(error) = schema::parse(&body, self.limits) {
            return Ok((false, format!("not posted, it still cannot be read: {error}")));
        }
        let target = match self.target.towards(entry.header(HeaderName::CiEndpoint), self.config) {
            Ok(target) => target,
            Err(why) => return Ok((false, format!("not posted: {why}"))),
        };
        let answered =
            target.post(body).await.map_err(|error| io::Error::new(error.kind(), sentence(&error)))?;
        let report = format!("{} {}", answered.status, String::from_utf8_lossy(&answered.body));
        Ok(match (answered.status, says_where(&answered.body)) {
            (200, false) => (false, format!("{report}: {UNTOLD}")),
            (status, _) => (status == 200, report),
        })
    }
}

/// Where a refused message is now.
fn placed(message: &Message, receipt: &Receipt) -> String {
    let place = match receipt {
        Receipt::Stored { stream, sequence, duplicate } => {
            let before = if *duplicate { ", where it was already" } else { "" };
            format!("{stream} #{sequence}{before}")
        }
        Receipt::Spooled | Receipt::Sent => message.stream.to_string(),
    };
    format!("{} on {}, {place}", message.id.as_str(), message.subject)
}

/// An endpoint with `verify` answers so whatever CI says, and a body that CI denies is in quarantine again: under the
/// same id, so that its stream may take it for a repetition and keep this entry alone.
const UNTOLD: &str = "that does not say whether CI confirms it, so it stays: see whether its message is in its stream, \
    and `quarantine delete` it; or replay it on the admin listener, which tells (docs/admin-api.md)";

/// Whether an answer says what became of the callback: where each message is, or that rules drop it.
fn says_where(answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let has_messages = answer["messages"].as_array().is_some_and(|messages| !messages.is_empty());
    has_messages || answer["outcome"] == "dropped"
}

#[cfg(test)]
mod tests {
    use super::says_where;

    #[test]
    fn an_answer_says_what_became_of_a_callback_or_nothing() {
        for (answer, expected) in [
            (r#"{"outcome":"published","messages":[{"subject":"ci.x"}]}"#, true),
            (r#"{"outcome":"spooled","messages":[{"subject":"ci.x"}]}"#, true),
            (r#"{"outcome":"dropped","messages":[],"rules":[0]}"#, true),
            (r#"{"outcome":"published","messages":[]}"#, false),
            (r#"{"outcome":"probe","messages":[]}"#, false),
            ("ok", false),
            ("", false),
        ] {
            assert_eq!(says_where(answer.as_bytes()), expected, "{answer}");
        }
    }
}
