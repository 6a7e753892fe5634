//! Names and texts of a body, which know whether JSON holds them as they are.

use std::borrow::Cow;
use std::ops::Deref;

use crate::scan;

/// A name or a text. What a reader has looked at byte by byte need not be looked at again when it is written.
#[derive(Debug, Clone)]
pub(crate) enum Text<'a> {
    /// Without a quote, a backslash or a control character: JSON holds it as it is.
    Plain(&'a str),
    /// Not known to be plain.
    Any(Cow<'a, str>),
}

impl<'a> Text<'a> {
    pub(crate) const EMPTY: Self = Self::Plain("");

    /// A text whose bytes have not been looked at.
    pub(crate) fn any(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Any(text.into())
    }

    /// Empty as the vendor means it: `<Message/>`, and the line breaks of a pretty-printed empty element.
    pub(crate) fn is_blank(&self) -> bool {
        is_blank(self)
    }

    pub(crate) fn to_cow(&self) -> Cow<'a, str> {
        self.clone().into_cow()
    }

    pub(crate) fn into_cow(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => Cow::Borrowed(text),
            Self::Any(text) => text,
        }
    }

    /// Writes it as a JSON string.
    #[inline]
    pub(crate) fn write(&self, json: &mut Vec<u8>) {
        match self {
            Self::Plain(text) => write_plain(text, json),
            Self::Any(text) => write_any(text, json),
        }
    }
}

fn write_any(text: &str, json: &mut Vec<u8>) {
    match scan::run(text.as_bytes(), scan::json_escapes) == text.len() {
        true => write_plain(text, json),
        // Writing a string to memory has no way to fail.
        false => _ = serde_json::to_writer(json, text),
    }
}

#[inline]
fn write_plain(text: &str, json: &mut Vec<u8>) {
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
}

/// See [`Text::is_blank`].
pub(crate) fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Any(text) => text,
        }
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
