//! `quarantine list`: one line an entry.

use std::io::{self, Write};
use std::process::ExitCode;

use ci_bridge_publisher::HeaderName;
use serde_json::Value;

use super::EMPTY;
use super::entry::Entry;
use super::store::Store;
use crate::failure::{Failure, say};

pub(super) async fn run(store: &Store, json: bool) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    let mut has_head = json;
    for number in store.numbers() {
        let Some(entry) = store.find(number).await? else { continue };
        if !std::mem::replace(&mut has_head, true) {
            row(&mut stdout, ["NUMBER", "TIME", "REASON", "ENDPOINT", "BYTES", "ID", "DETAIL"])?;
        }
        match json {
            true => writeln!(stdout, "{}", Value::Object(entry.described()))?,
            false => print(&mut stdout, &entry)?,
        }
    }
    if !has_head {
        say(EMPTY);
    }
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    let header = |name| entry.header(name).unwrap_or("-");
    row(
        out,
        [
            &entry.number().to_string(),
            &entry.time(),
            header(HeaderName::CiReason),
            header(HeaderName::CiEndpoint),
            &entry.bytes().to_string(),
            entry.id(),
            header(HeaderName::CiDetail),
        ],
    )
}

/// As wide as most entries need, so that a line can be printed when it is there.
fn row(
    out: &mut impl Write,
    [number, time, reason, endpoint, bytes, id, detail]: [&str; 7],
) -> io::Result<()> {
    writeln!(out, "{number:<6}  {time:<20}  {reason:<8}  {endpoint:<10}  {bytes:>8}  {id:<43}  {detail}")
}
