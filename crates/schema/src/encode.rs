//! Canonical JSON: compact, members sorted by name, UTF-8 as it is. And, as all that is left passes by here, what routes it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::canonical::{CanonicalValue, is_left, members};
use crate::document::{Node, Value, is_cos_headers_entry};
use crate::routing::RoutingTexts;
use crate::text::Text;
use crate::timestamp;
use crate::vocabulary::{Meaning, Place, RoutingAttribute, Shape};

/// The canonical bytes of a published element, and what routing and identity look for in it.
pub(crate) fn encode<'a>(element: Node<'_, 'a>, place: Place, found: &mut RoutingTexts<'a>) -> Bytes {
    const TYPICAL_BYTES: usize = 1024;
    let json = Vec::with_capacity(TYPICAL_BYTES);
    let mut encoder = Encoder { json, found, is_typed: place == Place::MODERATION, within: 0 };
    encoder.object(element, place);
    encoder.json.into()
}

/// Under which name text stands that is there in the place of an object; XML's own, for text beside elements.
const TEXT_OF_OBJECT: &[u8] = b"{\"#text\":";

struct Encoder<'a, 'f> {
    json: Vec<u8>,
    found: &'f mut RoutingTexts<'a>,
    /// Whether the types of JSON are the vendor's own. Tasks and workflows come as XML as well, which has none, and must
    /// come out the same: scalars are strings there, and a list of one cannot be told from its element.
    is_typed: bool,
    /// The lists and texts that are open.
    within: usize,
}

