//! Names and what they mean, found without comparing one after the other: each member of a callback is looked for.

use super::Meaning;
use crate::text::beginning;

/// The documented names of a place. Each has a slot of its own, so that one look decides.
#[derive(Debug)]
pub(super) struct NameTable {
    slots: Box<[Option<Slot>]>,
    /// Chosen so that no two names fall into one slot.
    factor: u64,
    shift: u32,
}

#[derive(Debug, Clone)]
struct Slot {
    key: Key,
    name: &'static str,
    /// As it stands in JSON before its value, behind a comma.
    written: Box<str>,
    meaning: Meaning,
}

/// Tells names of up to 16 bytes apart, and most others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    first: u64,
    last: u64,
    length: usize,
}

impl Key {
    #[inline]
    fn of(name: &str) -> Self {
        let first = beginning(name);
        let last = name.as_bytes().last_chunk().map_or(first, |last| u64::from_be_bytes(*last));
        Self { first, last, length: name.len() }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "fewer bits than a usize has are left")]
    fn place(self, factor: u64, shift: u32) -> usize {
        let mixed = self.first ^ self.last.rotate_left(21) ^ self.length as u64;
        (mixed.wrapping_mul(factor) >> shift) as usize
    }
}

impl NameTable {
    pub(super) fn of(names: impl Iterator<Item = (&'static str, Meaning)>) -> Self {
        let mut named: Vec<Slot> = Vec::new();
        for (name, meaning) in names {
            let key = Key::of(name);
            // Long names that begin and end alike would never fall apart; a test finds the row that is missing then.
            if named.iter().all(|slot| slot.key != key) {
                named.push(Slot { key, name, written: format!(",\"{name}\":").into(), meaning });
            }
        }
        // Twice as many slots when none of so many factors does.
        const TRIES: u64 = 256;
        let mut bits = named.len().max(2).next_power_of_two().trailing_zeros();
        loop {
            let mut factors = (1..=TRIES).map(|at| ODD.wrapping_mul(2 * at + 1));
            let shift = u64::BITS - bits;
            if let Some(factor) = factors.find(|factor| fall_apart(&named, *factor, shift)) {
                let mut table = Self { slots: vec![None; 1 << bits].into(), factor, shift };
                for slot in named {
                    let place = slot.key.place(factor, shift);
                    table.slots[place] = Some(slot);
                }
                return table;
            }
            bits += 1;
        }
    }

    #[inline]
    pub(super) fn get(&self, name: &str) -> Option<(Meaning, &str)> {
        let key = Key::of(name);
        let slot = self.slots[key.place(self.factor, self.shift)].as_ref()?;
        let is_told_by_key = name.len() <= 2 * size_of::<u64>();
        (slot.key == key && (is_told_by_key || slot.name == name)).then_some((slot.meaning, &slot.written))
    }
}

/// Whether each name has a place of its own.
fn fall_apart(names: &[Slot], factor: u64, shift: u32) -> bool {
    let mut taken = vec![false; 1 << (u64::BITS - shift)];
    names.iter().all(|slot| !std::mem::replace(&mut taken[slot.key.place(factor, shift)], true))
}

/// 2⁶⁴ divided by the golden ratio: its multiples are spread evenly.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::{Place, Shape};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn two_names_have_one_key_only_when_they_are_long(a in "[\u{0}a]{0,20}", b in "[\u{0}a]{0,20}") {
            prop_assert!(a == b || Key::of(&a) != Key::of(&b) || a.len() > 16);
        }
    }

    #[test]
    fn a_name_is_found_and_no_other_one() {
        let names = [
            "",
            "a",
            "Tag",
            "Code",
            "WordsGeneralizeLable",
            "WordsGeneralizeToken",
            "Wordsaaaaaaaaaazeration",
        ];
        let plain = Meaning::plain(Place::RAW);
        let table = NameTable::of(names.into_iter().map(|name| (name, plain)));
        for name in names {
            assert_eq!(table.get(name), Some((plain, &*format!(",\"{name}\":"))), "{name}");
            assert_eq!(table.get(&format!("{name}x")), None, "{name}x");
        }
        assert_eq!(table.get("WordsGeneraliXeLable"), None, "the same beginning, length and end");
        assert_eq!(NameTable::of(std::iter::empty()).get(""), None);
        assert_eq!(plain.shape, Shape::Plain);
    }
}
