//! What waits, for people to read.

use std::io::{self, Write};
use std::time::Duration;

use ci_bridge_publisher::SpoolSettings;
use serde_json::Value;

/// Columns wider than that are not made wider for one entry.
const MAX_WIDTH: usize = 60;

pub(super) fn status(out: &mut impl Write, status: &Value, settings: &SpoolSettings) -> io::Result<()> {
    let number = |name: &str| status[name].as_u64().unwrap_or_default();
    let age = number("oldest_seconds");
    writeln!(out, "messages {}\nbytes {} of {}", number("messages"), number("bytes"), settings.max_bytes)?;
    writeln!(out, "oldest {age} s")?;
    if let Some(refused) = status["refused"].as_u64() {
        writeln!(out, "refused {refused}")?;
    }
    match status["detail"].as_str() {
        Some(trouble) => writeln!(out, "not ok: {trouble}"),
        None => Ok(()),
    }
}

/// Rows under a head, whose widths are those of the first page.
#[derive(Default)]
pub(super) struct Table {
    widths: Option<[usize; COLUMNS - 1]>,
}

const COLUMNS: usize = 7;
const HEAD: [&str; COLUMNS] = ["ID", "SUBJECT", "STREAM", "AGE", "BYTES", "TRIES", "WHY"];

impl Table {
    /// Prints messages; `why` those wait that nobody refuses.
    pub(super) fn print(&mut self, out: &mut impl Write, messages: &[Value], why: &str) -> io::Result<()> {
        let mut rows: Vec<_> = messages.iter().map(|message| row(message, why)).collect();
        let widths = match self.widths {
            Some(widths) => widths,
            None if rows.is_empty() => return Ok(()),
            None => {
                rows.insert(0, HEAD.map(str::to_owned));
                let widest = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
                *self.widths.insert(std::array::from_fn(|column| widest(column).min(MAX_WIDTH)))
            }
        };
        for [cells @ .., why] in &rows {
            for (cell, width) in cells.iter().zip(widths) {
                write!(out, "{cell:width$}  ")?;
            }
            writeln!(out, "{why}")?;
        }
        Ok(())
    }
}

fn row(message: &Value, why: &str) -> [String; COLUMNS] {
    let text = |name: &str| message[name].as_str().unwrap_or("-").to_owned();
    let number = |name: &str| message[name].as_u64().map_or_else(|| "-".to_owned(), |n| n.to_string());
    let why = message["reason"].as_str().unwrap_or(why).to_owned();
    let age = message["age_seconds"].as_u64().map_or_else(|| "-".to_owned(), age);
    [text("id"), text("subject"), text("stream"), age, number("bytes"), number("tries"), why]
}

/// The two largest units: `2h 5m`.
fn age(seconds: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

pub(super) fn messages(count: u64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_under_one_another() {
        let mut table = Table::default();
        let why = "its turn has not come";
        let mut out = Vec::new();
        let message = |id: &str, reason: Option<&str>| {
            json!({ "id": id, "subject": "ci.x", "stream": "CI", "age_seconds": 7501, "bytes": 700,
                    "tries": reason.map(|_| 3), "reason": reason })
        };
        let page = [message("task:j1:Success", Some("no stream takes it")), message("task:j2:Failed", None)];
        table.print(&mut out, &page, why).unwrap();
        table.print(&mut out, &[message("task:j3:Failed", None)], why).unwrap();
        let expected = "\
ID               SUBJECT  STREAM  AGE    BYTES  TRIES  WHY
task:j1:Success  ci.x     CI      2h 5m  700    3      no stream takes it
task:j2:Failed   ci.x     CI      2h 5m  700    -      its turn has not come
task:j3:Failed   ci.x     CI      2h 5m  700    -      its turn has not come
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
