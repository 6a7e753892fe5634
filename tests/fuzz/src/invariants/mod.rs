//! What must hold of any bytes that are read, whoever draws them: the fuzz targets here and the property tests of
//! `crates/schema`, which include this folder.
//!
//! Nothing here panics: a broken promise is an `Err` that says which.

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
