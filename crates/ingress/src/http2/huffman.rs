//! The Huffman code of header fields (RFC 7541, appendix B). It is canonical: how long each symbol's code is says the rest.

/// Bits of the code of each byte.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// Bits of the longest code, which is also that of the end of a string; no string may hold it.
const LONGEST: usize = 30;

/// Of the codes of each length: the first, and where its symbols begin in [`SYMBOLS`].
const FIRST: [(u32, usize, usize); LONGEST + 1] = first();
/// All bytes, by the length of their codes.
const SYMBOLS: [u8; 256] = symbols();

/// Appends what `bytes` stand for; `None` when they are no such code, or their padding is not the beginning of its end.
pub(super) fn decode(bytes: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let (mut code, mut length) = (0_u32, 0_usize);
    for byte in bytes {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            let (first, start, count) = *FIRST.get(length)?;
            // A code of this length is below the next, longer ones.
            let place = usize::try_from(code.wrapping_sub(first)).ok()?;
            if code >= first && place < count {
                to.push(SYMBOLS[start + place]);
                (code, length) = (0, 0);
            }
        }
    }
    // The rest is padding: less than a byte, and ones alone.
    (length < 8 && code == (1 << length) - 1).then_some(())
}

const fn first() -> [(u32, usize, usize); LONGEST + 1] {
    let mut first = [(0, 0, 0); LONGEST + 1];
    let (mut code, mut start, mut length) = (0, 0, 1);
    while length <= LONGEST {
        let mut count = 0;
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                count += 1;
            }
            byte += 1;
        }
        first[length] = (code, start, count);
        code = (code + count as u32) << 1;
        start += count;
        length += 1;
    }
    first
}

const fn symbols() -> [u8; 256] {
    let mut symbols = [0; 256];
    let (mut place, mut length) = (0, 1);
    while length <= LONGEST {
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                symbols[place] = byte as u8;
                place += 1;
            }
            byte += 1;
        }
        length += 1;
    }
    symbols
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc_are_read() {
        let rows: [(&[u8], Option<&str>); 8] = [
            (&[], Some("")),
            (b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", Some("www.example.com")),
            (b"\xa8\xeb\x10\x64\x9c\xbf", Some("no-cache")),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", Some("custom-value")),
            (b"\xff\xaf", Some("#")),
            // Padding that is no beginning of the end, too much of it, and the end itself.
            (b"\x18", None),
            (b"\x1f\xff", None),
            (b"\xff\xff\xff\xff", None),
        ];
        for (bytes, expected) in rows {
            let mut text = Vec::new();
            let read = decode(bytes, &mut text).map(|()| String::from_utf8(text).unwrap());
            assert_eq!(read.as_deref(), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn every_byte_has_a_code() {
        for byte in 0..=255_u8 {
            let length = usize::from(LENGTHS[usize::from(byte)]);
            let (first, start, count) = FIRST[length];
            let place = (0..count).find(|place| SYMBOLS[start + place] == byte).unwrap();
            // The code, and ones behind it.
            let padded = ((u64::from(first) + place as u64 + 1) << (64 - length)) - 1;
            let bytes = padded.to_be_bytes();
            let mut text = Vec::new();
            decode(&bytes[..length.div_ceil(8)], &mut text).unwrap();
            assert_eq!(text, [byte]);
        }
    }
}
