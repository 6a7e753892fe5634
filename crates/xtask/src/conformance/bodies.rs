//! What `ci-bridge render` says to many bodies.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::case::Verdict;

/// How many files one process is given: their names have to fit on a command line.
const AT_ONCE: usize = 400;

/// The verdict on each file of `folder`, in the order of `files`.
///
/// # Errors
/// The bridge does not start, or says something that is no verdict.
pub(super) fn verdicts(bridge: &Path, folder: &Path, files: &[String]) -> Result<Vec<Verdict>, String> {
    let mut refused = HashMap::new();
    for some in files.chunks(AT_ONCE) {
        let mut render = Command::new(bridge);
        render.arg("render").args(some).current_dir(folder).env_clear().stdin(Stdio::null());
        let output = render.output().map_err(|e| format!("{}: {e}", bridge.display()))?;
        // 65 is EX_DATAERR: some of them are no callbacks.
        if !matches!(output.status.code(), Some(0 | 65)) {
            return Err(format!("ci-bridge render: {}", output.status));
        }
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            let (file, verdict) = verdict(line).ok_or_else(|| format!("ci-bridge render said: {line}"))?;
            refused.insert(file.to_owned(), verdict);
        }
    }
    Ok(files.iter().map(|file| refused.get(file).cloned().unwrap_or(Verdict::Callback)).collect())
}

/// `ci-bridge: FILE: syntax: line 1, column 2: ...`
fn verdict(line: &str) -> Option<(&str, Verdict)> {
    let (file, rest) = line.strip_prefix("ci-bridge: ")?.split_once(": ")?;
    let (reason, message) = rest.split_once(": ")?;
    let verdict = match reason {
        "shape" => Verdict::Shape(message.to_owned()),
        "syntax" | "oversize" => Verdict::Refused(message.to_owned()),
        _ => return None,
    };
    Some((file, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_render_are_verdicts() {
        for (line, expect) in [
            ("ci-bridge: a/b.xml: shape: x: y", Some(("a/b.xml", Verdict::Shape("x: y".to_owned())))),
            ("ci-bridge: b: syntax: line 1", Some(("b", Verdict::Refused("line 1".to_owned())))),
            ("ci-bridge: b: oversize: 2", Some(("b", Verdict::Refused("2".to_owned())))),
            ("ci-bridge: No such file or directory (os error 2)", None),
            ("thread 'main' panicked: at x", None),
        ] {
            assert_eq!(verdict(line), expect, "{line}");
        }
    }
}
