//! XML to the wire shape.
//!
//! What a stranger could abuse is not read: no DTD, no entities beyond XML's five, bounded depth and number of
//! elements. Attributes are checked and left out: no callback carries any.

mod grammar;
mod plain;

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, BytesText, Event};

use crate::document::{Document, Open, Value};
use crate::error::ParseError;
use crate::limits::Limits;
use crate::text::{Text, is_blank};
use grammar::{Attributes, is_name};

/// Attributes on one element; Tencent CI writes none. Each is compared with those before it.
const MAX_ATTRIBUTES: usize = 64;

/// The root element of every callback in XML.
const ROOT: &str = "Response";

/// The name under which text beside child elements is kept, as common XML to JSON converters call it.
const MIXED_TEXT: &str = "#text";

/// Reads a document whose root is `Response`.
pub(crate) fn read<'a>(text: &'a str, limits: &Limits) -> Result<Document<'a>, ParseError> {
    match plain::read(text, limits) {
        Some(document) => Ok(document),
        None => read_any(text, limits, ROOT),
    }
}

/// Reads whatever XML allows in an element called `root`, and explains what it does not.
pub(crate) fn read_any<'a>(
    text: &'a str,
    limits: &Limits,
    root: &'static str,
) -> Result<Document<'a>, ParseError> {
    if let Some(at) = forbidden_character(text) {
        return Err(ParseError::syntax(text.as_bytes(), at, "a character that XML does not allow"));
    }
    let mut reading =
        Reading { text, limits, root, open: Vec::with_capacity(8), document: Document::of(text, limits) };
    let mut reader = Reader::from_str(text);
    loop {
        let at = position(reader.buffer_position());
        match reader.read_event() {
            Ok(Event::Eof) => return reading.finish(),
            Ok(event) => reading.event(event, at)?,
            Err(error) => {
                let at = position(reader.error_position());
                return Err(reading.error(at, explain(&error)));
            }
        }
    }
}

struct Reading<'a, 'l> {
    text: &'a str,
    limits: &'l Limits,
    /// The name that the root must have.
    root: &'static str,
    /// The elements that are open, outermost first.
    open: Vec<Element<'a>>,
    document: Document<'a>,
}

struct Element<'a> {
    name: &'a str,
    node: Open,
    text: Cow<'a, str>,
    /// Whether the text is. Asking again with each of its pieces would cost the square of their number.
    is_blank: bool,
}

