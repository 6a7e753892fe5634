//! What must hold of any bytes that are read, whoever draws them: the fuzz targets here and the property tests of
//! `crates/schema`, which include this folder.
//!
//! Nothing here panics: a broken promise is an `Err` that says which.

use ci_bridge_schema::{Family, Limits, Normalised, normalise, parse};

pub(crate) mod json;
pub(crate) mod place;
pub(crate) mod tree;
pub(crate) mod xml;

/// An `Err` with this text, unless the condition holds.
macro_rules! hold {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}
pub(crate) use hold;

/// The one message of a callback of this family. Of a moderation in the Detail form, which keeps the types of JSON, it is
/// what was read.
pub(crate) fn message_of(body: &[u8], family: Family) -> Option<String> {
    let callback = parse(body, &Limits::default()).ok()?;
    if callback.family() != family {
        return None;
    }
    match normalise(callback) {
        Normalised::Events(events) if events.len() == 1 => String::from_utf8(events[0].data().to_vec()).ok(),
        _ => None,
    }
}
