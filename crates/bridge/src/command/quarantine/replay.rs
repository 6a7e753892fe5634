//! `quarantine replay`: another try, each entry where it belongs.

use std::io::{self, Write};
use std::process::ExitCode;

use ci_bridge_publisher::HeaderName;
use ci_bridge_schema as schema;

use super::super::progress;
use super::entry::Entry;
use super::missing;
use super::refused::Refused;
use super::store::Store;
use super::target::{TargetArgs, sentence};
use crate::cli::Failure;
use crate::config::Config;

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
    pub(super) async fn run(&self, store: &mut Store, numbers: Vec<u64>) -> Result<ExitCode, Failure> {
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
        Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn try_again(&self, store: &Store, entry: &Entry) -> io::Result<Outcome> {
        let body = entry.body();
        if !entry.is_refused() {
            return self.post(entry, body).await;
        }
        let Some(refused) = Refused::read(&entry.0.headers) else {
            return Ok((false, "its headers do not say where it belongs: publish it by hand".to_owned()));
        };
        Ok(match refused.publish(store, body).await {
            Ok(report) => (true, report),
            Err(why) => (false, format!("not taken by {}, {why}", refused.stream)),
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
        Ok((answered.status == 200, report))
    }
}
