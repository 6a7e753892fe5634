//! Patterns of rules and allow-lists: `*` is any run of characters, `?` is one.

use serde::{Deserialize, Serialize};

/// A pattern over a whole value; case counts, as in every name that Tencent gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// Whether the pattern describes the whole of `value`.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let (pattern, value) = (self.0.as_bytes(), value.as_bytes());
        let (mut p, mut v) = (0, 0);
        // Where the last `*` stood, and how much of the value it has taken so far.
        let mut star: Option<(usize, usize)> = None;
        while v < value.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, v));
                    p += 1;
                }
                Some(&wanted) if wanted == value[v] || wanted == b'?' => (p, v) = (p + 1, v + 1),
                _ => match star {
                    Some((at, taken)) => {
                        star = Some((at, taken + 1));
                        (p, v) = (at + 1, taken + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|&b| b == b'*')
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
        ];
        for (pattern, value, expected) in rows {
            assert_eq!(Glob::from(pattern).matches(value), expected, "{pattern} on {value}");
        }
    }
}
