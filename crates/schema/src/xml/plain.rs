//! The XML that the vendor itself writes, read without a general reader: elements without attributes, whose text
//! holds no reference and stands in leaves only.
//!
//! Never the last word: whatever is not of this kind, or is wrong, gives `None`, and the general reader decides.
//! Where this one gives a document, the general reader gives the same (a property below).

use super::ROOT;
use crate::document::{Document, Open, Value};
use crate::parse::Limits;
use crate::scan;
use crate::text::{Text, is_blank};

/// A document whose root is `Response`, or `None` for the general reader.
pub(super) fn read<'a>(text: &'a str, limits: &Limits) -> Option<Document<'a>> {
    if !is_plain(text) {
        return None;
    }
    let mut reader = Reader { text, at: 0, limits, document: Document::new(), open: Vec::with_capacity(8) };
    reader.skip_declaration()?;
    reader.root()?;
    let is_whole = is_blank(&text[reader.at..]);
    let root = reader.document.root()?;
    (is_whole && *root.name() == ROOT && root.is_object()).then_some(reader.document)
}

struct Reader<'a, 'l> {
    text: &'a str,
    /// Always at a character's start.
    at: usize,
    limits: &'l Limits,
    document: Document<'a>,
    /// The elements with elements in them that have not ended, outermost first.
    open: Vec<(&'a str, Open)>,
}

impl<'a> Reader<'a, '_> {
    /// The declaration as it is usually written; `None` for any other.
    fn skip_declaration(&mut self) -> Option<()> {
        let Some(rest) = self.text.strip_prefix("<?xml ") else { return Some(()) };
        let (declaration, _) = rest.split_once("?>")?;
        let encoding =
            declaration.trim_ascii_end().strip_prefix("version=\"1.0\" encoding=\"")?.strip_suffix('"')?;
        self.at = "<?xml ?>".len() + declaration.len();
        encoding.eq_ignore_ascii_case("utf-8").then_some(())
    }

    /// The root element, with all that is within it.
    fn root(&mut self) -> Option<()> {
        loop {
            self.skip_blanks();
            if self.next()? != b'<' {
                return None;
            }
            if *self.bytes().get(self.at)? == b'/' {
                self.at += 1;
                let (name, node) = self.open.pop()?;
                self.end_tag(name)?;
                self.document.close(node);
            } else {
                self.element()?;
            }
            if self.open.is_empty() {
                return Some(());
            }
        }
    }

    /// The element whose `<` has been read: the whole of a leaf, or the start tag of one with elements in it.
    #[inline]
    fn element(&mut self) -> Option<()> {
        if self.open.len() >= self.limits.max_depth || self.document.len() >= self.limits.max_nodes {
            return None;
        }
        let name = self.name()?;
        match self.next()? {
            b'>' => {}
            b'/' if self.next()? == b'>' => {
                self.document.push(Text::Plain(name), Value::Text(Text::EMPTY));
                return Some(());
            }
            _ => return None,
        }
        let start = self.at;
        // Most elements are leaves whose text does not begin with a blank.
        if self.bytes().get(start)? <= &b'<' {
            self.skip_blanks();
            if *self.bytes().get(self.at)? == b'<' && *self.bytes().get(self.at + 1)? != b'/' {
                self.open.push((name, self.document.open(Text::Plain(name), Value::Object)));
                return Some(());
            }
        }
        let text = self.text_from(start)?;
        self.document.push(Text::Plain(name), Value::Text(text));
        // Where the text ends stands a `<`.
        self.at += 1;
        if self.next()? != b'/' {
            return None;
        }
        self.end_tag(name)
    }

    /// The end tag of this name, whose `</` has been read.
    #[inline]
    fn end_tag(&mut self, name: &str) -> Option<()> {
        let rest = self.bytes().get(self.at..)?.strip_prefix(name.as_bytes())?;
        self.at += name.len() + 1;
        (rest.first()? == &b'>').then_some(())
    }

    /// A leaf's text, up to the next `<`.
    #[inline]
    fn text_from(&mut self, start: usize) -> Option<Text<'a>> {
        let bytes = &self.bytes()[start..];
        let plain = scan::xml_plain(bytes);
        if *bytes.get(plain)? == b'<' {
            self.at = start + plain;
            return Some(Text::Plain(&self.text[start..self.at]));
        }
        self.unusual_text_from(start, plain)
    }

    /// A text of which `plain` bytes are, and the next is not.
    fn unusual_text_from(&mut self, start: usize, plain: usize) -> Option<Text<'a>> {
        self.at = start + plain + scan::position(&self.bytes()[start + plain..], b'<')?;
        Some(Text::any(&self.text[start..self.at]))
    }

    #[inline]
    fn skip_blanks(&mut self) {
        self.at += scan::blanks(&self.bytes()[self.at..]);
    }

    #[inline]
    fn name(&mut self) -> Option<&'a str> {
        let start = self.at;
        let bytes = &self.bytes()[start..];
        let length = bytes.iter().position(|&b| !NAME_BYTES[usize::from(b)])?;
        let starts_as_name = !matches!(bytes.first()?, b'-' | b'.' | b'0'..=b'9');
        let is_name = starts_as_name && (1..=self.limits.max_name_bytes).contains(&length);
        self.at += length;
        is_name.then(|| &self.text[start..self.at])
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let next = self.bytes().get(self.at).copied();
        self.at += 1;
        next
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }
}

/// No reference, no carriage return to normalise, no end of a CDATA section, and no byte of a character that XML
/// forbids. U+FFFE and U+FFFF begin with the byte EF, as half of the full-width forms do: such a text is looked at
/// again, and so is one with a bracket.
fn is_plain(text: &str) -> bool {
    let forbidden = |b: u8| (b < b' ' && b != b'\t' && b != b'\n') || b == b'&';
    // Without a branch, the compiler looks at many bytes at a time.
    let (forbidden, bracket) = text
        .bytes()
        .fold((false, false), |(found, bracket), b| (found | forbidden(b), bracket | (b == b']')));
    let may_hold_full_width = || !text.is_ascii() && text.as_bytes().contains(&0xEF);
    !(forbidden
        || bracket && text.contains("]]>")
        || may_hold_full_width() && text.contains(['\u{FFFE}', '\u{FFFF}']))
}

/// The bytes that a name is made of, by their value. Of the characters beyond ASCII XML allows some: names with any are
/// left to the general reader.
const NAME_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        bytes[b] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.');
        b += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::xml::read_any;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_it_reads_the_general_reader_reads_alike(tokens in prop::collection::vec(select(&TOKENS[..]), 0..24)) {
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
        let leaf = ("[a-dA-D_:][a-d0-9.-]{0,3}", "[ \na-z>/\"数据]{0,6}")
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

    const TOKENS: [&str; 28] = [
        "<a>",
        "</a>",
        "<b>",
        "</b>",
        "<a/>",
        "<a />",
        "<b c=\"d\">",
        "text",
        "数据",
        " ",
        "\n",
        "\r\n",
        "&amp;",
        "&",
        "<",
        ">",
        "/>",
        "]]>",
        "<!-- -->",
        "<![CDATA[x]]>",
        "<?p?>",
        "<Response>",
        "</Response>",
        "</Response >",
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>",
        "<?xml version=\"1.0\" encoding=\"gbk\"?>",
        "<namelong9>",
        "\u{1}",
    ];
}
