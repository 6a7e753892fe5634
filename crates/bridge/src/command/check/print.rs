//! How `check` says what it has found: for people, and as JSON for machines.

use std::io::{self, Write};

use serde::Serialize;

use super::finding::Finding;

/// A key, its value as TOML writes it (secrets left out), and who set it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) source: String,
}

/// What `--json` prints, on one line.
#[derive(Debug, Serialize)]
pub(super) struct Report<'r> {
    /// Whether `serve` would start, and everything that was asked agrees.
    pub(super) valid: bool,
    /// What is wrong with the configuration.
    pub(super) mistakes: &'r [String],
    pub(super) checks: &'r [Finding],
    pub(super) settings: &'r [Row],
}

impl Report<'_> {
    pub(super) fn print(&self) -> io::Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        writeln!(io::stdout().lock(), "{text}")
    }
}

/// The widest column that is aligned; a longer value moves only its own line.
const WIDEST: usize = 44;

/// By section, its columns aligned, an empty line between sections.
pub(super) fn table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let mut rows: Vec<_> = rows.iter().collect();
    // The keys of a section before the sections within it.
    rows.sort_by_key(|row| (section(&row.key), &row.key));
    for section in rows.chunk_by(|a, b| section(&a.key) == section(&b.key)) {
        writeln!(out)?;
        let width = |column: fn(&Row) -> &str| {
            let widths = section.iter().map(|row| column(row).chars().count());
            widths.filter(|width| *width <= WIDEST).max().unwrap_or(0)
        };
        let (keys, values) = (width(|row| &row.key), width(|row| &row.value));
        for Row { key, value, source } in section {
            writeln!(out, "{key:keys$} = {value:values$}  # {source}")?;
        }
    }
    Ok(())
}

/// The table of TOML that a key stands in.
fn section(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(section, _)| section)
}
