//! JSON (RFC 8259) to the wire shape.
//!
//! Our own reader, because `serde_json` gives a number as `f64`: `128.147000` would come out as `128.147`, while
//! the same callback in XML keeps its spelling. Its feature `arbitrary_precision` would keep it too, but is
//! switched on for the whole program, where it breaks the untagged answers that async-nats reads from JetStream.
//! A property test holds this reader to `serde_json`'s verdict and values.

use crate::document::{Document, Value};
use crate::error::ParseError;
use crate::limits::Limits;
use crate::scan;
use crate::text::Text;

/// Reads one JSON value that fills the text.
pub(crate) fn read<'a>(text: &'a str, limits: &Limits) -> Result<Document<'a>, ParseError> {
    let mut reader = Reader { text, at: 0, limits, document: Document::of(text, limits) };
    reader.value(Text::EMPTY, 0)?;
    reader.skip_white_space();
    match reader.at == text.len() {
        true => Ok(reader.document),
        false => Err(reader.unexpected("the end of the body")),
    }
}

struct Reader<'a, 'l> {
    text: &'a str,
    /// The byte offset of what is read next; always at a character's start.
    at: usize,
    limits: &'l Limits,
    document: Document<'a>,
}

impl<'a> Reader<'a, '_> {
    /// Always inlined into containers, as nearly all values are scalars.
    #[inline(always)]
    fn value(&mut self, name: Text<'a>, depth: usize) -> Result<(), ParseError> {
        if self.document.len() >= self.limits.max_nodes {
            let message = format!("more than {} values (max_nodes)", self.limits.max_nodes);
            return Err(ParseError::oversize(self.text.as_bytes(), self.at, message));
        }
        self.skip_white_space();
        let scalar = match self.peek() {
            Some(b'"') => Value::Text(self.string()?),
            Some(b'{') => return self.object(name, depth + 1),
            Some(b'[') => return self.array(name, depth + 1),
            Some(b'-' | b'0'..=b'9') => Value::Literal(self.number()?),
            Some(b't') => Value::Literal(self.word("true")?),
            Some(b'f') => Value::Literal(self.word("false")?),
            Some(b'n') => self.word("null").map(|_| Value::Text(Text::EMPTY))?,
            _ => return Err(self.unexpected("a value")),
        };
        self.document.push(name, scalar);
        Ok(())
    }

    #[inline(never)]
    fn object(&mut self, name: Text<'a>, depth: usize) -> Result<(), ParseError> {
        self.open(depth)?;
        let object = self.document.open(name, Value::Object);
        if self.accept(b'}') {
            return Ok(());
        }
        loop {
            self.skip_white_space();
            let name = self.member_name()?;
            self.expect(b':', "':' after a member name")?;
            self.value(name, depth)?;
            if self.ends(b'}', "',' or '}'")? {
                self.document.close(object);
                return Ok(());
            }
        }
    }

    #[inline]
    fn member_name(&mut self) -> Result<Text<'a>, ParseError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a member name in double quotes"));
        }
        let start = self.at;
        let name = self.string()?;
        if name.len() > self.limits.max_name_bytes {
            let limit = self.limits.max_name_bytes;
            return Err(
                self.error(start, format!("a member name longer than {limit} bytes (max_name_bytes)"))
            );
        }
        Ok(name)
    }

    #[inline(never)]
    fn array(&mut self, name: Text<'a>, depth: usize) -> Result<(), ParseError> {
        self.open(depth)?;
        let array = self.document.open(name, Value::Array);
        if self.accept(b']') {
            return Ok(());
        }
        loop {
            self.value(Text::EMPTY, depth)?;
            if self.ends(b']', "',' or ']'")? {
                self.document.close(array);
                return Ok(());
            }
        }
    }

    /// Whether a container ends behind a value, by this bracket; else there is another value.
    #[inline]
    fn ends(&mut self, bracket: u8, expected: &str) -> Result<bool, ParseError> {
        self.skip_white_space();
        let found = self.peek();
        if found != Some(bracket) && found != Some(b',') {
            return Err(self.unexpected(expected));
        }
        self.at += 1;
        Ok(found == Some(bracket))
    }

    /// Steps over the bracket that opens a container.
    fn open(&mut self, depth: usize) -> Result<(), ParseError> {
        if depth > self.limits.max_depth {
            let message =
                format!("arrays and objects nest deeper than {} (max_depth)", self.limits.max_depth);
            return Err(self.error(self.at, message));
        }
        self.at += 1;
        Ok(())
    }

    /// Borrowed from the body, unless it holds an escape.
    #[inline(always)]
    fn string(&mut self) -> Result<Text<'a>, ParseError> {
        self.at += 1;
        let plain = self.plain_characters();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Text::Plain(plain));
        }
        self.escaped_string(plain)
    }

    /// The rest of a string that begins with `plain`.
    #[cold]
    fn escaped_string(&mut self, plain: &str) -> Result<Text<'a>, ParseError> {
        let mut text = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text::any(text));
                }
                Some(b'\\') => {
                    text.push(self.escape()?);
                    text.push_str(self.plain_characters());
                }
                Some(_) => {
                    return Err(self.error(self.at, "a control character in a string: write it as \\u00XX"));
                }
                None => return Err(self.unexpected("'\"' at the end of the string")),
            }
        }
    }

    #[inline(always)]
    fn plain_characters(&mut self) -> &'a str {
        let start = self.at;
        self.at += scan::run(&self.text.as_bytes()[start..], scan::json_escapes);
        &self.text[start..self.at]
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let start = self.at;
        self.at += 2;
        let character = match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(start),
            _ => return Err(self.error(start, "an escape that JSON does not have")),
        };
        Ok(character)
    }

    /// `\uXXXX`, or a surrogate pair of two; `start` is the offset of the backslash.
    fn code_point(&mut self, start: usize) -> Result<char, ParseError> {
        let first = self.four_hex_digits(start)?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        let paired = first < 0xDC00 && self.text.as_bytes()[self.at..].starts_with(b"\\u");
        if paired {
            self.at += 2;
            let second = self.four_hex_digits(start)?;
            if (0xDC00..0xE000).contains(&second) {
                let combined = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return char::from_u32(combined).ok_or_else(|| self.error(start, "not a character"));
            }
        }
        Err(self.error(start, "half of a surrogate pair"))
    }

    fn four_hex_digits(&mut self, start: usize) -> Result<u32, ParseError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let value = digits.iter().try_fold(0, |value, &b| Some(value << 4 | char::from(b).to_digit(16)?));
        match value {
            Some(value) if digits.len() == 4 => {
                self.at += 4;
                Ok(value)
            }
            _ => Err(self.error(start, "\\u needs four hexadecimal digits")),
        }
    }

    fn number(&mut self) -> Result<&'a str, ParseError> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at == start {
            true => Err(self.unexpected("a digit")),
            false => Ok(()),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<&'a str, ParseError> {
        let start = self.at;
        if !self.text[start..].starts_with(word) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(&self.text[start..self.at])
    }

    #[inline]
    fn accept(&mut self, wanted: u8) -> bool {
        self.skip_white_space();
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8, what: &str) -> Result<(), ParseError> {
        match self.accept(wanted) {
            true => Ok(()),
            false => Err(self.unexpected(what)),
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_white_space(&mut self) {
        // Most often there is none.
        if self.peek().is_some_and(|b| b <= b' ') {
            self.at += scan::run(&self.text.as_bytes()[self.at..], scan::not_blank);
        }
    }

    fn unexpected(&self, expected: &str) -> ParseError {
        let found = match self.text[self.at..].chars().next() {
            None => "the body ends (cut off?)".to_owned(),
            Some(c @ ('}' | ']')) if self.text[..self.at].trim_end().ends_with(',') => {
                format!("found '{c}' after a trailing comma")
            }
            Some(c) => format!("found {c:?}"),
        };
        self.error(self.at, format!("expected {expected}, {found}"))
    }

    fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::syntax(self.text.as_bytes(), at, message)
    }
}
