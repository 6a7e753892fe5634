//! The programs of this crate.

use std::path::PathBuf;

use crate::Failure;

/// A program that is built beside this one.
pub(crate) fn sibling(name: &str) -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
