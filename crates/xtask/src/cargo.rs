//! The cargo that runs us, and where it works. Nothing here knows what the commands are for.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A cargo of the same toolchain as the one that built xtask, started in the workspace root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    // `cargo run` describes xtask in these. Build scripts look at them (ring's does), and would build again, with all that
    // depends on them, whenever a developer changes between `cargo` and `cargo xtask`.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// The workspace root.
///
/// `cargo run` names this crate's folder at run time. The compile-time value is only for a binary that was started by
/// hand: it would point at the wrong clone when two clones share one build directory.
pub(crate) fn root() -> PathBuf {
    let crate_dir = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    crate_dir.ancestors().nth(2).map_or_else(|| crate_dir.clone(), Path::to_path_buf)
}

/// The build directory, where whatever is fetched goes too: `cargo clean` removes it, git ignores it.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        // Cargo reads a relative one against the current directory, and leaves ours as it was.
        Some(dir) => std::path::absolute(&dir).unwrap_or_else(|_| dir.into()),
        None => root().join("target"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_where_the_workspace_manifest_is() {
        let manifest =
            std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml of the workspace");
        assert!(manifest.contains("[workspace]"));
    }
}
