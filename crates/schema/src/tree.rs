//! The wire shape: one tree for both encodings, borrowed from the body.
//!
//! A serde type cannot serve both: a list is repeated elements in XML, an array or a bare object in JSON, and
//! `untagged` hides where a body went wrong. Numbers keep their spelling, because `128.147000` in XML and in JSON
//! must come out alike.

use std::borrow::Cow;

/// A node of a callback's body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    /// XML character data, or a JSON string. JSON's `null` is the empty text: the vendor's XML has no other way.
    Text(Cow<'a, str>),
    /// A JSON number, `true` or `false`, as it was spelled.
    Literal(Cow<'a, str>),
    Object(Object<'a>),
    Array(Vec<Node<'a>>),
}

/// The members of an element or object: sorted by name, each name once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object<'a> {
    members: Vec<Member<'a>>,
}

pub(crate) type Member<'a> = (Cow<'a, str>, Node<'a>);

impl<'a> Node<'a> {
    pub(crate) const EMPTY: Self = Self::Text(Cow::Borrowed(""));

    /// The text of a scalar; `None` for empty text, lists and objects.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !is_blank(text) => Some(text),
            Self::Literal(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl<'a> Object<'a> {
    /// Sorts the members by name and gathers repeated names into one list, in their order of arrival: that is
    /// what a repeated XML element means, and what a repeated JSON name can mean at best.
    pub(crate) fn gather(mut members: Vec<Member<'a>>) -> Self {
        if !members.is_sorted_by(|a, b| a.0 < b.0) {
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members = merge_repeated(members);
        }
        Self { members }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.index_of(name).map(|at| &self.members[at].1)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Node<'a>> {
        self.index_of(name).map(|at| self.members.remove(at).1)
    }

    /// The scalar at a path of names, each an object's member.
    pub(crate) fn scalar(&self, path: &[&str]) -> Option<&str> {
        let (last, parents) = path.split_last()?;
        let mut object = self;
        for name in parents {
            object = object.get(name)?.object()?;
        }
        object.get(last)?.scalar()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.index_of(name).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Member<'a>> {
        self.members.iter()
    }

    pub(crate) fn into_members(self) -> Vec<Member<'a>> {
        self.members
    }

    fn index_of(&self, name: &str) -> Option<usize> {
        // Lengths tell most names apart: up to here, a look at each member costs less than comparing a few.
        const FEW: usize = 24;
        if self.members.len() <= FEW {
            return self.members.iter().position(|(have, _)| have == name);
        }
        self.members.binary_search_by(|(have, _)| have.as_ref().cmp(name)).ok()
    }
}

/// Empty as the vendor means it: `<Message/>`, and the line breaks of a pretty-printed empty element.
pub(crate) fn is_blank(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

fn merge_repeated(sorted: Vec<Member<'_>>) -> Vec<Member<'_>> {
    let mut merged: Vec<Member<'_>> = Vec::with_capacity(sorted.len());
    let mut gathering = false;
    for (name, node) in sorted {
        match merged.last_mut() {
            Some((last, Node::Array(list))) if gathering && *last == name => list.push(node),
            Some((last, first)) if *last == name => {
                let earlier = std::mem::replace(first, Node::EMPTY);
                *first = Node::Array(vec![earlier, node]);
                gathering = true;
            }
            _ => {
                merged.push((name, node));
                gathering = false;
            }
        }
    }
    merged
}
