//! The suite's list of its cases. It is XML, but of a form so plain that its tags can be looked for. Pure.

/// What the list says of a case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// `valid`, `invalid`, `not-wf` or `error`.
    pub(crate) kind: String,
    /// The file, from the suite's root.
    pub(crate) path: String,
    /// `XML1.0`, where nothing else is said.
    pub(crate) recommendation: String,
    /// The editions of XML 1.0 that it is meant for, with blanks between; empty for all.
    pub(crate) edition: String,
}

pub(crate) fn read(text: &str) -> Vec<Entry> {
    let mut folders: Vec<&str> = Vec::new();
    let mut entries = Vec::new();
    let mut rest = text;
    while let Some((_, from)) = rest.split_once('<') {
        let end = if from.starts_with("!--") { "-->" } else { ">" };
        let Some((tag, after)) = from.split_once(end) else { break };
        rest = after;
        match tag.split_whitespace().next() {
            Some("TESTCASES") => folders.push(attribute(tag, "xml:base").unwrap_or_default()),
            Some("/TESTCASES") => drop(folders.pop()),
            Some("TEST") => entries.extend(entry(tag, &folders)),
            _ => {}
        }
    }
    entries
}

fn entry(tag: &str, folders: &[&str]) -> Option<Entry> {
    let text = |name| attribute(tag, name).map(str::to_owned);
    Some(Entry {
        id: text("ID")?,
        kind: text("TYPE")?,
        path: folders.concat() + attribute(tag, "URI")?,
        recommendation: text("RECOMMENDATION").unwrap_or_else(|| "XML1.0".to_owned()),
        edition: text("EDITION").unwrap_or_default(),
    })
}

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, next) = after[1..].split_once(quote)?;
        if before.split_whitespace().next_back() == Some(name) {
            return Some(value);
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_where_their_folders_say() {
        let text = "<TESTSUITE><TESTCASES xml:base='a/'><TESTCASES PROFILE=\"x\"><!-- <TEST ID='no' -->\n\
            <TEST TYPE=\"not-wf\" ENTITIES='none'\n ID=\"one\" URI=\"b/1.xml\" EDITION='1 2'>text</TEST>\
            </TESTCASES></TESTCASES><TEST TYPE='valid' ID='two' URI='2.xml' RECOMMENDATION='NS1.0'/></TESTSUITE>";
        let entry = |id: &str, kind: &str, path: &str, recommendation: &str, edition: &str| Entry {
            id: id.into(),
            kind: kind.into(),
            path: path.into(),
            recommendation: recommendation.into(),
            edition: edition.into(),
        };
        let expect = [
            entry("one", "not-wf", "a/b/1.xml", "XML1.0", "1 2"),
            entry("two", "valid", "2.xml", "NS1.0", ""),
        ];
        assert_eq!(read(text), expect);
    }
}
