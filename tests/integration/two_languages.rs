//! What exists in English and in Chinese says the same: the same sections, rows, commands and spelled-out names, in the same order.

use std::path::Path;

/// The pages that are kept in both languages; CONTRIBUTING.md names them.
const PAGES: [(&str, &str); 2] =
    [("docs/operations.md", "docs/operations.zh-CN.md"), ("docs/reference.md", "docs/reference.zh-CN.md")];

/// Fewer lines to compare than this are no page of these.
const FEWEST_LINES: usize = 40;

/// What a translation may not change.
#[derive(Debug, PartialEq)]
enum Fixed {
    /// The level of a heading; its words are translated, but for those that are a name (`### CiBridgeAbsent`).
    Heading(usize, Option<String>),
    /// The first cell of a row of a table: what is spelled as code in it.
    Row(Vec<String>),
    /// A line of an indented block of code.
    Code(String),
}

fn fixed(page: &str) -> Vec<Fixed> {
    page.lines().filter_map(fixed_in_line).collect()
}

fn fixed_in_line(line: &str) -> Option<Fixed> {
    if let Some(code) = line.strip_prefix("    ") {
        return Some(Fixed::Code(code.to_owned()));
    }
    if line.starts_with('#') {
        let words = line.trim_start_matches('#');
        let name = words.trim();
        let is_name = name.starts_with("CiBridge");
        return Some(Fixed::Heading(line.len() - words.len(), is_name.then(|| name.to_owned())));
    }
    let row = line.strip_prefix("| ")?;
    Some(Fixed::Row(code_spans(row.split(" | ").next()?)))
}

fn code_spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn pages_in_two_languages_have_the_same_sections_rows_and_commands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (english, chinese) in PAGES {
        let read = |page: &str| {
            std::fs::read_to_string(root.join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
        };
        let (expected, found) = (fixed(&read(english)), fixed(&read(chinese)));
        assert!(
            expected.len() >= FEWEST_LINES,
            "{english} has {} lines to compare: too few to be the page",
            expected.len()
        );
        for (index, expected) in expected.iter().enumerate() {
            assert_eq!(Some(expected), found.get(index), "{chinese} is not in step with {english} here");
        }
        assert_eq!(expected.len(), found.len(), "{chinese} has more than {english} at its end");
    }
}

#[test]
fn a_row_that_only_one_page_has_is_noticed() {
    let english = "## A\n\n| `x` or `y` | means | do |\n\n    cargo run\n\n### CiBridgeAbsent\n";
    let chinese = "## 甲\n\n| `x` 或 `y` | 含义 | 处理 |\n\n    cargo run\n\n### CiBridgeAbsent\n";
    assert_eq!(fixed(english), fixed(chinese));
    for (found, by) in [("`y`", "`z`"), ("cargo run", "cargo test"), ("Absent", "Present"), ("## 甲", "# 甲")]
    {
        assert_ne!(fixed(english), fixed(&chinese.replace(found, by)), "{by}");
    }
}