impl<'a> Reading<'a, '_> {
    fn event(&mut self, event: Event<'a>, at: usize) -> Result<(), ParseError> {
        match event {
            Event::Start(tag) => self.start(&tag, at),
            Event::Empty(tag) => {
                self.start(&tag, at)?;
                self.end();
                Ok(())
            }
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(text) => self.text(&text, at),
            Event::CData(text) => match self.open.is_empty() {
                true => Err(self.error(at, "text outside the root element")),
                false => self.character_data(text.xml10_content(), at),
            },
            Event::GeneralRef(reference) => self.reference(&reference, at),
            Event::Decl(declaration) => self.declaration(&declaration, at),
            Event::Comment(comment) if !grammar::is_comment(&comment) => {
                Err(self.error(at, "a '--' in a comment"))
            }
            Event::PI(instruction) if !grammar::is_instruction(&instruction) => {
                Err(self.error(at, "a processing instruction without a name of its own"))
            }
            Event::DocType(_) => {
                Err(self.error(at, "a DOCTYPE is not accepted: callbacks declare no DTD and no entities"))
            }
            Event::Comment(_) | Event::PI(_) | Event::Eof => Ok(()),
        }
    }

    fn start(&mut self, tag: &BytesStart<'a>, at: usize) -> Result<(), ParseError> {
        if self.open.is_empty() && self.document.root().is_some() {
            return Err(self.error(at, "a second root element"));
        }
        if self.open.len() >= self.limits.max_depth {
            let message = format!("elements nest deeper than {} (max_depth)", self.limits.max_depth);
            return Err(self.error(at, message));
        }
        if self.document.len() >= self.limits.max_nodes {
            let message = format!("more than {} elements (max_nodes)", self.limits.max_nodes);
            return Err(ParseError::oversize(self.text.as_bytes(), at, message));
        }
        // The reader borrows from `self.text`, but its tag hands out names for its own life only.
        let length = tag.name().as_ref().len();
        let name = self.text.get(at + 1..at + 1 + length).filter(|name| is_name(name));
        let Some(name) = name else {
            return Err(self.error(at, "not an element name"));
        };
        self.bounded(name.len(), "an element name", at)?;
        self.attributes(tag, at)?;
        let node = self.document.open(Text::Plain(name), Value::Object);
        self.open.push(Element { name, node, text: Cow::Borrowed(""), is_blank: true });
        Ok(())
    }

    /// The reader has seen to it that this end tag closes the innermost element.
    fn end(&mut self) {
        let Some(Element { node, text, is_blank, .. }) = self.open.pop() else { return };
        if self.document.holds_nothing(&node) {
            self.document.set(&node, Value::Text(Text::any(text)));
        } else if !is_blank {
            self.document.push(Text::Plain(MIXED_TEXT), Value::Text(Text::any(text)));
        }
        self.document.close(node);
    }

    fn text(&mut self, text: &BytesText<'a>, at: usize) -> Result<(), ParseError> {
        match text.find("]]>") {
            Some(end) => Err(self.error(at + end, "a ']]>' in text ends no CDATA section: write ]]&gt;")),
            None => self.character_data(text.xml10_content(), at),
        }
    }

    fn character_data(&mut self, text: Cow<'a, str>, at: usize) -> Result<(), ParseError> {
        let is_blank = is_blank(&text);
        match self.open.last_mut() {
            // The line breaks between pretty-printed children.
            Some(element)
                if is_blank
                    && element.is_blank
                    && !element.text.is_empty()
                    && !self.document.holds_nothing(&element.node) => {}
            Some(element) => {
                element.is_blank &= is_blank;
                match element.text.is_empty() {
                    true => element.text = text,
                    false => element.text.to_mut().push_str(&text),
                }
            }
            None if is_blank => {}
            None => {
                let at = at + text.len() - text.trim_start().len();
                return Err(self.error(at, "text outside the root element"));
            }
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'a>, at: usize) -> Result<(), ParseError> {
        let character = match reference.resolve_char_ref() {
            Ok(Some(character)) if is_xml_character(character) => character,
            Ok(None) => {
                predefined(reference.xml10_content().as_ref()).map_err(|message| self.error(at, message))?
            }
            Ok(Some(_)) | Err(_) => return Err(self.error(at, "a character reference to no XML character")),
        };
        match self.open.last_mut() {
            Some(element) => {
                element.is_blank &= is_blank(character.encode_utf8(&mut [0; 4]));
                element.text.to_mut().push(character);
            }
            None => return Err(self.error(at, "text outside the root element")),
        }
        Ok(())
    }

    fn declaration(&self, declaration: &str, at: usize) -> Result<(), ParseError> {
        if at > 0 {
            return Err(self.error(at, "an XML declaration that is not at the start"));
        }
        let content = declaration.strip_prefix("xml").unwrap_or(declaration);
        match grammar::declared_encoding(content).map_err(|message| self.error(at, message))? {
            None => Ok(()),
            Some(name) if name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii") => {
                Ok(())
            }
            Some(_) => Err(self.error(at, "declares an encoding other than UTF-8")),
        }
    }

    fn attributes(&self, tag: &BytesStart<'a>, at: usize) -> Result<(), ParseError> {
        let mut names = Vec::new();
        for attribute in Attributes(tag.attributes_raw()) {
            if names.len() >= MAX_ATTRIBUTES {
                return Err(self.error(at, format!("more than {MAX_ATTRIBUTES} attributes on an element")));
            }
            let attribute = attribute.map_err(|e| self.error(at, format!("malformed attribute: {e}")))?;
            self.bounded(attribute.name.len(), "an attribute name", at)?;
            self.bounded(attribute.value.len(), "an attribute value", at)?;
            attribute.check_value().map_err(|message| self.error(at, message))?;
            if names.contains(&attribute.name) {
                return Err(self.error(at, format!("malformed attribute: {} twice", shorten(attribute.name))));
            }
            names.push(attribute.name);
        }
        Ok(())
    }

    fn bounded(&self, bytes: usize, what: &str, at: usize) -> Result<(), ParseError> {
        let limit = self.limits.max_name_bytes;
        match bytes > limit {
            true => Err(self.error(at, format!("{what} longer than {limit} bytes (max_name_bytes)"))),
            false => Ok(()),
        }
    }

    fn finish(self) -> Result<Document<'a>, ParseError> {
        if let Some(element) = self.open.last() {
            let message = format!("the body ends inside <{}>: cut off?", shorten(element.name));
            return Err(self.error(self.text.len(), message));
        }
        match self.document.root() {
            Some(root) if *root.name() == self.root => Ok(self.document),
            Some(root) => {
                let name = shorten(root.name());
                Err(ParseError::shape(format!("the root element is <{name}>, not <{}>", self.root)))
            }
            None => Err(self.error(self.text.len(), "no root element: cut off?")),
        }
    }

    fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::syntax(self.text.as_bytes(), at, message)
    }
}

fn predefined(entity: &str) -> Result<char, String> {
    match entity {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        other => {
            Err(format!("&{}; is not one of XML's five entities (lt, gt, amp, apos, quot)", shorten(other)))
        }
    }
}

fn explain(error: &quick_xml::Error) -> String {
    use quick_xml::errors::{Error, IllFormedError};
    match error {
        Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
            format!("</{}> closes <{}>", shorten(found), shorten(expected))
        }
        Error::IllFormed(IllFormedError::UnmatchedEndTag(found)) => {
            format!("</{}> closes nothing", shorten(found))
        }
        other => other.to_string(),
    }
}

/// A name as it can stand in a message: a sender chooses its length.
fn shorten(name: &str) -> &str {
    const LONGEST: usize = 64;
    name.char_indices().nth(LONGEST).map_or(name, |(end, _)| &name[..end])
}

fn forbidden_character(text: &str) -> Option<usize> {
    let control = |b: u8| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
    // Without a branch, the compiler looks at many bytes at a time.
    if text.bytes().fold(false, |found, b| found | control(b)) {
        return text.bytes().position(control);
    }
    // U+FFFE and U+FFFF are the only others that a Rust string can hold; both start with the byte EF.
    text.as_bytes().contains(&0xEF).then(|| text.find(['\u{FFFE}', '\u{FFFF}'])).flatten()
}

fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
