//! A second XML parser, `roxmltree`, decides what ours must accept and what it must have read, by the rules of
//! `tests/fuzz/src/invariants/xml.rs`. The differences, each meant, are the rows of
//! `documented_differences_from_the_second_parser_stand`.

use ci_bridge_schema::Family;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use roxmltree::Document;

use crate::config;
use crate::dress::{whims, xml};
use crate::invariants::message_of;
use crate::invariants::tree::{Members, Tree};
use crate::invariants::xml::verdict;
use crate::model::members;
use crate::mutate::{mutated, mutations};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn xml_is_read_as_a_second_parser_reads_it(members in members(), mut whims in whims()) {
        let body = xml(&job(members), &mut whims);
        agree(&body)?;
        prop_assert!(message_of(&body, Family::Task).is_some());
    }

    #[test]
    fn damaged_xml_gets_the_second_parsers_verdict(members in members(), mut whims in whims(), mutations in mutations()) {
        agree(&mutated(xml(&job(members), &mut whims), &mutations))?;
    }

    #[test]
    fn any_tokens_in_an_element_get_the_second_parsers_verdict(tokens in vec(select(&TOKENS[..]), 0..8)) {
        agree(format!("<Response><JobsDetail><Tag>T</Tag><X>{}</X></JobsDetail></Response>", tokens.concat()).as_bytes())?;
    }

    #[test]
    fn any_tokens_in_a_tag_get_the_second_parsers_verdict(tokens in vec(select(&IN_TAG[..]), 0..6)) {
        agree(format!("<Response><JobsDetail><Tag>T</Tag><X{}>1</X></JobsDetail></Response>", tokens.concat()).as_bytes())?;
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
        // Namespaces are not read: a colon is a letter like others.
        (within("<a:X>1</a:X>"), true, false),
        (within("<X a:b='1'>1</X>"), true, false),
        // `roxmltree` takes any word for an instruction's name, and asks little of a declaration.
        (within("<?XML a?>"), false, true),
        (within("<?a\"b?>"), false, true),
        (format!("<?xml version='1.'?>{}", within("")), false, true),
        (format!("<?xml?>{}", within("")), false, true),
        (format!("{}<?xml?>", within("")), false, true),
        // Read as UTF-8, it would come out as other text than was meant.
        (format!("<?xml version='1.0' encoding='GBK'?>{}", within("")), false, true),
        // `roxmltree` reads U+FFFD for it, in a text.
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

/// What XML forbids although it could be read. Each was, once.
#[test]
fn what_is_not_well_formed_is_refused() {
    let within = |element: &str| format!("<Response><JobsDetail>{element}</JobsDetail></Response>");
    let declared = |declaration: &str| format!("{declaration}{}", within(""));
    let bodies = [
        within("<X>]]></X>"),
        within("<X>a]]]>b</X>"),
        within("<X>&amp;]]></X>"),
        within("<X><!-- a -- b --></X>"),
        within("<X><!-- a ---></X>"),
        within("<X><?1?></X>"),
        within("<X><?XML a?></X>"),
        within("<X\u{D7}>1</X\u{D7}>"),
        within("<X 1='2'>1</X>"),
        within("<X /a='1'>1</X>"),
        within("<X a\\='1'>1</X>"),
        within("<X a='1'b='2'>1</X>"),
        within("<X a='1' a='2'>1</X>"),
        within("<X a='&x;'>1</X>"),
        within("<X a='&'>1</X>"),
        within("<X a='b & c;'>1</X>"),
        within("<X a='&#0;'>1</X>"),
        declared("\n<?xml version='1.0'?>"),
        declared("<?xml version='1.0'?><?xml version='1.0'?>"),
        declared("<?xml vision='1.0'?>"),
        declared("<?xml version='2.0'?>"),
        declared("<?xml version='1.'?>"),
        declared("<?xml version=1.0?>"),
        declared("<?xml encoding='UTF-8' version='1.0'?>"),
        declared("<?xml encoding='UTF-8'?>"),
        declared("<?xml version='1.0'encoding='UTF-8'?>"),
        declared("<?xml version='1.0' standalone='maybe'?>"),
        declared("<?xml version='1.0' encoding='UTF-8' x='y'?>"),
    ];
    for body in bodies {
        assert!(verdict(body.as_bytes()).is_err(), "{body}");
        agree(body.as_bytes()).unwrap();
    }
    let good = [
        within("<X>]]&gt; ]] > ]&#93;></X>"),
        within("<X><![CDATA[]]]]><![CDATA[>]]></X>"),
        within("<X a='&amp;&#65;&#x41;&lt;'  b = \"'\" >1</X>"),
        within("<X><!----><!-- - --><?p?><?p  x?></X>"),
        within("<\u{6570}\u{636E}>1</\u{6570}\u{636E}>"),
        declared("<?xml version = \"1.0\"\n encoding='us-ascii' standalone='no' ?>\n"),
        declared("<?xml version='1.1'?>"),
        declared("\u{FEFF}<?xml version='1.0'?>"),
    ];
    for body in good {
        assert!(verdict(body.as_bytes()).is_ok(), "{body}");
    }
}

/// XML has a lone carriage return read as a line feed; `roxmltree` forgets that before a reference.
#[test]
fn a_carriage_return_before_a_reference_ends_a_line() {
    let body = "<Response><JobsDetail><Tag>a\r&amp;b\r\n&amp;</Tag></JobsDetail></Response>";
    assert_eq!(message_of(body.as_bytes(), Family::Task).as_deref(), Some("{\"Tag\":\"a\\n&b\\n&\"}"));
}

fn agree(body: &[u8]) -> Result<(), TestCaseError> {
    crate::shown(body, crate::invariants::xml::agree(body))
}

fn job(members: Members) -> Tree {
    let tag = ("Tag".to_owned(), vec![Tree::text("T")]);
    let job = Tree::Branch([tag, ("X".to_owned(), vec![Tree::Branch(members)])].into());
    Tree::Branch([("JobsDetail".to_owned(), vec![job])].into())
}
