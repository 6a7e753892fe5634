//! A second XML parser, `roxmltree`, decides what ours must accept and what it must have read.
//!
//! The differences, each meant, are the rows of `documented_differences_from_the_second_parser_stand`.

use ci_bridge_schema::{Format, Limits, Normalised, ParseError, Reason, normalise, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use roxmltree::{Document, Node};

use crate::config;
use crate::dress::{whims, xml};
use crate::model::{Members, Tree, canonical, members};
use crate::mutate::{mutated, mutations};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn xml_is_read_as_a_second_parser_reads_it(members in members(), mut whims in whims()) {
        let body = xml(&job(members), &mut whims);
        agree(&body)?;
        prop_assert!(message_of(&body).is_some());
    }

    #[test]
    fn damaged_xml_gets_the_second_parsers_verdict(members in members(), mut whims in whims(), mutations in mutations()) {
        agree(&mutated(xml(&job(members), &mut whims), &mutations))?;
    }

    #[test]
    fn any_tokens_in_an_element_get_the_second_parsers_verdict(tokens in vec(select(&TOKENS[..]), 0..8)) {
        agree(format!("<Response><JobsDetail><X>{}</X></JobsDetail></Response>", tokens.concat()).as_bytes())?;
    }

    #[test]
    fn any_tokens_in_a_tag_get_the_second_parsers_verdict(tokens in vec(select(&IN_TAG[..]), 0..6)) {
        agree(format!("<Response><JobsDetail><X{}>1</X></JobsDetail></Response>", tokens.concat()).as_bytes())?;
    }

    #[test]
    fn any_tokens_around_the_root_get_the_second_parsers_verdict(
        before in vec(select(&TOKENS[..]), 0..4),
        after in vec(select(&TOKENS[..]), 0..4),
    ) {
        agree(format!("{}<Response><JobsDetail/></Response>{}", before.concat(), after.concat()).as_bytes())?;
    }
}

const TOKENS: [&str; 38] = [
    "<",
    ">",
    "</",
    "/>",
    "<a>",
    "</a>",
    "<b-1.x>",
    "</b-1.x>",
    "<a/>",
    "&",
    ";",
    "&amp;",
    "&#65;",
    "&#x1F3A7;",
    "&#xA;",
    "&#;",
    "&x;",
    "<![CDATA[",
    "]]>",
    "]]",
    "<!--",
    "-->",
    "--",
    "-",
    "<?",
    "?>",
    "<?p x?>",
    "<?xml?>",
    "<!",
    "<!DOCTYPE a>",
    " ",
    "\r\n",
    "\r",
    "x",
    "数",
    "\u{FFFE}",
    "\u{1}",
    "<?xml version='1.0'?>",
];

const IN_TAG: [&str; 24] = [
    " ",
    "\n",
    "a",
    "=",
    "\"",
    "'",
    " a=\"1\"",
    " b='2'",
    " a='&lt;'",
    " c='&x;'",
    " d='&'",
    "<",
    "/",
    ">",
    "?",
    "\"1\"",
    "''",
    "-",
    ".",
    "数",
    " 1='2'",
    " a:b='1'",
    "&amp;",
    "\t",
];

/// Every difference, on the smallest body that shows it: whether we read it, whether `roxmltree` does.
#[test]
fn documented_differences_from_the_second_parser_stand() {
    let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let wide = |attributes: usize| (0..attributes).map(|n| format!(" a{n}='1'")).collect::<String>();
    let within = |element: &str| format!("<Response><JobsDetail>{element}</JobsDetail></Response>");
    let rows = [
        // A job whose text is odd is worth more than its rejection; nothing of it can change what is read.
        (within("<X>]]></X>"), true, false),
        (within("<X><!-- a -- b --></X>"), true, false),
        (within("<X><?1?></X>"), true, false),
        (within("<X\u{D7}>1</X\u{D7}>"), true, false),
        // Attributes and namespaces are not read.
        (within("<X 1='2'>1</X>"), true, false),
        (within("<X /a='1'>1</X>"), true, false),
        (within("<X a\\='1'>1</X>"), true, false),
        (within("<X a='1'b='2'>1</X>"), true, false),
        (within("<X a='&x;'>1</X>"), true, false),
        (within("<X a='&'>1</X>"), true, false),
        (within("<a:X>1</a:X>"), true, false),
        (within("<X a:b='1'>1</X>"), true, false),
        // White space before a declaration is what a careless template writes; it is read for its encoding alone.
        (format!("\n<?xml version='1.0'?>{}", within("")), true, false),
        (format!("<?xml?>{}", within("")), true, true),
        (format!("<?xml vision='1.0'?>{}", within("")), true, false),
        (format!("{}<?xml?>", within("")), false, true),
        // Read as UTF-8, it would come out as other text than was meant.
        (format!("<?xml version='1.0' encoding='GBK'?>{}", within("")), false, true),
        // `roxmltree` reads U+FFFD for it.
        (within("<X>&#xD800;</X>"), false, true),
        (within("<X>&#x110000;</X>"), false, true),
        // `roxmltree` takes an empty prefix for none.
        (within("<X>1</:X>"), false, true),
        // What a body may cost.
        (within(&deep(62)), true, true),
        (within(&deep(63)), false, true),
        (within(&format!("<X{}/>", wide(64))), true, true),
        (within(&format!("<X{}/>", wide(65))), false, true),
    ];
    for (body, we_read_it, they_read_it) in rows {
        assert_eq!(verdict(body.as_bytes()).is_ok(), we_read_it, "{body}");
        assert_eq!(Document::parse(&body).is_ok(), they_read_it, "{body}");
    }
}