impl<'a> Encoder<'a, '_> {
    fn object(&mut self, object: Node<'_, 'a>, place: Place) {
        let documented = place.members();
        if let Some(respelled) = documented.respelled(object) {
            return respelled.root().into_iter().for_each(|object| self.object(object, place));
        }
        let start = self.json.len();
        members(object, |name, nodes| {
            let (meaning, written) = documented.member(name);
            // Nearly all are of this kind.
            if let [node] = nodes
                && !meaning.is_list
                && !node.is_array()
            {
                if is_left(*node, meaning.place) {
                    self.name(name, written);
                    match node.value() {
                        Value::Text(text) => self.scalar(text, meaning),
                        _ => self.one(*node, meaning),
                    }
                }
                return;
            }
            let canonical = CanonicalValue::of(nodes, meaning, self.is_typed);
            if !matches!(canonical, CanonicalValue::Nothing) {
                self.name(name, written);
                self.canonical(&canonical, meaning);
            }
        });
        self.close(start, b"{}");
    }

    fn canonical(&mut self, canonical: &CanonicalValue<'_, 'a>, meaning: Meaning) {
        match canonical {
            CanonicalValue::Nothing => {}
            CanonicalValue::One(node) if meaning.is_list => self.list(std::slice::from_ref(node), meaning),
            CanonicalValue::One(node) => self.one(*node, meaning),
            CanonicalValue::List(nodes) if meaning.is_list || !meaning.is_shaped() => {
                self.list(nodes, meaning);
            }
            // Several where one is documented.
            CanonicalValue::List(nodes) => {
                self.text_of(meaning, |raw| raw.list(nodes, Meaning::plain(Place::RAW)));
            }
        }
    }

    fn list(&mut self, nodes: &[Node<'_, 'a>], meaning: Meaning) {
        let start = self.json.len();
        self.within += 1;
        for node in nodes {
            match meaning.place.is_cos_headers() {
                true => self.cos_headers(*node, meaning.place),
                false => {
                    self.json.push(b',');
                    self.one(*node, meaning.entry());
                }
            }
        }
        self.within -= 1;
        self.close(start, b"[]");
    }

    fn one(&mut self, node: Node<'_, 'a>, meaning: Meaning) {
        match node.value() {
            Value::Text(text) => self.scalar(text, meaning),
            Value::Object if matches!(meaning.shape, Shape::Plain | Shape::Number | Shape::Object) => {
                self.object(node, meaning.place);
            }
            Value::Object => self.text_of(meaning, |raw| raw.object(node, Place::RAW)),
            Value::Array => self.canonical(&CanonicalValue::of(&[node], meaning, self.is_typed), meaning),
            Value::Literal(text) if self.is_typed && !meaning.is_shaped() => {
                self.json.extend_from_slice(text.as_bytes());
                self.note(meaning.attribute, || Cow::Borrowed(text));
            }
            Value::Literal(text) => self.scalar(&Text::Plain(text), meaning),
        }
    }

    #[inline(always)]
    fn scalar(&mut self, text: &Text<'a>, meaning: Meaning) {
        match meaning.shape {
            Shape::Plain | Shape::Text => self.text(text, meaning.attribute),
            Shape::Time => self.time(text, meaning.attribute),
            Shape::Integer => self.integer(text, meaning.attribute),
            Shape::Number => self.number(text, meaning.attribute),
            Shape::Object => self.text_of_object(text, meaning.attribute),
        }
    }

    #[inline(always)]
    fn text(&mut self, text: &Text<'a>, attribute: Option<RoutingAttribute>) {
        text.write(&mut self.json);
        self.note(attribute, || text.to_cow());
    }

    fn number(&mut self, text: &Text<'a>, attribute: Option<RoutingAttribute>) {
        if !is_number(text) {
            return self.text(text, attribute);
        }
        self.json.extend_from_slice(text.as_bytes());
        self.note(attribute, || text.to_cow());
    }

    fn text_of_object(&mut self, text: &Text<'a>, attribute: Option<RoutingAttribute>) {
        self.json.extend_from_slice(TEXT_OF_OBJECT);
        self.text(text, attribute);
        self.json.push(b'}');
    }

    fn integer(&mut self, text: &Text<'a>, attribute: Option<RoutingAttribute>) {
        match integer(text) {
            Some(integer) => {
                self.json.extend_from_slice(integer.as_bytes());
                self.note(attribute, || integer.into_owned().into());
            }
            None => self.text(text, attribute),
        }
    }

    fn time(&mut self, text: &Text<'a>, attribute: Option<RoutingAttribute>) {
        self.json.push(b'"');
        let start = self.json.len();
        if timestamp::push_rfc3339(text, &mut self.json) {
            if let Some(attribute) = attribute
                && self.is_noted(attribute)
                && let Ok(time) = std::str::from_utf8(&self.json[start..])
            {
                self.found.push_time(attribute, time);
            }
            self.json.push(b'"');
        } else {
            self.json.pop();
            text.write(&mut self.json);
        }
    }

    /// What has another shape than is documented of it, as the text of its JSON: nothing is lost, and who reads the
    /// documented shape need not be ready for any other. Written without regard to what is documented within, so that
    /// text stands in no text again.
    #[cold]
    fn text_of(&mut self, meaning: Meaning, write: impl FnOnce(&mut Self)) {
        let start = self.json.len();
        self.within += 1;
        write(self);
        self.within -= 1;
        let text = String::from_utf8(self.json.split_off(start)).unwrap_or_default();
        self.scalar(&Text::any(text), meaning);
    }

    /// To note a routing attribute may take a copy of its text.
    #[inline(always)]
    fn note(&mut self, attribute: Option<RoutingAttribute>, text: impl FnOnce() -> Cow<'a, str>) {
        if let Some(attribute) = attribute
            && self.is_noted(attribute)
        {
            self.found.push(attribute, text());
        }
    }

    /// A routing attribute is what stands alone; only a workflow's tasks are a list of them.
    fn is_noted(&self, attribute: RoutingAttribute) -> bool {
        self.within == 0 || attribute == RoutingAttribute::TaskEndTime
    }

    /// One entry `{Key, Value}`, a map of names to values, or an array of either: all come out as entries.
    fn cos_headers(&mut self, node: Node<'_, 'a>, place: Place) {
        let (value, _) = place.members().member("Value");
        match node.value() {
            Value::Array => node.children().for_each(|item| self.cos_headers(item, place)),
            Value::Object if is_cos_headers_entry(node) => {
                if !node.emptiness().is_nothing {
                    self.json.push(b',');
                    self.object(node, place);
                }
            }
            Value::Object => members(node, |name, values| {
                self.cos_header(name, &CanonicalValue::of(values, value, self.is_typed), value);
            }),
            Value::Text(_) if node.emptiness().is_nothing => {}
            Value::Text(_) | Value::Literal(_) => {
                self.cos_header(&Text::EMPTY, &CanonicalValue::One(node), value);
            }
        }
    }

    fn cos_header(&mut self, key: &Text<'a>, value: &CanonicalValue<'_, 'a>, meaning: Meaning) {
        let (has_key, has_value) = (!key.is_blank(), !matches!(value, CanonicalValue::Nothing));
        if !has_key && !has_value {
            return;
        }
        self.json.push(b',');
        let start = self.json.len();
        if has_key {
            self.json.extend_from_slice(b",\"Key\":");
            key.write(&mut self.json);
        }
        if has_value {
            self.json.extend_from_slice(b",\"Value\":");
            self.canonical(value, meaning);
        }
        self.close(start, b"{}");
    }

    /// Begins a member. A comma is before each; `close` makes a bracket of the first.
    #[inline(always)]
    fn name(&mut self, name: &Text<'a>, written: Option<&str>) {
        match written {
            Some(written) => self.json.extend_from_slice(written.as_bytes()),
            None => {
                self.json.push(b',');
                name.write(&mut self.json);
                self.json.push(b':');
            }
        }
    }

    /// Ends an object or a list that began here.
    fn close(&mut self, start: usize, brackets: &[u8; 2]) {
        match self.json.get_mut(start) {
            Some(comma) => {
                *comma = brackets[0];
                self.json.push(brackets[1]);
            }
            None => self.json.extend_from_slice(brackets),
        }
    }
}

/// An integer that every language's 64 bits hold, as JSON spells it.
fn integer(text: &str) -> Option<Cow<'_, str>> {
    if is_plain_integer(text) {
        return Some(Cow::Borrowed(text));
    }
    let value: i64 = text.trim().parse().ok()?;
    Some(Cow::Owned(value.to_string()))
}

/// The digits that no reader rounds.
const MAX_DIGITS: usize = 18;

fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (digits == "0" || !digits.starts_with('0'))
        && (1..=MAX_DIGITS).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A number as JSON spells it, with or without a fraction.
fn is_number(text: &str) -> bool {
    match text.split_once('.') {
        None => is_plain_integer(text),
        Some((whole, fraction)) => {
            is_plain_integer(whole)
                && (1..=MAX_DIGITS).contains(&fraction.len())
                && fraction.bytes().all(|b| b.is_ascii_digit())
        }
    }
}
