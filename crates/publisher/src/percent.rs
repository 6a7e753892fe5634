//! Percent-encoding of what a sender wrote, where it becomes part of a subject, an id, a header or a URI.
//!
//! Nearly all values need none, so that is what is looked for first: one table says of each byte where it can stay.

use percent_encoding::percent_encode_byte;

/// The bytes that stay as they are; all others are encoded. None is beyond ASCII or a control character.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept(u8);

impl Kept {
    /// In a token of a subject: letters, digits, `_` and `-`.
    pub(crate) const TOKEN: Self = Self(1);
    /// In a segment of a URI: what RFC 3986 calls unreserved.
    pub(crate) const SEGMENT: Self = Self(1 << 1);
    /// Between the colons of a message id: as in a header of CloudEvents, without the colon.
    pub(crate) const ID: Self = Self(1 << 2);
    /// In a header, as the protocol bindings of CloudEvents ask: not a blank, `"` or `%`.
    pub(crate) const CLOUDEVENTS: Self = Self(1 << 3);
    /// In any other header: all that is printable, and the blank.
    pub(crate) const HEADER: Self = Self(1 << 4);

    /// Whether all of a value stays.
    #[inline]
    pub(crate) fn holds(self, value: &str) -> bool {
        value.bytes().fold(self.0, |so_far, b| so_far & KEPT_IN[usize::from(b)]) != 0
    }

    /// Appends a value.
    #[inline]
    pub(crate) fn push(self, value: &str, text: &mut String) {
        if self.holds(value) { text.push_str(value) } else { self.push_encoded(value, text) }
    }

    fn push_encoded(self, value: &str, text: &mut String) {
        for byte in value.bytes() {
            match KEPT_IN[usize::from(byte)] & self.0 {
                0 => text.push_str(percent_encode_byte(byte)),
                _ => text.push(char::from(byte)),
            }
        }
    }
}

/// For each byte, where it stays.
const KEPT_IN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_unreserved = is_word || matches!(byte, b'.' | b'~');
        let is_in_cloudevents = !matches!(byte, b' ' | b'"' | b'%');
        let is_in_id = is_in_cloudevents && byte != b':';
        table[byte as usize] = Kept::HEADER.0
            | if is_word { Kept::TOKEN.0 } else { 0 }
            | if is_unreserved { Kept::SEGMENT.0 } else { 0 }
            | if is_in_id { Kept::ID.0 } else { 0 }
            | if is_in_cloudevents { Kept::CLOUDEVENTS.0 } else { 0 };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_keeps_its_own_bytes() {
        let rows = [
            (Kept::TOKEN, "aZ9_-", "aZ9_-"),
            (Kept::TOKEN, "a.b c~*", "a%2Eb%20c%7E%2A"),
            (Kept::SEGMENT, "a.b~c/d", "a.b~c%2Fd"),
            (Kept::ID, "a/b:c%\"", "a/b%3Ac%25%22"),
            (Kept::CLOUDEVENTS, "a:b c%\"", "a:b%20c%25%22"),
            (Kept::HEADER, "a b\"%~", "a b\"%~"),
            (Kept::HEADER, "a\r\n\u{7F}数", "a%0D%0A%7F%E6%95%B0"),
            (Kept::HEADER, "", ""),
        ];
        for (kept, value, expected) in rows {
            let mut text = String::new();
            kept.push(value, &mut text);
            assert_eq!(text, expected, "{kept:?} {value:?}");
        }
    }
}
