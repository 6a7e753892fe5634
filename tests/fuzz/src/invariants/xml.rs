//! A second XML parser, `roxmltree`, decides what ours must accept and what it must have read.
//!
//! The differences, each meant, are the rows of `documented_differences_from_the_second_parser_stand` in
//! `crates/schema/tests/properties/xml_reader.rs`.

use ci_bridge_schema::{Family, Format, Limits, Normalised, ParseError, Reason, normalise, parse};
use roxmltree::{Document, Node};
use serde_json::Value;

use super::tree::{Members, Tree, canonical};
use super::{hold, message_of};

/// Whether we may read what they refuse: namespaces alone are not read, so that a colon is a letter like others.
fn is_documented(text: &str, theirs: &roxmltree::Error) -> bool {
    use roxmltree::Error as E;
    match theirs {
        E::UnknownNamespace(..)
        | E::DuplicatedNamespace(..)
        | E::InvalidElementNamePrefix(_)
        | E::InvalidXmlPrefixUri(_)
        | E::UnexpectedXmlUri(_)
        | E::UnexpectedXmlnsUri(_) => true,
        E::InvalidName(place) => {
            let after = &text[before(text, *place).len()..];
            after.split(['>', '/', ' ', '=']).next().is_some_and(|name| name.contains(':'))
        }
        _ => false,
    }
}

/// The rows where we refuse what `roxmltree` reads.
fn is_stricter(ours: &ParseError) -> bool {
    matches!(
        ours.message(),
        "an XML declaration that is not at the start"
            | "an XML declaration that is not version, encoding and standalone, in this order"
            | "declares an encoding other than UTF-8"
            | "a processing instruction without a name of its own"
            | "a character reference to no XML character"
    ) || ours.message().contains(" longer than ")
        || ours.message().starts_with("elements nest deeper than ")
        || ours.message().starts_with("more than ")
        || ours.message().contains("<:")
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
pub(crate) fn verdict(body: &[u8]) -> Result<(), ParseError> {
    match parse(body, &Limits::default()) {
        Err(e) if e.reason() == Reason::Syntax => Err(e),
        _ => Ok(()),
    }
}

/// The verdict of both parsers, and the values of what both accept.
pub(crate) fn agree(body: &[u8]) -> Result<(), String> {
    let ours = verdict(body);
    if ours.is_ok() {
        is_read_alike_with_a_comment(body)?;
    }
    let Ok(text) = std::str::from_utf8(body) else {
        hold!(ours.is_err(), "read, although it is not UTF-8");
        return Ok(());
    };
    if Format::sniff(body) != Format::Xml {
        return Ok(());
    }
    match Document::parse(text) {
        Err(theirs) if ours.is_ok() => {
            hold!(is_documented(text, &theirs), "we read it, roxmltree says {theirs}");
        }
        Err(_) => {}
        Ok(_) if ours.as_ref().is_err_and(is_stricter) => {}
        Ok(theirs) => {
            hold!(ours.is_ok(), "roxmltree reads it, we say {ours:?}");
            let is_plain = !["\r", "<CosHeaders", "<WorkflowExecution", "xmlns"]
                .iter()
                .any(|special| text.contains(special));
            if let Some(message) = message_of(body, Family::Task).filter(|_| is_plain) {
                let element =
                    theirs.root_element().children().find(|node| node.tag_name().name() == "JobsDetail");
                let expected = element.and_then(|element| canonical(&tree(element), &["JobsDetail"]));
                let expected = expected.unwrap_or("{}".to_owned());
                let same = message == expected || comparable(&message) == comparable(&expected);
                hold!(same, "we read {message}, roxmltree reads {expected}");
            }
        }
    }
    Ok(())
}

/// A comment after the root says nothing. It keeps the reader of the vendor's own XML from the body: the general one reads
/// the same.
fn is_read_alike_with_a_comment(body: &[u8]) -> Result<(), String> {
    if Format::sniff(body) != Format::Xml {
        return Ok(());
    }
    let with_comment = [body, b"<!-- -->"].concat();
    let (plain, general) = (messages_of(body), messages_of(&with_comment));
    hold!(plain == general, "read as {plain:?}, and with a comment after it as {general:?}");
    Ok(())
}

/// Every message, or why there is none.
fn messages_of(body: &[u8]) -> Result<Vec<Vec<u8>>, ParseError> {
    Ok(match normalise(parse(body, &Limits::default())?) {
        Normalised::Events(events) => events.iter().map(|event| event.data().to_vec()).collect(),
        Normalised::Probe => Vec::new(),
    })
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

/// A message without what is not the parser's business: which times are respelled, which numbers are bare, and the white
/// space of text that stands beside elements.
fn comparable(message: &str) -> Option<Value> {
    let mut message: Value = serde_json::from_str(message).ok()?;
    level(&mut message);
    Some(message)
}

fn level(value: &mut Value) {
    const TIMES: [&str; 4] = ["CreationTime", "CreateTime", "StartTime", "EndTime"];
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !TIMES.contains(&name.as_str()));
            for (name, member) in members {
                level(member);
                if let Value::String(text) = member
                    && name == "#text"
                {
                    text.retain(|c| !c.is_ascii_whitespace());
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(level),
        Value::Number(number) => *value = Value::String(number.to_string()),
        // What has another shape than is documented of it is the text of its JSON.
        Value::String(text) => {
            if let Ok(mut within @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                level(&mut within);
                *value = within;
            }
        }
        _ => {}
    }
}
