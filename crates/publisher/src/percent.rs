//! Percent-encoding of what a sender wrote, where it becomes part of a subject, an id, a header or a URI.
//!
//! Nearly all values need none, so that is what is looked for first: one table says of each byte where it is safe.

use percent_encoding::percent_encode_byte;

/// The bytes that need no encoding; all others are percent-encoded. None is beyond ASCII or a control character.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SafeBytes(u8);

impl SafeBytes {
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

    /// Whether a value needs no encoding.
    #[inline]
    pub(crate) fn holds(self, value: &str) -> bool {
        value.bytes().fold(self.0, |so_far, b| so_far & SAFE_IN[usize::from(b)]) != 0
    }

    /// Appends a value.
    #[inline]
    pub(crate) fn push(self, value: &str, text: &mut String) {
        if self.holds(value) { text.push_str(value) } else { self.push_encoded(value, text) }
    }

    fn push_encoded(self, value: &str, text: &mut String) {
        for byte in value.bytes() {
            match SAFE_IN[usize::from(byte)] & self.0 {
                0 => text.push_str(percent_encode_byte(byte)),
                _ => text.push(char::from(byte)),
            }
        }
    }
}

/// For each byte, where it is safe.
const SAFE_IN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_unreserved = is_word || matches!(byte, b'.' | b'~');
        let is_in_cloudevents = !matches!(byte, b' ' | b'"' | b'%');
        let is_in_id = is_in_cloudevents && byte != b':';
        table[byte as usize] = SafeBytes::HEADER.0
            | if is_word { SafeBytes::TOKEN.0 } else { 0 }
            | if is_unreserved { SafeBytes::SEGMENT.0 } else { 0 }
            | if is_in_id { SafeBytes::ID.0 } else { 0 }
            | if is_in_cloudevents { SafeBytes::CLOUDEVENTS.0 } else { 0 };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_safe_bytes_of_its_own() {
        let rows = [
            (SafeBytes::TOKEN, "aZ9_-", "aZ9_-"),
            (SafeBytes::TOKEN, "a.b c~*", "a%2Eb%20c%7E%2A"),
            (SafeBytes::SEGMENT, "a.b~c/d", "a.b~c%2Fd"),
            (SafeBytes::ID, "a/b:c%\"", "a/b%3Ac%25%22"),
            (SafeBytes::CLOUDEVENTS, "a:b c%\"", "a:b%20c%25%22"),
            (SafeBytes::HEADER, "a b\"%~", "a b\"%~"),
            (SafeBytes::HEADER, "a\r\n\u{7F}数", "a%0D%0A%7F%E6%95%B0"),
            (SafeBytes::HEADER, "", ""),
        ];
        for (safe, value, expected) in rows {
            let mut text = String::new();
            safe.push(value, &mut text);
            assert_eq!(text, expected, "{safe:?} {value:?}");
        }
    }
}
