//! Several short texts in one allocation, with a bound on all of them together.

/// What stands for the rest of a text that is cut.
const ELLIPSIS: &str = "…";
/// What is left, in bytes, to each of the texts that follow a long one.
const LEAST: usize = 20;

/// `N` texts, one behind the other. An empty one is none.
#[derive(Debug, Clone)]
pub(crate) struct Words<const N: usize> {
    text: Box<str>,
    ends: [u8; N],
    cut: u8,
}

/// Which part of a text is given up when there is no room for all of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Keep {
    Beginning,
    /// Of an object's key the name of the file tells most.
    End,
}

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self { text: Box::default(), ends: [0; N], cut: 0 }
    }
}

impl<const N: usize> Words<N> {
    /// Packs them into at most `most` bytes, up to 255. The earlier ones are the more important: each is cut only as far as
    /// those behind it need their least.
    pub(super) fn pack(words: [(&str, Keep); N], most: usize) -> Self {
        const { assert!(N <= 8, "a bit says which are cut") };
        let mut left = most.min(usize::from(u8::MAX));
        let mut later: usize = words.iter().map(|(word, _)| word.len().min(LEAST)).sum();
        let mut text = String::with_capacity(left.min(words.iter().map(|(word, _)| word.len()).sum()));
        let (mut ends, mut cut) = ([0; N], 0);
        for (place, (word, keep)) in words.into_iter().enumerate() {
            later -= word.len().min(LEAST);
            let room = left.saturating_sub(later);
            if word.len() <= room {
                text.push_str(word);
            } else {
                cut |= 1 << place;
                push_cut(&mut text, word, room, keep);
            }
            left = most.min(usize::from(u8::MAX)) - text.len();
            ends[place] = u8::try_from(text.len()).unwrap_or(u8::MAX);
        }
        Self { text: text.into_boxed_str(), ends, cut }
    }

    pub(super) fn get(&self, place: usize) -> Option<&str> {
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(usize::from(begin)..usize::from(self.ends[place])).filter(|word| !word.is_empty())
    }

    pub(super) fn is_cut(&self, place: usize) -> bool {
        self.cut & (1 << place) != 0
    }

    /// It was cut before.
    pub(super) fn mark_cut(&mut self, place: usize) {
        self.cut |= 1 << place;
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }
}

fn push_cut(text: &mut String, word: &str, room: usize, keep: Keep) {
    let Some(kept) = room.checked_sub(ELLIPSIS.len()) else { return };
    match keep {
        Keep::Beginning => {
            let end = (0..=kept).rev().find(|end| word.is_char_boundary(*end)).unwrap_or(0);
            text.push_str(&word[..end]);
            text.push_str(ELLIPSIS);
        }
        Keep::End => {
            let from = word.len() - kept;
            let begin = (from..=word.len()).find(|at| word.is_char_boundary(*at)).unwrap_or(word.len());
            text.push_str(ELLIPSIS);
            text.push_str(&word[begin..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_room_stays_whole_and_the_rest_says_that_it_is_cut() {
        let words =
            Words::pack([("task:j1:Success", Keep::Beginning), ("", Keep::End), ("a/b.mp4", Keep::End)], 80);
        assert_eq!(
            (0..3).map(|place| words.get(place)).collect::<Vec<_>>(),
            [Some("task:j1:Success"), None, Some("a/b.mp4")]
        );
        let long = "x".repeat(90);
        let words = Words::pack([(&long, Keep::Beginning), ("流/片段/很长的文件名.mp4", Keep::End)], 60);
        assert_eq!(words.get(0), Some(format!("{}…", "x".repeat(37)).as_str()));
        assert_eq!(words.get(1), Some("…的文件名.mp4"));
        assert!(words.is_cut(0) && words.is_cut(1));
    }

    proptest! {
        #[test]
        fn texts_of_any_length_stay_within_the_bound_and_apart(texts: [String; 5], most in 0_usize..300) {
            let mut place = 0;
            let given = texts.each_ref().map(|text| {
                place += 1;
                (text.as_str(), if place % 2 == 0 { Keep::End } else { Keep::Beginning })
            });
            let words = Words::pack(given, most);
            prop_assert!(words.bytes() <= most.min(255));
            for (place, text) in texts.iter().enumerate() {
                match words.is_cut(place) {
                    false => prop_assert_eq!(words.get(place).unwrap_or_default(), text.as_str()),
                    true => prop_assert!(words.get(place).is_none_or(|word| word.contains(ELLIPSIS))),
                }
            }
        }
    }
}
