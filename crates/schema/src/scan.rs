//! Finding the byte that ends a run, eight bytes at a time.
//!
//! Callbacks are made of runs of some ten bytes: names, values, the blanks of an indentation. A search that starts
//! cheaply matters more there than one that is fast in the end.

/// How many bytes from the start a JSON string holds as they are: up to a quote, a backslash or a control character.
#[inline]
pub(crate) fn json_plain(bytes: &[u8]) -> usize {
    first(bytes, json_escapes, is_json_escape).unwrap_or(bytes.len())
}

/// How many bytes from the start are XML's character data and could stand in a JSON string as they are.
#[inline]
pub(crate) fn xml_plain(bytes: &[u8]) -> usize {
    let in_word = |word| json_escapes(word) | equal(word, b'<');
    first(bytes, in_word, |b| b == b'<' || is_json_escape(b)).unwrap_or(bytes.len())
}

/// How many bytes from the start are at most U+0020: blanks, where control characters are ruled out.
#[inline]
pub(crate) fn blanks(bytes: &[u8]) -> usize {
    first(bytes, above_blank, |b| b > b' ').unwrap_or(bytes.len())
}

/// Where the first `wanted` is.
#[inline]
pub(crate) fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    first(bytes, |word| equal(word, wanted), |b| b == wanted)
}

/// `in_word` marks bytes of a word by their highest bit; the lowest mark must be right, those above need not be.
#[inline]
fn first(bytes: &[u8], in_word: impl Fn(u64) -> u64, is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marks = in_word(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(index * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    match bytes.last_chunk() {
        // The last word again, as far as it has not been looked at: the bytes before hold no mark.
        Some(last) if !rest.is_empty() => {
            let marks = in_word(u64::from_le_bytes(*last));
            (marks != 0).then(|| bytes.len() - 8 + marks.trailing_zeros() as usize / 8)
        }
        Some(_) => None,
        None => rest.iter().position(|&b| is_wanted(b)),
    }
}

const LOWEST_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHEST_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// What cannot stand in a JSON string as it is.
#[inline]
fn is_json_escape(b: u8) -> bool {
    b < b' ' || b == b'"' || b == b'\\'
}

/// Marks the bytes that cannot stand in a JSON string as they are.
#[inline]
fn json_escapes(word: u64) -> u64 {
    control(word) | equal(word, b'"') | equal(word, b'\\')
}

/// Marks the bytes below U+0020.
#[inline]
fn control(word: u64) -> u64 {
    word.wrapping_sub(LOWEST_BITS * b' ' as u64) & !word & HIGHEST_BITS
}

/// Marks the bytes above U+0020.
#[inline]
fn above_blank(word: u64) -> u64 {
    let without_highest = word & !HIGHEST_BITS;
    ((without_highest + LOWEST_BITS * (0x7F - b' ' as u64)) | word) & HIGHEST_BITS
}

/// Marks the bytes that are `wanted`.
#[inline]
fn equal(word: u64, wanted: u8) -> u64 {
    let difference = word ^ (LOWEST_BITS * u64::from(wanted));
    difference.wrapping_sub(LOWEST_BITS) & !difference & HIGHEST_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn runs_end_where_a_look_at_every_byte_ends_them(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x1E_u8..0x24, 0x5B_u8..0x5E, 0x3B_u8..0x3E], 0..40)) {
            let ends = |b: &u8| *b < b' ' || *b == b'"' || *b == b'\\';
            prop_assert_eq!(json_plain(&bytes), bytes.iter().position(ends).unwrap_or(bytes.len()));
            let ends = |b: &u8| *b < b' ' || *b == b'"' || *b == b'\\' || *b == b'<';
            prop_assert_eq!(xml_plain(&bytes), bytes.iter().position(ends).unwrap_or(bytes.len()));
            prop_assert_eq!(blanks(&bytes), bytes.iter().position(|&b| b > b' ').unwrap_or(bytes.len()));
            prop_assert_eq!(position(&bytes, b'<'), bytes.iter().position(|&b| b == b'<'));
        }
    }
}
