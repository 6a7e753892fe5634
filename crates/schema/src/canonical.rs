//! The canonical shape of a node: what is left of it when empty nodes are gone, and lists are lists.
//!
//! In XML a list is repeated elements, and a list of one cannot be told from its element; in JSON a name may be repeated,
//! which can mean a list at best. Both come to the same here, for the bytes that are published and for the facts that
//! route them.

use crate::document::{Node, Value};
use crate::text::Text;
use crate::vocabulary::{Place, Shape};

/// What is left of the nodes that share a name.
pub(crate) enum Left<'d, 'a> {
    Nothing,
    One(Node<'d, 'a>),
    List(Vec<Node<'d, 'a>>),
}

impl<'d, 'a> Left<'d, 'a> {
    /// Of the nodes of one name, or of an array. A list of one stays a list where the vendor documents one, and where
    /// JSON's types are the vendor's own.
    pub(crate) fn of(nodes: &[Node<'d, 'a>], shape: Shape, place: Place) -> Self {
        let is_left = |node: &Node<'d, 'a>| !is_nothing(*node, place == Place::CosHeaders);
        let mut items: Vec<_> = match nodes {
            [array] if array.is_array() => array.children().filter(is_left).collect(),
            [node] if is_left(node) => return Self::One(*node),
            several => several.iter().copied().filter(is_left).collect(),
        };
        match items.len() {
            0 => Self::Nothing,
            1 if shape != Shape::List && !place.is_typed() => items.pop().map_or(Self::Nothing, Self::One),
            _ => Self::List(items),
        }
    }
}

/// Calls `visit` with the members of each name, by name. Most objects of the vendor's XML come sorted, each name once.
#[inline]
pub(crate) fn members<'d, 'a>(
    object: Node<'d, 'a>,
    place: Place,
    mut visit: impl FnMut(&'d Text<'a>, &[Node<'d, 'a>]),
) {
    let name_of = |member: &Node<'d, 'a>| place.canonical_name(member.name());
    let mut sorted_up_to = None;
    let is_sorted = object.children().all(|member| {
        let name = name_of(&member);
        let key = (beginning(name), name);
        sorted_up_to.replace(key).is_none_or(|before: (u64, &Text<'_>)| {
            before.0 < key.0 || before.0 == key.0 && **before.1 < **key.1
        })
    });
    if is_sorted {
        object.children().for_each(|member| visit(name_of(&member), &[member]));
        return;
    }
    let mut members: Vec<_> = object.children().map(|member| (beginning(name_of(&member)), member)).collect();
    // Where two spellings are one name, the order must not tell how the body was written. Stable: the nodes of one name
    // stay in theirs.
    members.sort_by(|(a_begins, a), (b_begins, b)| {
        a_begins.cmp(b_begins).then_with(|| (&**name_of(a), &**a.name()).cmp(&(&**name_of(b), &**b.name())))
    });
    for same in members.chunk_by(|(_, a), (_, b)| name_of(a) == name_of(b)) {
        match same {
            [(_, member)] => visit(name_of(member), &[*member]),
            several => {
                let several: Vec<_> = several.iter().map(|(_, member)| *member).collect();
                visit(name_of(&several[0]), &several);
            }
        }
    }
}

/// The first bytes of a name as a number, which is less where the name is: telling most names apart costs one comparison.
#[inline]
fn beginning(name: &str) -> u64 {
    match name.as_bytes().first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => name.bytes().fold(0, |key, byte| key << 8 | u64::from(byte)) << (64 - 8 * name.len().max(1)),
    }
}

/// Whether nothing but empty texts is within it. A name of `CosHeaders` is a value of its own: it is left without one too.
pub(crate) fn is_nothing(node: Node<'_, '_>, is_cos_headers: bool) -> bool {
    match node.value() {
        Value::Text(text) => text.is_blank(),
        Value::Literal(_) => false,
        Value::Array => node.children().all(|item| is_nothing(item, is_cos_headers)),
        Value::Object => {
            let names_count = is_cos_headers && !is_cos_headers_entry(node);
            node.children().all(|member| {
                let name = member.name();
                (!names_count || name.is_blank()) && is_nothing(member, **name == *"CosHeaders")
            })
        }
    }
}

/// Whether an object of `CosHeaders` is one `{Key, Value}`, and not moderation's map of names to values.
pub(crate) fn is_cos_headers_entry(object: Node<'_, '_>) -> bool {
    object.children().all(|member| matches!(&**member.name(), "Key" | "Value"))
}
