//! Finding the byte that ends a run, sixteen bytes at a time.
//!
//! Callbacks are made of runs of some ten bytes: names, values, the blanks of an indentation. Each ends at any of several
//! bytes, so a search for one byte would have to be repeated.

use std::ops::RangeInclusive;

use wide::u8x16;

const WIDTH: usize = 16;

/// How many bytes from the start do not end the run; `ends` marks those of sixteen that do.
#[inline]
pub(crate) fn run(bytes: &[u8], ends: impl Fn(u8x16) -> u8x16) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes[at..].first_chunk::<WIDTH>() {
        let marks = ends(u8x16::new(*chunk)).to_bitmask();
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += WIDTH;
    }
    at + last(&bytes[at..], ends)
}

/// The same of fewer than sixteen bytes: most often there are none.
#[cold]
#[inline(never)]
fn last(bytes: &[u8], ends: impl Fn(u8x16) -> u8x16) -> usize {
    let mut chunk = [0; WIDTH];
    chunk[..bytes.len()].copy_from_slice(bytes);
    let marks = ends(u8x16::new(chunk)).to_bitmask();
    bytes.len().min(marks.trailing_zeros() as usize)
}

/// What follows the first `length` bytes of a text, if another begins with the same.
#[inline]
pub(crate) fn strip_same<'t>(text: &'t str, other: &str, length: usize) -> Option<&'t str> {
    let is_same = match (text.as_bytes().first_chunk::<WIDTH>(), other.as_bytes().first_chunk::<WIDTH>()) {
        (Some(a), Some(b)) if length <= WIDTH => {
            let differ = !u8x16::new(*a).simd_eq(u8x16::new(*b));
            differ.to_bitmask().trailing_zeros() as usize >= length
        }
        _ => text.get(..length)? == other.get(..length)?,
    };
    if is_same { text.get(length..) } else { None }
}

/// Marks the bytes that are `wanted`.
#[inline]
pub(crate) fn equal(bytes: u8x16, wanted: u8) -> u8x16 {
    bytes.simd_eq(u8x16::splat(wanted))
}

/// Marks the bytes within a range.
#[inline]
pub(crate) fn within(bytes: u8x16, range: RangeInclusive<u8>) -> u8x16 {
    (bytes - u8x16::splat(*range.start())).simd_le(u8x16::splat(range.end() - range.start()))
}

/// Marks what cannot stand in a JSON string as it is.
#[inline]
pub(crate) fn json_escapes(bytes: u8x16) -> u8x16 {
    within(bytes, 0..=b' ' - 1) | equal(bytes, b'"') | equal(bytes, b'\\')
}

/// Marks what is not white space, to XML and to JSON.
#[inline]
pub(crate) fn not_blank(bytes: u8x16) -> u8x16 {
    !(equal(bytes, b' ') | within(bytes, b'\t'..=b'\n') | equal(bytes, b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn runs_end_where_a_look_at_every_byte_ends_them(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x1E_u8..0x24, 0x5B_u8..0x5E, 8_u8..0x0E], 0..40)) {
            let first = |ends: fn(&u8) -> bool| bytes.iter().position(ends).unwrap_or(bytes.len());
            prop_assert_eq!(run(&bytes, json_escapes), first(|&b| b < b' ' || b == b'"' || b == b'\\'));
            let blanks: Vec<_> = bytes.iter().map(|b| b % 35).collect();
            let first = blanks.iter().position(|b| !b" \t\r\n".contains(b)).unwrap_or(blanks.len());
            prop_assert_eq!(run(&blanks, not_blank), first);
        }

        #[test]
        fn what_is_the_same_is_stripped(text in "[ab]{0,20}", other in "[ab]{0,20}", length in 1_usize..20) {
            let same = text.get(..length).is_some_and(|beginning| other.starts_with(beginning));
            prop_assert_eq!(strip_same(&text, &other, length), same.then(|| &text[length..]));
        }
    }
}
