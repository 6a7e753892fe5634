//! The fields of the log's lines are those of docs/log.md, and values are fields of their own, not Rust's `Debug`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// The crates whose lines an operator reads.
const CRATES: [&str; 4] = ["bridge", "ingress", "publisher", "tencent"];
const MACROS: [&str; 5] = ["trace!(", "debug!(", "info!(", "warn!(", "error!("];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The arguments of each line of the log in a source text.
fn lines(text: &str) -> Vec<Vec<String>> {
    let begins = MACROS.iter().flat_map(|name| text.match_indices(name).map(|(at, _)| at + name.len()));
    begins.map(|at| arguments(&text[at..])).collect()
}

/// What stands between commas, up to the closing parenthesis.
fn arguments(text: &str) -> Vec<String> {
    let (mut found, mut depth, mut in_text) = (vec![String::new()], 0, false);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, in_text) {
            (',', false) if depth == 0 => {
                found.push(String::new());
                continue;
            }
            (')' | ']' | '}', false) if depth == 0 => break,
            ('(' | '[' | '{', false) => depth += 1,
            (')' | ']' | '}', false) => depth -= 1,
            ('"', _) => in_text = !in_text,
            _ => {}
        }
        let last = found.last_mut().unwrap();
        last.push(c);
        if in_text && c == '\\' {
            last.extend(characters.next());
        }
    }
    let trimmed = found.iter().map(|argument| argument.trim().to_owned());
    trimmed.filter(|argument| !argument.is_empty()).collect()
}

/// The name of a field and its value; the message has none.
fn field(argument: &str) -> Option<(&str, &str)> {
    let (name, value) = argument.split_once(" = ").unwrap_or((argument, argument));
    let name = name.trim_start_matches(['%', '?']);
    name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.').then_some((name, value))
}

/// The names in the first column of the table.
fn documented() -> BTreeSet<String> {
    let page = std::fs::read_to_string(repository("docs/log.md")).unwrap();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').map(str::to_owned).collect::<Vec<_>>());
    names.filter(|name| !name.trim_matches([',', ' ']).is_empty()).collect()
}

#[test]
fn every_field_of_the_log_is_in_the_table_and_none_is_written_as_rust_debugs_it() {
    let mut files = Vec::new();
    for name in CRATES {
        sources(&repository(&format!("crates/{name}/src")), &mut files);
    }
    let (mut used, mut count) = (BTreeSet::new(), 0);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for line in lines(&text) {
            count += 1;
            for (name, value) in line.iter().filter_map(|argument| field(argument)) {
                assert!(!value.starts_with('?'), "{}: {name} is no value but Rust's Debug", file.display());
                used.insert(name.to_owned());
            }
        }
    }
    assert!(count > 70, "{count} lines");
    let documented = documented();
    let missing: Vec<_> = used.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/log.md: {missing:?}");
    let gone: Vec<_> = documented.difference(&used).collect();
    assert!(gone.is_empty(), "in docs/log.md, and in no line: {gone:?}");
}

#[test]
fn the_reader_of_log_lines_finds_fields_and_debugged_values() {
    let text = r#"warn!(id = %a(1, 2), ?verdict, bytes, receipt = ?x, "a, \"b\" (c", ); other(1);"#;
    let [line] = &lines(text)[..] else { panic!("{:?}", lines(text)) };
    let fields: Vec<_> = line.iter().filter_map(|argument| field(argument)).collect();
    let expected = [("id", "%a(1, 2)"), ("verdict", "?verdict"), ("bytes", "bytes"), ("receipt", "?x")];
    assert_eq!(fields, expected);
}
