//! The canonical shape of a node: what is left of it when empty nodes are gone, and lists are lists.
//!
//! In XML a list is repeated elements, and a list of one cannot be told from its element; in JSON a name may be repeated,
//! which can mean a list at best. Both come to the same here, for the bytes that are published and for the attributes that
//! route them.

use smallvec::SmallVec;

use crate::document::Node;
use crate::text::{Text, beginning};
use crate::vocabulary::{Meaning, Place};

/// What is left of the nodes that share a name.
pub(crate) enum CanonicalValue<'d, 'a> {
    Nothing,
    One(Node<'d, 'a>),
    List(SmallVec<[Node<'d, 'a>; USUAL_LIST]>),
}

/// How many entries of a list, and members of an object, are looked at without asking for memory.
const USUAL_LIST: usize = 4;
const USUAL_OBJECT: usize = 16;

impl<'d, 'a> CanonicalValue<'d, 'a> {
    /// Of the nodes of one name, or of an array. A list of one stays a list where the vendor documents one, and where
    /// JSON's types are the vendor's own (`is_typed`) and nothing else is documented; there, one that is not in a list is
    /// written as a list as well.
    pub(crate) fn of(nodes: &[Node<'d, 'a>], meaning: Meaning, is_typed: bool) -> Self {
        let is_left = |node: &Node<'d, 'a>| is_left(*node, meaning.place);
        let mut items: SmallVec<[_; USUAL_LIST]> = match nodes {
            [array] if array.is_array() => array.children().filter(is_left).collect(),
            [node] => return if is_left(node) { Self::One(*node) } else { Self::Nothing },
            several => several.iter().copied().filter(is_left).collect(),
        };
        let stays_list = meaning.is_list || is_typed && !meaning.is_shaped();
        match items.len() {
            0 => Self::Nothing,
            1 if !stays_list => items.pop().map_or(Self::Nothing, Self::One),
            _ => Self::List(items),
        }
    }
}

/// Calls `visit` with the members of each name, by name. Most objects of the vendor's XML come sorted, each name once.
#[inline]
pub(crate) fn members<'d, 'a>(object: Node<'d, 'a>, mut visit: impl FnMut(&'d Text<'a>, &[Node<'d, 'a>])) {
    let key = |member: Node<'d, 'a>| (beginning(member.name()), &**member.name());
    if object.children().map(key).is_sorted_by(|a, b| a < b) {
        object.children().for_each(|member| visit(member.name(), &[member]));
        return;
    }
    let mut members: SmallVec<[_; USUAL_OBJECT]> = SmallVec::new();
    object.children().for_each(|member| members.push((beginning(member.name()), member)));
    // Stable: the nodes of one name stay in their order.
    members.sort_by(|(a_begins, a), (b_begins, b)| {
        a_begins.cmp(b_begins).then_with(|| (**a.name()).cmp(&**b.name()))
    });
    let is_same = |(a_begins, a): &(u64, Node<'_, '_>), (b_begins, b): &(u64, Node<'_, '_>)| {
        a_begins == b_begins && a.name() == b.name()
    };
    for same in members.chunk_by(is_same) {
        match same {
            [(_, member)] => visit(member.name(), &[*member]),
            several => {
                let several: SmallVec<[_; USUAL_LIST]> = several.iter().map(|(_, member)| *member).collect();
                visit(several[0].name(), &several);
            }
        }
    }
}

/// Whether anything is left of a node at this place. What is nothing among `CosHeaders` is nothing anywhere.
#[inline]
pub(crate) fn is_left(node: Node<'_, '_>, place: Place) -> bool {
    let emptiness = node.emptiness();
    !emptiness.is_nothing || place.is_cos_headers() && !emptiness.is_nothing_of_cos_headers
}
