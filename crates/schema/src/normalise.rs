//! The one crossing from the wire shape to the domain shape.
//!
//! Empty nodes go, documented lists become lists, times become RFC 3339, scalars that XML cannot type become
//! strings: XML and JSON of the same callback end as the same tree, and the result normalises to itself.

use std::borrow::Cow;

use crate::event::Event;
use crate::family::Family;
use crate::moderation;
use crate::parse::Callback;
use crate::timestamp;
use crate::tree::{Member, Node, Object, is_blank};
use crate::vocabulary::{Place, Shape};

/// What a callback comes to.
#[derive(Debug)]
pub enum Normalised<'a> {
    /// The console's test of a moderation URL: answer 200, publish nothing.
    Probe,
    /// One event a job, in the callback's order; at least one.
    Events(Vec<Event<'a>>),
}

/// Turns a callback into events in the canonical shape.
#[must_use]
pub fn normalise(callback: Callback<'_>) -> Normalised<'_> {
    let Callback { family, event, error, elements } = callback;
    let place = match family {
        Family::Probe => return Normalised::Probe,
        Family::Task => Place::Job,
        Family::Workflow => Place::Workflow,
        Family::ModerationDetail | Family::ModerationSimple => Place::Moderation,
    };
    let failed = error.is_some();
    let mut error = error;
    let events = elements.into_iter().map(|element| {
        let element = match family {
            Family::ModerationSimple => moderation::in_detail_names(element, error.take()),
            _ => element,
        };
        Event { family, name: event.clone(), failed, element: tidy_object(element, place) }
    });
    Normalised::Events(events.collect())
}

fn tidy_object(object: Object<'_>, place: Place) -> Object<'_> {
    let members = object.into_members();
    let respelled = members.iter().any(|(name, _)| place.spelling(name).is_some());
    let members = if respelled { respell(members, place) } else { members };
    let tidy = members.into_iter().filter_map(|(name, node)| {
        let (shape, inner) = place.member(&name);
        tidy(node, shape, inner).map(|node| (name, node))
    });
    Object::gather(tidy.collect())
}

/// The node in its canonical shape; `None` when nothing is left of it.
fn tidy(node: Node<'_>, shape: Shape, place: Place) -> Option<Node<'_>> {
    let tidied = match node {
        Node::Text(text) if is_blank(&text) => return None,
        Node::Text(text) => scalar(text, shape),
        Node::Literal(text) if place.is_typed() => Node::Literal(text),
        Node::Literal(text) => scalar(text, shape),
        Node::Object(object) if place == Place::CosHeaders => return cos_headers(object),
        Node::Object(object) => Node::Object(tidy_object(object, place)),
        Node::Array(items) => return list(items, shape, place),
    };
    let left = !matches!(&tidied, Node::Object(object) if object.is_empty());
    left.then(|| match shape {
        Shape::List => Node::Array(vec![tidied]),
        _ => tidied,
    })
}

fn scalar(text: Cow<'_, str>, shape: Shape) -> Node<'_> {
    match (shape, text) {
        (Shape::Time, text) => Node::Text(timestamp::to_rfc3339(text)),
        (Shape::Integer, text) if is_integer(&text) => Node::Literal(text),
        (_, text) => Node::Text(text),
    }
}

fn list(items: Vec<Node<'_>>, shape: Shape, place: Place) -> Option<Node<'_>> {
    let inner = match shape {
        Shape::List => Shape::Plain,
        other => other,
    };
    let mut tidied = Vec::with_capacity(items.len());
    for item in items {
        match tidy(item, inner, place) {
            // A map of CosHeaders gives several entries.
            Some(Node::Array(entries)) if place == Place::CosHeaders => tidied.extend(entries),
            Some(node) => tidied.push(node),
            None => {}
        }
    }
    match tidied.len() {
        0 => None,
        1 if shape != Shape::List && !place.is_typed() => tidied.pop(),
        _ => Some(Node::Array(tidied)),
    }
}

/// One `{Key, Value}` entry, or moderation's map of names to values: both come out as a list of entries.
fn cos_headers(object: Object<'_>) -> Option<Node<'_>> {
    let is_entry = |(name, _): &Member<'_>| matches!(name.as_ref(), "Key" | "Value");
    let entries = match object.iter().all(is_entry) {
        true => vec![Node::Object(tidy_object(object, Place::Elsewhere))],
        false => object.into_members().into_iter().map(entry).collect(),
    };
    let entries: Vec<_> =
        entries.into_iter().filter(|node| !matches!(node, Node::Object(o) if o.is_empty())).collect();
    (!entries.is_empty()).then_some(Node::Array(entries))
}

fn entry<'a>((key, value): Member<'a>) -> Node<'a> {
    let key = tidy(Node::Text(key), Shape::Plain, Place::Elsewhere).map(|key| (Cow::Borrowed("Key"), key));
    let value = tidy(value, Shape::Plain, Place::Elsewhere).map(|value| (Cow::Borrowed("Value"), value));
    Node::Object(Object::gather(key.into_iter().chain(value).collect()))
}

fn respell<'a>(members: Vec<Member<'a>>, place: Place) -> Vec<Member<'a>> {
    let respelled = members.into_iter().map(|(name, node)| match place.spelling(&name) {
        Some(name) => (Cow::Borrowed(name), node),
        None => (name, node),
    });
    Object::gather(respelled.collect()).into_members()
}

/// An integer as JSON spells it, within what every reader's 64-bit integer holds.
fn is_integer(text: &str) -> bool {
    const MAX_DIGITS: usize = 18;
    let digits = text.strip_prefix('-').unwrap_or(text);
    (digits == "0" || !digits.starts_with('0'))
        && (1..=MAX_DIGITS).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
}
