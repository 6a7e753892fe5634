//! The XML that the vendor itself writes, read without a general reader: elements without attributes, whose text
//! holds no reference and stands in leaves only.
//!
//! Never the last word: whatever is not of this kind, or is wrong, gives `None`, and the general reader decides.
//! Where this one gives a document, the general reader gives the same (a property below).

use wide::u8x16;

use super::{ROOT, forbidden_character};
use crate::document::{Document, Value};
use crate::limits::Limits;
use crate::scan::{equal, not_blank, run, strip_same, within};
use crate::text::Text;

/// The declaration as it is usually written.
const DECLARATIONS: [&str; 2] =
    ["<?xml version=\"1.0\" encoding=\"utf-8\"?>", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"];

/// A document whose root is `Response`, or `None` for the general reader.
pub(super) fn read<'a>(text: &'a str, limits: &Limits) -> Option<Document<'a>> {
    let mut reader = Reader { limits, document: Document::of(text, limits) };
    let root =
        DECLARATIONS.into_iter().find_map(|declaration| text.strip_prefix(declaration)).unwrap_or(text);
    let rest = reader.element(without_blanks(root), 1)?;
    let root = reader.document.root()?;
    (without_blanks(rest).is_empty() && *root.name() == ROOT && root.is_object()).then_some(reader.document)
}

struct Reader<'a, 'l> {
    limits: &'l Limits,
    document: Document<'a>,
}

impl<'a> Reader<'a, '_> {
    /// Reads one element with all that is within it, and gives what follows it. Always inlined, as are the parts of a JSON member:
    /// nearly all are leaves, and a call for each would pass what it reads through memory, a fifth of the whole.
    #[inline(always)]
    fn element(&mut self, text: &'a str, depth: usize) -> Option<&'a str> {
        if depth > self.limits.max_depth || self.document.len() >= self.limits.max_nodes {
            return None;
        }
        let tag = text.strip_prefix('<')?;
        let (name, rest) = name(tag)?;
        if name.len() > self.limits.max_name_bytes {
            return None;
        }
        if let Some(rest) = rest.strip_prefix("/>") {
            self.document.push(Text::Plain(name), Value::Text(Text::EMPTY));
            return Some(rest);
        }
        let content = rest.strip_prefix('>')?;
        let first = without_blanks(content);
        let end = match first.starts_with('<') && !first.starts_with("</") {
            true => self.elements(name, first, depth + 1)?,
            false => {
                let (text, end) = character_data(content)?;
                self.document.push(Text::Plain(name), Value::Text(text));
                end.strip_prefix("</")?
            }
        };
        // What begins both tags alike: the name, and what ends it.
        strip_same(end, tag, name.len() + 1)
    }

    /// The elements within one of this name, up to the name in its end tag.
    fn elements(&mut self, name: &'a str, mut rest: &'a str, depth: usize) -> Option<&'a str> {
        let node = self.document.open(Text::Plain(name), Value::Object);
        loop {
            rest = without_blanks(self.element(rest, depth)?);
            if let Some(end) = rest.strip_prefix("</") {
                self.document.close(node);
                return Some(end);
            }
        }
    }
}

#[inline]
fn without_blanks(text: &str) -> &str {
    match text.as_bytes().first() {
        Some(b'!'..) => text,
        _ => text.split_at(run(text.as_bytes(), not_blank)).1,
    }
}

/// A name, and what follows it.
#[inline]
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_at(run(text.as_bytes(), no_name));
    let starts_as_name = !name.as_bytes().first()?.is_ascii_digit();
    starts_as_name.then_some((name, rest))
}

/// The text before the next `<`, and what follows it.
#[inline(always)]
fn character_data(text: &str) -> Option<(Text<'_>, &str)> {
    let length = run(text.as_bytes(), |bytes| equal(bytes, b'<') | unusual(bytes));
    let (plain, rest) = text.split_at(length);
    if rest.starts_with('<') { Some((Text::Plain(plain), rest)) } else { unusual_text(text) }
}

/// As [`character_data`], of a text that JSON must escape or that may not be one.
fn unusual_text(text: &str) -> Option<(Text<'_>, &str)> {
    let (text, rest) = text.split_at(run(text.as_bytes(), |bytes| equal(bytes, b'<')));
    let is_text = !text.contains('&')
        && !text.contains('\r')
        && !text.contains("]]>")
        && forbidden_character(text).is_none();
    is_text.then(|| (Text::any(text), rest))
}

/// Marks what a text is looked at again for: what JSON escapes, what begins a reference, may end a CDATA section (`]`), or begins
/// U+FFFE and U+FFFF, as it does half of the full-width forms.
#[inline]
fn unusual(bytes: u8x16) -> u8x16 {
    within(bytes, 0..=0x1F)
        | equal(bytes, b'"')
        | equal(bytes, b'&')
        | within(bytes, b'\\'..=b']')
        | equal(bytes, 0xEF)
}

/// Marks what the vendor makes no name of. XML allows more; names with any of it are left to the general reader.
#[inline]
fn no_name(bytes: u8x16) -> u8x16 {
    let letters = within(bytes | u8x16::splat(b'a' - b'A'), b'a'..=b'z');
    !(letters | within(bytes, b'0'..=b'9') | equal(bytes, b'_'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::xml::read_any;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_it_reads_the_general_reader_reads_alike(tokens in prop::collection::vec(select(TOKENS.split('|').collect::<Vec<_>>()), 0..24)) {
            agree(&tokens.concat());
            agree(&format!("<Response>{}</Response>", tokens.concat()));
        }

        #[test]
        fn nested_elements_are_read_alike(elements in element(4)) {
            let body = format!("<Response>{elements}<Z/></Response>");
            prop_assert!(agree(&body), "not read as plain: {body}");
        }
    }

    /// Whether the plain reader read it; if so, the general one agrees.
    fn agree(body: &str) -> bool {
        let limits = Limits { max_depth: 6, max_nodes: 40, max_name_bytes: 8, ..Limits::default() };
        let plain = read(body, &limits);
        if let Some(plain) = &plain {
            assert_eq!(read_any(body, &limits, ROOT).as_ref(), Ok(plain), "{body:?}");
        }
        plain.is_some()
    }

    fn element(depth: u32) -> impl Strategy<Value = String> {
        let leaf = ("[a-dA-D_][a-d0-9_]{0,3}", "[ \na-z>/\"数据]{0,6}")
            .prop_map(|(name, text)| format!("<{name}>{text}</{name}>"));
        leaf.prop_recursive(depth, 24, 6, |inner| {
            ("[a-d]{1,4}", prop::collection::vec((inner, "[ \n\t]{0,3}"), 1..6)).prop_map(
                |(name, children)| {
                    let children: String =
                        children.into_iter().map(|(child, space)| child + &space).collect();
                    format!("<{name}>{children}</{name}>")
                },
            )
        })
    }

    const TOKENS: &str = "<a>|</a>|<b>|</b>|<a/>|<a />|<b c=\"d\">|text|数据| |\n|\r\n|&amp;|&|<|>|/>|]]>|<!-- -->|\
        <![CDATA[x]]>|<?p?>|<Response>|</Response>|</Response >|<?xml version=\"1.0\" encoding=\"utf-8\"?>|\
        <?xml version=\"1.0\" encoding=\"gbk\"?>|<namelong9>|\u{1}";
}
