//! A document of the suite as part of a callback, without what only the start of a document may have. Pure.

/// The document within `<Response>`, without its declaration and its DOCTYPE; `None` when they do not end.
pub(super) fn wrap(document: &str) -> Option<String> {
    let document = document.strip_prefix('\u{FEFF}').unwrap_or(document);
    let is_declared = document.starts_with("<?xml") && !document.starts_with("<?xml-");
    let content = if is_declared { document.split_once("?>")?.1 } else { document };
    let content = match doctype(content) {
        Some(start) => format!("{}{}", &content[..start], after_doctype(&content[start..])?),
        None => content.to_owned(),
    };
    Some(format!("<Response>{content}</Response>"))
}

/// Where the DOCTYPE starts, which nothing but blanks, comments and processing instructions precede.
fn doctype(text: &str) -> Option<usize> {
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.starts_with("<!DOCTYPE") {
            return Some(text.len() - rest.len());
        }
        rest = after_remark(rest)?;
    }
}

/// What follows the comment or processing instruction that the text starts with.
fn after_remark(text: &str) -> Option<&str> {
    let (inside, end) = match text.strip_prefix("<!--") {
        Some(inside) => (inside, "-->"),
        None => (text.strip_prefix("<?")?, "?>"),
    };
    Some(inside.split_once(end)?.1)
}

/// What follows the DOCTYPE that the text starts with: brackets and `>` in quotes and remarks do not end it.
fn after_doctype(text: &str) -> Option<&str> {
    let mut rest = text;
    let mut is_inside = false;
    loop {
        rest = &rest[rest.find(['"', '\'', '<', '[', ']', '>'])?..];
        let (first, after) = rest.split_at(1);
        rest = match first {
            "\"" | "'" => after.split_once(first)?.1,
            "<" => after_remark(rest).unwrap_or(after),
            "[" | "]" => {
                is_inside = first == "[";
                after
            }
            // Of a declaration within the brackets.
            _ if is_inside => after,
            _ => return Some(after),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_starts_a_document_is_cut() {
        for (document, expect) in [
            ("<a/>", Some("<a/>")),
            ("\u{FEFF}<?xml version='1.0'?>\n<a/>", Some("\n<a/>")),
            ("<?xml-stylesheet x?><a/>", Some("<?xml-stylesheet x?><a/>")),
            ("<!DOCTYPE a><a/>", Some("<a/>")),
            ("<!DOCTYPE a SYSTEM 'x>y[' [ ] ><a/>", Some("<a/>")),
            (
                "<!-- <!DOCTYPE --> <!DOCTYPE a [<!ENTITY b \"]>\"><!-- ' ]> --><?c ']>?>]><a>]</a>",
                Some("<!-- <!DOCTYPE --> <a>]</a>"),
            ),
            ("<a><!DOCTYPE b></a>", Some("<a><!DOCTYPE b></a>")),
            ("<!DOCTYPE a [", None),
            ("<?xml version='1.0'", None),
        ] {
            let expect = expect.map(|content| format!("<Response>{content}</Response>"));
            assert_eq!(wrap(document), expect, "{document}");
        }
    }
}
