//! The fuzz targets without libFuzzer: over every body of the fixtures, each of them cut off at many places, and over
//! every input that was once a find.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and says why")]

#[path = "../src/targets.rs"]
pub mod fuzz;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz::{TARGETS, Target};

/// A walk that finds fewer has lost some.
const LEAST_BODIES: usize = 300;

/// Cuts of one body, spread over its length.
const CUTS: usize = 24;

#[test]
fn every_fixture_and_its_beginnings_hold_for_every_target() {
    let bodies = files(&repository("tests/fixtures"));
    let bodies: Vec<_> = bodies.iter().filter(|path| !path.ends_with("expect.json")).collect();
    assert!(bodies.len() >= LEAST_BODIES, "only {} bodies", bodies.len());
    let mut broken = Vec::new();
    for path in bodies {
        let body = fs::read(path).unwrap();
        let step = body.len().div_ceil(CUTS).max(1);
        for end in (0..body.len()).step_by(step).chain([body.len()]) {
            broken.extend(TARGETS.iter().filter_map(|target| {
                let broken = try_one(target, &body[..end])?;
                Some(format!("{}, the first {end} bytes of {}: {broken}", target.name, path.display()))
            }));
        }
    }
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn no_find_of_the_past_comes_back() {
    let mut tried = 0;
    for target in TARGETS {
        for path in files(&repository("tests/fuzz/corpus").join(target.name)) {
            let broken = try_one(&target, &fs::read(&path).unwrap());
            assert_eq!(broken, None, "{}", path.display());
            tried += 1;
        }
    }
    let kept = files(&repository("tests/fuzz/corpus"));
    assert!(tried > 0 && tried == kept.len(), "{tried} of {}: a folder that is no target's?", kept.len());
}

/// libFuzzer's inputs are short. What costs the square of a body's length shows in the largest that is taken.
#[test]
fn no_large_body_takes_longer_than_its_length() {
    // Hours, if it was the square; a second at most for what is read once, also in a build for debugging.
    const LONGEST: Duration = Duration::from_secs(20);
    let within = |text: String| format!("<Response><JobsDetail><X>{text}</X></JobsDetail></Response>");
    let member = |text: String| format!("{{\"JobsDetail\":{{\"X\":{text}}}}}");
    let fill = |piece: &str| piece.repeat((1 << 20) / piece.len());
    let bodies = [
        within(fill("&lt;")),
        within(fill("\r\n")),
        within(fill("<a/>")),
        within(fill("<!-- - -->")),
        within(fill("<![CDATA[]]>")),
        within(fill("]]")),
        within(format!("<a {}/>", fill("a='1' "))),
        // As many elements as are taken, each with a blank behind it, after a long blank text.
        within(format!("<!---->{}{}", " ".repeat(500_000), "<a/> ".repeat(90_000))),
        within(format!("<a/>{}", fill("<!----> "))),
        within(format!("<a/>&#32;{}", fill("<!----> "))),
        // Everything but the last is empty, at every level.
        format!(
            "{}[{}\"x\"]{}",
            "{\"JobsDetail\":".to_owned() + &"{\"a\":".repeat(62),
            "\"\",".repeat(90_000),
            "}".repeat(63)
        ),
        format!(
            "{{\"JobsDetail\":{}{{\"CosHeaders\":{{{}\"Value\":\"x\"}}}}{}}}",
            "{\"CosHeaders\":{\"Value\":".repeat(30),
            "\"Value\":\"\",".repeat(80_000),
            "}}".repeat(30)
        ),
        within(format!("<a b='{}'/>", fill("&lt;"))),
        format!("<{}", fill("a")),
        fill("<a>"),
        fill("\n"),
        fill("&"),
        member(format!("\"{}\"", fill("\\u0041"))),
        member(format!("\"{}\"", fill("数"))),
        member(format!("[{}0]", fill("0,"))),
        member(format!("{{{}\"a\":0}}", fill("\"a\":0,"))),
        member(fill("9")),
        member(fill("[")),
        format!("{{\"JobsDetail\":{{\"Tag\":\"{0}\",\"JobId\":\"{0}\"}}}}", "%.".repeat(1 << 18)),
        format!("{{\"JobsDetail\":[{}{{}}]}}", "{},".repeat(999)),
    ];
    let callback = TARGETS.iter().find(|target| target.name == "callback").unwrap();
    for body in bodies {
        let start = Instant::now();
        let broken = try_one(callback, body.as_bytes());
        let (took, beginning) = (start.elapsed(), body.chars().take(60).collect::<String>());
        assert_eq!(broken, None, "{beginning}");
        assert!(took < LONGEST, "{took:?}: {beginning}");
    }
}

#[test]
fn every_target_has_a_program_of_its_name() {
    let manifest = fs::read_to_string(repository("tests/fuzz/Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    for Target { name, .. } in TARGETS {
        let path = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"{path}\"")), "{name}");
        let program = fs::read_to_string(repository("tests/fuzz").join(path)).unwrap();
        assert!(program.contains(&format!("insist(\"{name}\", input)")), "{program}");
    }
}

/// What does not hold, panics included.
fn try_one(target: &Target, input: &[u8]) -> Option<String> {
    match catch_unwind(|| (target.check)(input)) {
        Ok(outcome) => outcome.err(),
        Err(_) => Some("a panic, see above".to_owned()),
    }
}

/// Every file under a folder, and in the folders within it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => files.extend(self::files(&path)),
            false if path.file_name().is_some_and(|name| name == ".gitattributes") => {}
            false => files.push(path),
        }
    }
    files.sort();
    files
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
