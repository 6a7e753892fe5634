//! Patterns of rules and allow-lists: `*` is any run of characters, `?` is one.

use std::str::Chars;

use serde::{Deserialize, Serialize};

/// A pattern over a whole value; case counts, as in every name that Tencent gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern describes the whole of `value`.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        // Most patterns are plain names; and wildcards describe themselves too, so equal texts always match.
        if self.0 == value {
            return true;
        }
        let (mut pattern, mut value) = (self.0.chars(), value.chars());
        // What follows the last `*`, and what is left of the value after all that it has taken so far.
        let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            let left = value.clone();
            match (pattern.next(), value.next()) {
                (Some('*'), _) => {
                    star = Some((pattern.clone(), left.clone()));
                    value = left;
                }
                (None, None) => return true,
                (_, None) => return false,
                (Some(wanted), Some(found)) if wanted == found || wanted == '?' => {}
                _ => match &mut star {
                    Some((after, taken)) => {
                        taken.next();
                        (pattern, value) = (after.clone(), taken.clone());
                    }
                    None => return false,
                },
            }
        }
    }
}

impl From<&str> for Glob {
    fn from(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn patterns_match_whole_values() {
        let rows = [
            ("prod-*", "prod-media-1300000001", true),
            ("prod-*", "preprod-media", false),
            ("*-13*1", "prod-media-1300000001", true),
            ("Transcode", "Transcode", true),
            ("Transcode", "transcode", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("a*b*c", "a-b-b-d", false),
            // A `?` once was a byte.
            ("a?c", "a数c", true),
            ("a??c", "a数c", false),
            ("*数?", "数数据", true),
            ("??*", "数", false),
            // A value may hold the characters of wildcards.
            ("a*?", "a*?", true),
            ("a?", "a*", true),
            ("a*", "b*", false),
        ];
        for (pattern, value, expected) in rows {
            assert_eq!(Glob::from(pattern).matches(value), expected, "{pattern} on {value}");
        }
    }
}
