//! Where a chunked body ends (RFC 9112, section 7.1), read by the grammar and no further: hyper alone would take blanks
//! behind a size, and anything for an extension.

use memchr::memchr;

use super::{TOKEN, is_control};

/// The longest line of a size, its extensions, or a field behind the body, in bytes. No sender of callbacks writes any
/// but the size.
const LONGEST_LINE: usize = 1024;
/// Hexadecimal digits of a size: 2^60 bytes are more than any limit, and no number overflows.
const SIZE_DIGITS: usize = 15;

/// What comes next of a chunked body.
#[derive(Debug)]
pub(super) enum Chunks {
    Size,
    /// This many bytes of a chunk are still to come.
    Data(u64),
    /// The line end behind a chunk.
    DataEnd,
    /// Fields behind the last chunk, up to an empty line.
    Trailers,
    Ended,
}

/// What comes is no chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoChunk;

impl Chunks {
    /// How many of `bytes` may be passed on: data as it comes, and whole lines. What follows the body passes as well:
    /// it is the connection's last.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<usize, (usize, NoChunk)> {
        let mut passed = 0;
        while passed < bytes.len() {
            let rest = &bytes[passed..];
            match self {
                Self::Ended => return Ok(bytes.len()),
                Self::Data(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= here as u64;
                    passed += here;
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                }
                _ => {
                    let Some((line, end)) = line(rest).map_err(|error| (passed, error))? else {
                        return Ok(passed);
                    };
                    *self = self.after(line).ok_or((passed, NoChunk))?;
                    passed += end;
                }
            }
        }
        Ok(passed)
    }

    /// What comes after this line; `None` when it may not stand here.
    fn after(&self, line: &[u8]) -> Option<Self> {
        match self {
            Self::DataEnd => line.is_empty().then_some(Self::Size),
            Self::Trailers if line.is_empty() => Some(Self::Ended),
            Self::Trailers => {
                let name = &line[..memchr(b':', line)?];
                (!name.is_empty() && is_token(name)).then_some(Self::Trailers)
            }
            _ => match size(line)? {
                0 => Some(Self::Trailers),
                size => Some(Self::Data(size)),
            },
        }
    }
}

/// The line at the beginning, once it is whole, and how long it is with its end.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, NoChunk> {
    let Some(at) = memchr(b'\n', &bytes[..bytes.len().min(LONGEST_LINE)]) else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(NoChunk) };
    };
    match bytes[..at].strip_suffix(b"\r") {
        Some(line) if !line.iter().copied().any(is_control) => Ok(Some((line, at + 1))),
        _ => Err(NoChunk),
    }
}

/// `chunk-size [ chunk-ext ]`
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let (size, extensions) = line.split_at(digits);
    let size = std::str::from_utf8(size).ok().filter(|size| (1..=SIZE_DIGITS).contains(&size.len()))?;
    are_extensions(extensions).then_some(())?;
    u64::from_str_radix(size, 16).ok()
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(after) = after_blanks(rest).strip_prefix(b";").map(after_blanks).and_then(after_token)
        else {
            return false;
        };
        rest = match after_blanks(after).strip_prefix(b"=").map(after_blanks) {
            None => after,
            Some(value) => match after_token(value).or_else(|| after_quoted(value)) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    true
}

fn after_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &bytes[blanks..]
}

fn is_token(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| TOKEN[usize::from(*byte)])
}

fn after_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|byte| TOKEN[usize::from(**byte)]).count();
    (length > 0).then(|| &bytes[length..])
}

/// What follows a quoted string; the line holds no control character.
fn after_quoted(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(b"\"")?;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', _, after @ ..] => after,
            [_, after @ ..] => after,
            [] => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_extensions_are_read_by_the_grammar() {
        let rows = [
            ("0", Some(0)),
            ("000", Some(0)),
            ("5", Some(5)),
            ("aF", Some(0xaf)),
            ("00000000000000a", Some(10)),
            ("5;x", Some(5)),
            ("5;x=y", Some(5)),
            ("5 ; x = y", Some(5)),
            ("5;x=\"a \\\" ;b\";z", Some(5)),
            ("5;a=b;c=d", Some(5)),
            ("", None),
            (" 5", None),
            ("5 ", None),
            ("5\t", None),
            ("+5", None),
            ("0x5", None),
            ("5g", None),
            ("-1", None),
            ("5;", None),
            ("5;;x", None),
            ("5;x=", None),
            ("5;=y", None),
            ("5;x y", None),
            ("5;x=\"y", None),
            ("5;x=\"y\\", None),
            ("5;x=y ", None),
            ("5;x=\"y\"z", None),
            ("5,5", None),
            ("0000000000000005", None),
            ("ffffffffffffffff", None),
        ];
        for (line, expected) in rows {
            assert_eq!(size(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn what_is_no_chunk_does_not_pass() {
        let long = format!("5;x={}", "y".repeat(LONGEST_LINE));
        let rows = [
            ("5\r\nhello\r\n0\r\n\r\nwhatever", true),
            ("5\r\nhello\r\n0\r\nA: b\r\n\r\n", true),
            ("5\nhello", false),
            ("5\r\nhello\n", false),
            ("5\r\nhello!\r\n", false),
            ("5\r\nhello\r\n\r\n", false),
            ("5\rx\r\nhello", false),
            ("5;x=\0\r\nhello", false),
            ("0\r\n\n", false),
            ("0\r\nA b\r\n\r\n", false),
            ("0\r\n: b\r\n\r\n", false),
            ("0\r\nA: b\r\n c\r\n\r\n", false),
            ("0\r\nA: \u{1}\r\n\r\n", false),
            (&long, false),
        ];
        for (text, passes) in rows {
            let bytes = text.as_bytes();
            for piece in 1..=bytes.len() {
                let mut chunks = Chunks::Size;
                let mut held = Vec::new();
                let all_pass = bytes.chunks(piece).all(|piece| {
                    held.extend_from_slice(piece);
                    chunks.read(&held).map(|passed| drop(held.drain(..passed))).is_ok()
                });
                assert_eq!(all_pass, passes, "{text:?} in pieces of {piece}");
            }
        }
    }
}
