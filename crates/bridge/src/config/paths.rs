//! Paths as they are configured.

use std::path::{Path, PathBuf};

/// `~` and variables are the shell's business; a relative path is relative to where the bridge runs.
pub(super) fn given(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}
