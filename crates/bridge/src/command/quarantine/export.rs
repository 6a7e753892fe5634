//! `quarantine export`: one JSON object a line, with everything that an entry is.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::missing;
use super::store::Store;
use crate::failure::{Failure, say};

pub(super) async fn run(store: &Store, numbers: &[u64], output: Option<&Path>) -> Result<ExitCode, Failure> {
    let all = numbers.is_empty();
    let numbers = if all { store.numbers().collect() } else { numbers.to_vec() };
    let mut target = open(output)?;
    let mut written = 0_u64;
    for number in numbers {
        match store.find(number).await? {
            Some(entry) => {
                writeln!(target, "{}", Value::Object(entry.whole(&entry.body())))?;
                written += 1;
            }
            None if all => {}
            None => return Err(missing(number).into()),
        }
    }
    target.flush()?;
    if let Some(path) = output {
        let entries = if written == 1 { "entry" } else { "entries" };
        say(&format!("{written} {entries} written to {}; they are still in quarantine", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A new file for this user alone, since bodies are what senders wrote; or standard output.
fn open(output: Option<&Path>) -> io::Result<Box<dyn Write>> {
    let Some(path) = output else { return Ok(Box::new(io::stdout().lock())) };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let explain = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    Ok(Box::new(io::BufWriter::new(file.map_err(explain)?)))
}
