//! Canonical JSON: compact, members sorted by name, UTF-8 as it is. And, as all that is left passes by here, the facts.

use std::borrow::Cow;

use crate::canonical::{Remains, is_cos_headers_entry, members};
use crate::document::{Node, Value};
use crate::facts::Found;
use crate::text::Text;
use crate::timestamp;
use crate::vocabulary::{Fact, Meaning, Place, Shape};

/// The canonical bytes of a published element, and what routing and identity look for in it.
pub(crate) fn encode<'a>(element: Node<'_, 'a>, place: Place) -> (Vec<u8>, Found<'a>) {
    const TYPICAL_BYTES: usize = 1024;
    let mut encoder = Encoder { json: Vec::with_capacity(TYPICAL_BYTES), found: Found::default(), lists: 0 };
    encoder.object(element, place);
    (encoder.json, encoder.found)
}

struct Encoder<'a> {
    json: Vec<u8>,
    found: Found<'a>,
    /// The lists that are open.
    lists: usize,
}

impl<'a> Encoder<'a> {
    fn object(&mut self, object: Node<'_, 'a>, place: Place) {
        let mut separator = b'{';
        members(object, place, |name, nodes| {
            let Meaning { shape, place, fact } = place.member(name);
            // Nearly all are of this kind, and either nothing is left of it or the text.
            if let [node] = nodes
                && let Value::Text(text) = node.value()
                && shape != Shape::List
            {
                if !node.emptiness().is_nothing {
                    self.name(&mut separator, name);
                    self.scalar(text, shape, fact);
                }
                return;
            }
            let remains = Remains::of(nodes, shape, place);
            if !matches!(remains, Remains::Nothing) {
                self.name(&mut separator, name);
                self.remains(&remains, shape, place, fact);
            }
        });
        self.close(separator, b"{}");
    }

    fn remains(&mut self, remains: &Remains<'_, 'a>, shape: Shape, place: Place, fact: Option<Fact>) {
        match remains {
            Remains::Nothing => {}
            Remains::One(node) if shape != Shape::List => {
                self.one(*node, shape, place, fact);
            }
            Remains::One(node) => self.list(std::slice::from_ref(node), shape, place),
            Remains::List(nodes) => self.list(nodes, shape, place),
        }
    }

    fn list(&mut self, nodes: &[Node<'_, 'a>], shape: Shape, place: Place) {
        let inner = if shape == Shape::List { Shape::Plain } else { shape };
        let mut separator = b'[';
        self.lists += 1;
        for node in nodes {
            match place {
                Place::CosHeaders => self.cos_headers(*node, &mut separator),
                _ => {
                    self.item(&mut separator);
                    self.one(*node, inner, place, None);
                }
            }
        }
        self.lists -= 1;
        self.close(separator, b"[]");
    }

    fn one(&mut self, node: Node<'_, 'a>, shape: Shape, place: Place, fact: Option<Fact>) {
        match node.value() {
            Value::Text(text) => self.scalar(text, shape, fact),
            Value::Literal(text) if place.is_typed() => {
                self.json.extend_from_slice(text.as_bytes());
                self.note(fact, Cow::Borrowed(text));
            }
            Value::Literal(text) => self.scalar(&Text::Plain(text), shape, fact),
            Value::Object => self.object(node, place),
            Value::Array => self.remains(&Remains::of(&[node], shape, place), shape, place, fact),
        }
    }

    fn scalar(&mut self, text: &Text<'a>, shape: Shape, fact: Option<Fact>) {
        match shape {
            Shape::Integer if is_integer(text) => self.json.extend_from_slice(text.as_bytes()),
            Shape::Time => {
                let time = timestamp::to_rfc3339(text);
                time.write(&mut self.json);
                return self.note(fact, time.into_cow());
            }
            _ => text.write(&mut self.json),
        }
        // To note it may take a copy.
        if fact.is_some() {
            self.note(fact, text.to_cow());
        }
    }

    /// A fact is what stands alone; only a workflow's tasks are a list of them.
    fn note(&mut self, fact: Option<Fact>, text: Cow<'a, str>) {
        if let Some(fact) = fact.filter(|fact| self.lists == 0 || *fact == Fact::TaskEndTime) {
            self.found.push(fact, text);
        }
    }

    /// One entry `{Key, Value}`, a map of names to values, or an array of either: all come out as entries.
    fn cos_headers(&mut self, node: Node<'_, 'a>, separator: &mut u8) {
        match node.value() {
            Value::Array => node.children().for_each(|item| self.cos_headers(item, separator)),
            Value::Object if is_cos_headers_entry(node) => {
                if !node.emptiness().is_nothing {
                    self.item(separator);
                    self.object(node, Place::Elsewhere);
                }
            }
            Value::Object => {
                members(node, Place::Elsewhere, |name, values| self.cos_header(name, values, separator));
            }
            Value::Text(_) if node.emptiness().is_nothing => {}
            Value::Text(_) | Value::Literal(_) => {
                self.item(separator);
                self.one(node, Shape::Plain, Place::Elsewhere, None);
            }
        }
    }

    fn cos_header(&mut self, key: &Text<'a>, values: &[Node<'_, 'a>], separator: &mut u8) {
        let value = Remains::of(values, Shape::Plain, Place::Elsewhere);
        let (has_key, has_value) = (!key.is_blank(), !matches!(value, Remains::Nothing));
        if !has_key && !has_value {
            return;
        }
        self.item(separator);
        self.json.push(b'{');
        if has_key {
            self.json.extend_from_slice(b"\"Key\":");
            key.write(&mut self.json);
        }
        if has_value {
            self.json.extend_from_slice(if has_key { b",\"Value\":" } else { b"\"Value\":" });
            self.remains(&value, Shape::Plain, Place::Elsewhere, None);
        }
        self.json.push(b'}');
    }

    /// Begins a further member: after the bracket, or a comma.
    fn name(&mut self, separator: &mut u8, name: &Text<'a>) {
        self.item(separator);
        name.write(&mut self.json);
        self.json.push(b':');
    }

    /// Begins a further item: after the bracket, or a comma.
    fn item(&mut self, separator: &mut u8) {
        self.json.push(std::mem::replace(separator, b','));
    }

    /// Ends an object or a list; without members it has not been begun.
    fn close(&mut self, separator: u8, brackets: &[u8; 2]) {
        let is_empty = separator == brackets[0];
        self.json.extend_from_slice(if is_empty { brackets } else { &brackets[1..] });
    }
}

/// An integer as JSON spells it, within what every reader's 64-bit integer holds.
fn is_integer(text: &str) -> bool {
    const MAX_DIGITS: usize = 18;
    let digits = text.strip_prefix('-').unwrap_or(text);
    (digits == "0" || !digits.starts_with('0'))
        && (1..=MAX_DIGITS).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
}
