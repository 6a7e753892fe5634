//! Why a body is not a callback, and where.

use std::fmt;

/// A body that gives no event: what is wrong, where, and what the caller does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    reason: Reason,
    position: Option<Position>,
    message: String,
}

/// What the caller does next with a body that gives no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not well-formed: nobody can read it. HTTP 400.
    Syntax,
    /// Well-formed, but not a callback of Tencent CI. HTTP 422.
    Shape,
    /// Perhaps well-formed, but more than [`Limits::max_nodes`](crate::Limits) allows: nothing is wrong with it. HTTP 413.
    Oversize,
}

/// A place in a body, as editors count it: both numbers start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, ended by a line feed.
    pub line: u32,
    /// Column, in characters (not bytes).
    pub column: u32,
}

impl ParseError {
    /// Not well-formed at the byte `offset` of `text`.
    pub(crate) fn syntax(text: &[u8], offset: usize, message: impl Into<String>) -> Self {
        Self {
            reason: Reason::Syntax,
            position: Some(Position::of(text, offset)),
            message: bounded(message.into()),
        }
    }

    /// More at the byte `offset` of `text` than a limit allows.
    pub(crate) fn oversize(text: &[u8], offset: usize, message: impl Into<String>) -> Self {
        Self { reason: Reason::Oversize, ..Self::syntax(text, offset, message) }
    }

    /// Well-formed, but not ours.
    pub(crate) fn shape(message: impl Into<String>) -> Self {
        Self { reason: Reason::Shape, position: None, message: bounded(message.into()) }
    }

    /// What the caller does next.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Where the body stops making sense; `None` when it is the whole body.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What is wrong, without the position.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column }) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl Reason {
    /// The word that stands in subjects, headers and metrics: `syntax`, `shape` or `oversize`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Shape => "shape",
            Self::Oversize => "oversize",
        }
    }
}

impl Position {
    fn of(text: &[u8], offset: usize) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        // A byte that continues a character (10xxxxxx) is not a column of its own.
        let column = 1 + before[line_start..].iter().filter(|&&b| b & 0xC0 != 0x80).count();
        Self { line: saturate(line), column: saturate(column) }
    }
}

/// The longest message, in characters. It may quote what a sender wrote, and becomes a header and a line of the log.
const LONGEST_MESSAGE: usize = 300;

fn bounded(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
        message.truncate(end);
        message.push_str("...");
    }
    message
}

fn saturate(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_whatever_they_quote() {
        let error = ParseError::shape("数".repeat(10_000));
        assert_eq!(error.message(), format!("{}...", "数".repeat(LONGEST_MESSAGE)));
        assert_eq!(ParseError::syntax(b"", 0, "short").message(), "short");
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let text = "ab\n数据x".as_bytes();
        for (offset, line, column) in [(0, 1, 1), (2, 1, 3), (3, 2, 1), (9, 2, 3), (99, 2, 4)] {
            assert_eq!(Position::of(text, offset), Position { line, column }, "offset {offset}");
        }
    }
}
