//! The XML that the vendor itself writes, read without a general reader: elements without attributes, whose text
//! holds no reference and stands in leaves only.
//!
//! Never the last word: whatever is not of this kind, or is wrong, gives `None`, and the general reader decides.
//! Where this one gives a tree, the general reader gives the same (a property below).

use std::borrow::Cow;

use crate::parse::Limits;
use crate::scan;
use crate::tree::{Member, Node, Object, is_blank};

/// The members of the root `Response`, or `None` for the general reader.
pub(super) fn read<'a>(text: &'a str, limits: &Limits) -> Option<Object<'a>> {
    if !is_plain(text) {
        return None;
    }
    let mut reader = Reader { text, at: 0, limits, nodes: 0, members: Vec::with_capacity(TYPICAL_MEMBERS) };
    reader.skip_declaration()?;
    if !reader.opens_after_blanks()? {
        return None;
    }
    let (name, node) = reader.element(1)?;
    let is_end = is_blank(&text[reader.at..]);
    match node {
        Node::Object(object) if name == "Response" && is_end => Some(object),
        _ => None,
    }
}

/// Members that wait for the end of their element, over all levels; a job has about thirty.
const TYPICAL_MEMBERS: usize = 32;

struct Reader<'a, 'l> {
    text: &'a str,
    /// Always at a character's start.
    at: usize,
    limits: &'l Limits,
    nodes: usize,
    /// Read already, of all the elements that are open: each takes its own when it ends.
    members: Vec<Member<'a>>,
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

    /// The element whose `<` has been read.
    fn element(&mut self, depth: usize) -> Option<Member<'a>> {
        self.nodes += 1;
        if depth > self.limits.max_depth || self.nodes > self.limits.max_nodes {
            return None;
        }
        let name = self.name()?;
        let node = match self.next()? {
            b'>' => self.content(depth)?,
            b'/' if self.next()? == b'>' => return Some((Cow::Borrowed(name), Node::EMPTY)),
            _ => return None,
        };
        let rest = self.bytes().get(self.at..)?.strip_prefix(name.as_bytes())?;
        self.at += name.len() + 1;
        (rest.first()? == &b'>').then_some((Cow::Borrowed(name), node))
    }

    /// What stands between an element's tags, up to the `</` of its end tag.
    fn content(&mut self, depth: usize) -> Option<Node<'a>> {
        let start = self.at;
        let own = self.members.len();
        // Most elements are leaves whose text does not begin with a blank.
        while self.bytes().get(start)? <= &b'<' && self.opens_after_blanks()? {
            let member = self.element(depth + 1)?;
            self.members.push(member);
        }
        let is_leaf = self.members.len() == own;
        if is_leaf {
            self.at = start + scan::position(&self.bytes()[start..], b'<')?;
        }
        let end = self.at;
        if self.next()? != b'<' || self.next()? != b'/' {
            return None;
        }
        Some(match is_leaf {
            true => Node::Text(Cow::Borrowed(&self.text[start..end])),
            false => Node::Object(Object::gather(self.members.drain(own..).collect())),
        })
    }

    /// Skips blanks; if a start tag follows, its `<` as well.
    fn opens_after_blanks(&mut self) -> Option<bool> {
        self.at += scan::blanks(&self.bytes()[self.at..]);
        let opens = *self.bytes().get(self.at)? == b'<' && *self.bytes().get(self.at + 1)? != b'/';
        self.at += usize::from(opens);
        Some(opens)
    }

    fn name(&mut self) -> Option<&'a str> {
        let start = self.at;
        let bytes = &self.bytes()[start..];
        let length = bytes.iter().position(|&b| !NAME_BYTES[usize::from(b)])?;
        let starts_as_name = !matches!(bytes.first()?, b'-' | b'.' | b'0'..=b'9');
        let is_name = starts_as_name && (1..=self.limits.max_name_bytes).contains(&length);
        self.at += length;
        is_name.then(|| &self.text[start..self.at])
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.bytes().get(self.at).copied();
        self.at += 1;
        next
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }
}

/// No reference, no carriage return to normalise, and no byte of a character that XML forbids. U+FFFE and U+FFFF
/// begin with the byte EF, as half of the full-width forms do: such a text is looked at again.
fn is_plain(text: &str) -> bool {
    let forbidden = |b: u8| (b < b' ' && b != b'\t' && b != b'\n') || b == b'&';
    // Without a branch, the compiler looks at many bytes at a time.
    let (other, full_width) = text
        .bytes()
        .fold((false, false), |(other, full_width), b| (other | forbidden(b), full_width | (b == 0xEF)));
    !(other || full_width && text.contains(['\u{FFFE}', '\u{FFFF}']))
}

/// The bytes that a name is made of, by their value.
const NAME_BYTES: [bool; 256] = {
    let mut bytes = [false; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        bytes[b] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.') || !byte.is_ascii();
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
        fn a_tree_is_read_alike(tree in element(4)) {
            let body = format!("<Response>{tree}<Z/></Response>");
            prop_assert!(agree(&body), "not read as plain: {body}");
        }
    }

    /// Whether the plain reader read it; if so, the general one agrees.
    fn agree(body: &str) -> bool {
        let limits = Limits { max_depth: 6, max_nodes: 40, max_name_bytes: 8, ..Limits::default() };
        let plain = read(body, &limits);
        if let Some(plain) = &plain {
            assert_eq!(read_any(body, &limits).as_ref(), Ok(plain), "{body:?}");
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
