//! Header blocks, read only as far as hyper does not tell (RFC 7541): whether a `:path` has a fragment, which is dropped
//! there, and whether a block has pseudo-headers at all, which are in trailers.
//!
//! The table of earlier fields is kept as the sender keeps it, but no text of it: only what each field was.

use std::collections::VecDeque;

use super::huffman;

/// The most that the table may hold, in bytes as the RFC counts them; what a sender may assume without being told.
const TABLE_BYTES: usize = 4096;
/// What the RFC counts for an entry beside its name and value.
const ENTRY_BYTES: usize = 32;
/// The bytes of a number, after which a longer one is an error.
const NUMBER_BYTES: u32 = 4;

/// What is said of a header block.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// There is a pseudo-header.
    pub(super) pseudo: bool,
    /// A `:path` holds `#`.
    pub(super) fragment: bool,
}

/// A block that is not HPACK; hyper's reader says so as well.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The table of one direction of a connection.
#[derive(Debug)]
pub(super) struct Hpack {
    /// The newest first.
    entries: VecDeque<Field>,
    bytes: usize,
    most: usize,
    /// A text that is being read.
    text: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    name: Name,
    name_bytes: usize,
    value_bytes: usize,
    /// The value holds `#`.
    fragment: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Path,
    OtherPseudo,
    Regular,
}

impl Hpack {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, most: TABLE_BYTES, text: Vec::new() }
    }

    /// Reads a whole block.
    pub(super) fn read(&mut self, mut block: &[u8]) -> Result<Seen, Broken> {
        let mut seen = Seen::default();
        let result = self.read_fields(&mut block, &mut seen);
        // Most blocks are small: the memory of a large one is not kept for them.
        self.text = Vec::new();
        result.map(|()| seen)
    }

    fn read_fields(&mut self, block: &mut &[u8], seen: &mut Seen) -> Result<(), Broken> {
        while let Some(first) = block.first() {
            let field = match first {
                0x80.. => self.field(number(block, 7)?)?,
                0x40.. => {
                    let field = self.literal(block, 6)?;
                    self.insert(field);
                    field
                }
                0x20.. => {
                    self.most = Some(number(block, 5)?).filter(|most| *most <= TABLE_BYTES).ok_or(Broken)?;
                    self.shrink();
                    continue;
                }
                _ => self.literal(block, 4)?,
            };
            seen.pseudo |= field.name != Name::Regular;
            seen.fragment |= field.name == Name::Path && field.fragment;
        }
        Ok(())
    }

    /// The field at this place of both tables; the first is 1.
    fn field(&self, place: usize) -> Result<Field, Broken> {
        let place = place.checked_sub(1).ok_or(Broken)?;
        match STATIC.get(place) {
            Some((name_bytes, value_bytes)) => {
                let (name_bytes, value_bytes) = (usize::from(*name_bytes), usize::from(*value_bytes));
                Ok(Field { name: static_name(place), name_bytes, value_bytes, fragment: false })
            }
            None => self.entries.get(place - STATIC.len()).copied().ok_or(Broken),
        }
    }

    /// A field with its value in the block, and its name there or in a table.
    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<Field, Broken> {
        let (name, name_bytes) = match number(block, prefix)? {
            0 => {
                self.string(block)?;
                let name = match self.text.as_slice() {
                    b":path" => Name::Path,
                    [b':', ..] => Name::OtherPseudo,
                    _ => Name::Regular,
                };
                (name, self.text.len())
            }
            place => self.field(place).map(|field| (field.name, field.name_bytes))?,
        };
        self.string(block)?;
        Ok(Field { name, name_bytes, value_bytes: self.text.len(), fragment: self.text.contains(&b'#') })
    }

    /// Reads a text into `self.text`.
    fn string(&mut self, block: &mut &[u8]) -> Result<(), Broken> {
        let is_coded = block.first().is_some_and(|first| first & 0x80 != 0);
        let length = number(block, 7)?;
        let (bytes, rest) = block.split_at_checked(length).ok_or(Broken)?;
        *block = rest;
        self.text.clear();
        if is_coded {
            huffman::decode(bytes, &mut self.text).ok_or(Broken)
        } else {
            self.text.extend_from_slice(bytes);
            Ok(())
        }
    }

    fn insert(&mut self, field: Field) {
        self.bytes += field.bytes();
        self.entries.push_front(field);
        // One that is larger than the table empties it, itself included.
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > self.most
            && let Some(oldest) = self.entries.pop_back()
        {
            self.bytes -= oldest.bytes();
        }
    }
}

impl Field {
    fn bytes(self) -> usize {
        self.name_bytes + self.value_bytes + ENTRY_BYTES
    }
}

