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

    #[inline]
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
    #[inline(always)]
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

#[inline(always)]
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

/// The first bytes of a name as a number, which is less where the name is: telling most names apart costs one comparison.
#[inline]
pub(crate) fn beginning(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let at = |place: usize| u64::from(bytes[place]) << (56 - 8 * place);
    if let Some(all) = bytes.first_chunk() {
        return u64::from_be_bytes(*all);
    }
    // Short names are the most frequent. Their bytes are read twice rather than one by one: the same bits, once more.
    match (bytes.first_chunk().copied(), bytes.last_chunk().copied()) {
        (Some(first), Some(last)) => {
            let last = u64::from(u32::from_be_bytes(last)) << (64 - 8 * bytes.len());
            u64::from(u32::from_be_bytes(first)) << 32 | last
        }
        _ if bytes.is_empty() => 0,
        _ => at(0) | at(bytes.len() / 2) | at(bytes.len() - 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::beginning;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_name_begins_as_it_sorts(a in "[\u{0}ab数]{0,10}", b in "[\u{0}ab数]{0,10}") {
            let (less, more) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(beginning(&less) <= beginning(&more));
        }
    }
}
