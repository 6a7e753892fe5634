//! The canonical shape of a node: what is left of it when empty nodes are gone, and lists are lists.
//!
//! In XML a list is repeated elements, and a list of one cannot be told from its element; in JSON a name may be repeated,
//! which can mean a list at best. Both come to the same here, for the bytes that are published and for the facts that
//! route them.

use smallvec::SmallVec;

use crate::document::{Children, Node, Value};
use crate::text::Text;
use crate::vocabulary::{Meaning, Place};

/// What is left of the nodes that share a name.
pub(crate) enum Remains<'d, 'a> {
    Nothing,
    One(Node<'d, 'a>),
    List(SmallVec<[Node<'d, 'a>; USUAL_LIST]>),
}

/// How many entries of a list, and members of an object, are looked at without asking for memory.
const USUAL_LIST: usize = 4;
const USUAL_OBJECT: usize = 16;

impl<'d, 'a> Remains<'d, 'a> {
    /// Of the nodes of one name, or of an array. A list of one stays a list where the vendor documents one, and where
    /// JSON's types are the vendor's own (`is_typed`) and nothing else is documented; there, one that is not in a list is
    /// written as a list as well.
    pub(crate) fn of(nodes: &[Node<'d, 'a>], meaning: Meaning, is_typed: bool) -> Self {
        let is_left = |node: &Node<'d, 'a>| !node.emptiness().at(meaning.place);
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
pub(crate) fn members<'d, 'a>(
    object: Node<'d, 'a>,
    mut visit: impl FnMut(&'d Text<'a>, &[Node<'d, 'a>]),
) {
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

/// The first bytes of a name as a number, which is less where the name is: telling most names apart costs one comparison.
#[inline]
pub(crate) fn beginning(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let at = |place: usize| u64::from(bytes[place]) << (56 - 8 * place);
    if let Some(all) = bytes.first_chunk() {
        return u64::from_be_bytes(*all);
    }
    // Short names are the most frequent. Their bytes are read twice rather than one by one: the same bits, once more.
    match (bytes.first_chunk().copied(), bytes.last_chunk().copied()) {
        (Some(first), Some(last)) => {
            let last = u64::from(u32::from_be_bytes(last)) << (64 - 8 * bytes.len());
            u64::from(u32::from_be_bytes(first)) << 32 | last
        }
        _ if bytes.is_empty() => 0,
        _ => at(0) | at(bytes.len() / 2) | at(bytes.len() - 1),
    }
}

/// Whether anything is left of a node. Noted when it is read, because each level of a body asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Emptiness {
    /// Nothing but empty texts is within it.
    pub(crate) is_nothing: bool,
    /// The same for a node of `CosHeaders`, where a name is a value of its own, left without another too.
    is_nothing_of_cos_headers: bool,
}

impl Emptiness {
    /// Of a node that holds no other.
    #[inline]
    pub(crate) fn of(value: &Value<'_>) -> Self {
        let is_nothing = match value {
            Value::Text(text) => text.is_blank(),
            Value::Literal(_) => false,
            Value::Object | Value::Array => true,
        };
        Self { is_nothing, is_nothing_of_cos_headers: is_nothing }
    }

    pub(crate) fn of_array(items: &Children<'_, '_>) -> Self {
        Self {
            is_nothing: items.clone().all(|item| item.emptiness().is_nothing),
            is_nothing_of_cos_headers: items.clone().all(|item| item.emptiness().is_nothing_of_cos_headers),
        }
    }

    pub(crate) fn of_object(members: &Children<'_, '_>) -> Self {
        let is_nothing = |member: &Node<'_, '_>| match *member.name() == "CosHeaders" {
            true => member.emptiness().is_nothing_of_cos_headers,
            false => member.emptiness().is_nothing,
        };
        let all_nothing = members.clone().all(|member| is_nothing(&member));
        Self {
            is_nothing: all_nothing,
            is_nothing_of_cos_headers: all_nothing
                && (is_entry(members.clone()) || members.clone().all(|member| member.name().is_blank())),
        }
    }

    /// At this place.
    fn at(self, place: Place) -> bool {
        if place.is_cos_headers() { self.is_nothing_of_cos_headers } else { self.is_nothing }
    }
}

/// Whether an object of `CosHeaders` is one `{Key, Value}`, and not moderation's map of names to values.
pub(crate) fn is_cos_headers_entry(object: Node<'_, '_>) -> bool {
    is_entry(object.children())
}

fn is_entry(mut members: Children<'_, '_>) -> bool {
    members.all(|member| *member.name() == "Key" || *member.name() == "Value")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::beginning;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_name_begins_as_it_sorts(a in "[\u{0}ab数]{0,10}", b in "[\u{0}ab数]{0,10}") {
            let (less, more) = if a <= b { (a, b) } else { (b, a) };
            prop_assert!(beginning(&less) <= beginning(&more));
        }
    }
}