/// A number that begins in the last `prefix` bits of the first byte (section 5.1).
fn number(block: &mut &[u8], prefix: u32) -> Result<usize, Broken> {
    let mask = (1_usize << prefix) - 1;
    let (first, mut rest) = block.split_first().ok_or(Broken)?;
    let mut number = usize::from(*first) & mask;
    if number == mask {
        for shift in 0.. {
            let (byte, after) = rest.split_first().filter(|_| shift < NUMBER_BYTES).ok_or(Broken)?;
            rest = after;
            number += usize::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *block = rest;
    Ok(number)
}

fn static_name(place: usize) -> Name {
    match place {
        3 | 4 => Name::Path,
        0..=13 => Name::OtherPseudo,
        _ => Name::Regular,
    }
}

/// The bytes of name and value of each field of the static table (appendix A); the first fourteen are pseudo-headers.
#[rustfmt::skip]
const STATIC: [(u8, u8); 61] = [
    (10, 0), (7, 3), (7, 4), (5, 1), (5, 11), (7, 4), (7, 5), (7, 3), (7, 3), (7, 3), (7, 3), (7, 3), (7, 3), (7, 3),
    (14, 0), (15, 13), (15, 0), (13, 0), (6, 0), (27, 0), (3, 0), (5, 0), (13, 0), (13, 0), (19, 0), (16, 0), (16, 0),
    (14, 0), (16, 0), (13, 0), (12, 0), (6, 0), (4, 0), (4, 0), (6, 0), (7, 0), (4, 0), (4, 0), (8, 0), (17, 0),
    (13, 0), (8, 0), (19, 0), (13, 0), (4, 0), (8, 0), (12, 0), (18, 0), (19, 0), (5, 0), (7, 0), (7, 0), (11, 0),
    (6, 0), (10, 0), (25, 0), (17, 0), (10, 0), (4, 0), (3, 0), (16, 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Seen = Seen { pseudo: true, fragment: false };
    const NOTHING: Seen = Seen { pseudo: false, fragment: false };

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter(|c| !c.is_whitespace()).collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// Each block, what is seen in it, and how large the table is then.
    fn assert_read(blocks: &[(&str, Seen, usize)]) {
        let mut hpack = Hpack::new();
        for (hex, seen, size) in blocks {
            assert_eq!(hpack.read(&bytes(hex)).as_ref(), Ok(seen), "{hex}");
            assert_eq!(hpack.bytes, *size, "{hex}");
        }
    }

    /// Appendices C.3 and C.4: the same three requests, plain and coded.
    #[test]
    fn requests_of_the_rfc_are_read() {
        assert_read(&[
            ("828684410f7777772e6578616d706c652e636f6d", REQUEST, 57),
            ("828684be58086e6f2d6361636865", REQUEST, 110),
            ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", REQUEST, 164),
        ]);
        assert_read(&[
            ("828684418cf1e3c2e5f23a6ba0ab90f4ff", REQUEST, 57),
            ("828684be5886a8eb10649cbf", REQUEST, 110),
            ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", REQUEST, 164),
        ]);
    }

    /// Appendix C.6, which makes the table small and has entries leave it.
    #[test]
    fn the_table_is_kept_as_the_sender_keeps_it() {
        let first = "3fe101 488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff\
                     6e919d29ad171863c78f0b97c8e9ae82ae43d3";
        let third = "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab\
                     77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007";
        assert_read(&[(first, REQUEST, 222), ("4883640effc1c0bf", REQUEST, 222), (third, REQUEST, 215)]);
    }

    #[test]
    fn fragments_and_pseudo_headers_are_seen() {
        let fragment = Seen { pseudo: true, fragment: true };
        let rows = [
            // `:path: /a#b`: its name by place and as text, plain and coded.
            ("0404 2f612362", Seen { pseudo: true, fragment: true }, 0),
            ("1404 2f612362", Seen { pseudo: true, fragment: true }, 0),
            ("00053a70617468 04 2f612362", Seen { pseudo: true, fragment: true }, 0),
            ("0484 607ff51f", Seen { pseudo: true, fragment: true }, 0),
            // The same through the table.
            ("4404 2f612362", Seen { pseudo: true, fragment: true }, 41),
            ("be", fragment, 41),
            // `x: #`, `:status` in the place of trailers.
            ("0001780123", NOTHING, 41),
            ("88", REQUEST, 41),
            ("", NOTHING, 41),
        ];
        assert_read(&rows);
    }

    #[test]
    fn what_is_no_block_is_broken() {
        let rows = [
            "80",
            "be",
            "ff",
            "ffffffffffff01",
            "40",
            "4001",
            "400178",
            "40017805",
            "3fe21f",
            "00018103",
            "04827fff",
        ];
        for hex in rows {
            assert_eq!(Hpack::new().read(&bytes(hex)), Err(Broken), "{hex}");
        }
    }
}
