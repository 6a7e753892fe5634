//! Running somebody else's program quietly: what it printed, or briefly why it failed.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest excerpt of a failed program's output that is shown: a few terminal lines, so that several attempts
/// stay readable.
const EXCERPT_CHARS: usize = 300;

/// Runs one command line in a directory, without a terminal to ask questions on, and gives its standard output.
///
/// # Errors
/// It could not be started, or did not exit with 0; then with the line of its output that says most.
pub(crate) fn run(line: &[OsString], dir: &Path) -> Result<String, String> {
    let [program, args @ ..] = line else {
        return Err("nothing to run".to_owned());
    };
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null());
    // A developer's pip settings may forbid what we ask for; only these two do.
    command.env("PIP_USER", "0").env("PIP_REQUIRE_VIRTUALENV", "0");
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    Err(excerpt(&complained).or_else(|| excerpt(&printed)).unwrap_or_else(|| output.status.to_string()))
}

/// pip's warning when it cannot connect. Its error, a few lines later, only says that no version was found.
const NO_CONNECTION: &str = "connection broken by ";

/// What broke the connection, else the last line that calls itself an error, else the last line.
fn excerpt(output: &str) -> Option<String> {
    let broken = output.lines().find_map(|line| line.split_once(NO_CONNECTION)).map(|(_, cause)| cause);
    let line = broken.or_else(|| telling_line(output))?;
    Some(line.chars().take(EXCERPT_CHARS).collect())
}

fn telling_line(output: &str) -> Option<&str> {
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| {
        line.to_ascii_lowercase().starts_with("e:") || line.to_ascii_lowercase().contains("error")
    };
    lines().rfind(is_error).or_else(|| lines().next_back())
}

/// Held by tests that write a program and then run it. A child that another thread forks meanwhile would inherit the
/// still open file, and Linux refuses to run a file that is open for writing (ETXTBSY).
#[cfg(test)]
pub(super) static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_most() {
        for (output, expect) in [
            ("", None),
            ("\n  \n", None),
            ("one\ntwo\n", Some("two")),
            ("ERROR: no such version\nnotice: upgrade pip\n", Some("ERROR: no such version")),
            ("W: list is old\nE: Unable to locate package\n", Some("E: Unable to locate package")),
        ] {
            assert_eq!(excerpt(output).as_deref(), expect, "{output:?}");
        }
        assert_eq!(excerpt(&"x".repeat(5000)).map(|line| line.len()), Some(EXCERPT_CHARS));
    }
}
