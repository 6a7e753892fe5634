//! A number that a sender may write otherwise.

use serde::{Deserialize, Serialize};

/// What the vendor documents as an integer. It is published as a number when it is one that 64 bits hold, and as the text
/// that came otherwise: virus detection's `Suggestion` is `normal` or `block`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Number {
    /// As documented.
    Integer(i64),
    /// What came instead.
    Text(String),
}

impl Number {
    /// The integer, if it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(integer) => Some(*integer),
            Self::Text(_) => None,
        }
    }
}

impl From<i64> for Number {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl PartialEq<i64> for Number {
    fn eq(&self, other: &i64) -> bool {
        self.as_i64() == Some(*other)
    }
}