/// XML has a lone carriage return read as a line feed; `roxmltree` forgets that before a reference.
#[test]
fn a_carriage_return_before_a_reference_ends_a_line() {
    let body = "<Response><JobsDetail><X>a\r&amp;b\r\n&amp;</X></JobsDetail></Response>";
    assert_eq!(message_of(body.as_bytes()).as_deref(), Some("{\"X\":\"a\\n&b\\n&\"}"));
}

/// Whether a difference of the two verdicts is one of those that stand documented above.
fn is_documented(text: &str, ours: &Result<(), ParseError>, theirs: &roxmltree::Error) -> bool {
    use roxmltree::Error as E;
    if ours.is_err() {
        return false;
    }
    // The markup that the error is in, from its '<' on.
    let before = before(text, theirs.pos());
    let markup = before.rfind('<').map_or(before, |at| &before[at..]);
    let in_attributes = markup.starts_with('<') && markup.contains(char::is_whitespace);
    match theirs {
        E::UnexpectedDeclaration(_) => before.trim_start_matches('\u{FEFF}').trim_start().is_empty(),
        _ if markup.starts_with("<?xml") => true,
        E::InvalidCharacterData(_) | E::InvalidComment(_) => true,
        E::UnknownNamespace(..)
        | E::DuplicatedNamespace(..)
        | E::InvalidElementNamePrefix(_)
        | E::InvalidXmlPrefixUri(_)
        | E::UnexpectedXmlUri(_)
        | E::UnexpectedXmlnsUri(_) => true,
        E::InvalidName(_) => in_attributes || markup.starts_with("<?"),
        E::InvalidChar(..) => in_attributes && (markup.contains('=') || !markup.contains('>')),
        E::InvalidChar2(..) | E::UnknownEntityReference(..) | E::MalformedEntityReference(_) => {
            in_attributes && text.contains('=')
        }
        _ => false,
    }
}

/// The rows where we refuse what `roxmltree` reads, but for the limits, which no drawn body reaches.
fn is_stricter(ours: &ParseError) -> bool {
    matches!(
        ours.message(),
        "an XML declaration that is not at the start"
            | "declares an encoding other than UTF-8"
            | "a character reference to no XML character"
    ) || ours.message().contains("<:")
        || ours.message().starts_with("</:")
}

/// The text before a place, which counts characters of a line.
fn before(text: &str, place: roxmltree::TextPos) -> &str {
    let line = |n: &u32| usize::try_from(*n).expect("at least 32 bits") - 1;
    let start: usize = text.split_inclusive('\n').take(line(&place.row)).map(str::len).sum();
    let rest = &text[start..];
    let end = rest.char_indices().nth(line(&place.col)).map_or(rest.len(), |(at, _)| at);
    &text[..start + end]
}

/// What XML calls well-formed, whether or not it is a callback.
fn verdict(body: &[u8]) -> Result<(), ParseError> {
    match parse(body, &Limits::default()) {
        Err(e) if e.reason() == Reason::Syntax => Err(e),
        _ => Ok(()),
    }
}

fn agree(body: &[u8]) -> Result<(), TestCaseError> {
    let ours = verdict(body);
    let Ok(text) = std::str::from_utf8(body) else {
        prop_assert!(ours.is_err());
        return Ok(());
    };
    if Format::sniff(body) != Format::Xml {
        return Ok(());
    }
    match Document::parse(text) {
        Err(theirs) if ours.is_ok() => {
            prop_assert!(
                is_documented(text, &ours, &theirs),
                "{:?}: we read it, roxmltree says {}",
                text,
                theirs
            );
        }
        Err(_) => {}
        Ok(_) if ours.as_ref().is_err_and(is_stricter) => {}
        Ok(theirs) => {
            prop_assert!(ours.is_ok(), "{:?}: roxmltree reads it, we say {:?}", text, ours);
            let comparable = !text.contains('\r') && !text.contains("<CosHeaders");
            if let Some(message) = message_of(body).filter(|_| comparable) {
                let element = theirs.root_element().children().find(|node| node.has_tag_name("JobsDetail"));
                let expected =
                    element.and_then(|element| canonical(&tree(element), "Response", "JobsDetail"));
                prop_assert_eq!(message, expected.unwrap_or("{}".to_owned()), "{:?}", text);
            }
        }
    }
    Ok(())
}

fn job(members: Members) -> Tree {
    let job = Tree::Branch([("X".to_owned(), vec![Tree::Branch(members)])].into());
    Tree::Branch([("JobsDetail".to_owned(), vec![job])].into())
}

fn message_of(body: &[u8]) -> Option<String> {
    let callback = parse(body, &Limits::default()).ok()?;
    match normalise(callback) {
        Normalised::Events(events) if events.len() == 1 => String::from_utf8(events[0].data()).ok(),
        _ => None,
    }
}

/// The element as the second parser has read it.
fn tree(element: Node<'_, '_>) -> Tree {
    let text: String = element.children().filter(Node::is_text).filter_map(|node| node.text()).collect();
    let mut members = Members::new();
    for child in element.children().filter(Node::is_element) {
        let name = child.tag_name().name().to_owned();
        members.entry(name).or_default().push(tree(child));
    }
    if members.is_empty() {
        return Tree::Text(text);
    }
    if !text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        members.entry("#text".to_owned()).or_default().push(Tree::Text(text));
    }
    Tree::Branch(members)
}
