//! Writes man pages, one for each command, and completions for shells into `man/` and `completions/` of a folder: what
//! `cargo xtask man` does, and packages install. Man pages are made here and not by the program, which nobody asks for
//! them where it runs.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap_complete::Shell;

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("which folder?")?.into();
    let [man, completions] = ["man", "completions"].map(|name| folder.join(name));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder)?;
    }
    clap_mangen::generate_to(ci_bridge::cli::definition(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut ci_bridge::cli::definition(), "ci-bridge", &completions)?;
    }
    Ok(())
}
