//! The wire shape: one list of nodes for both encodings, in the order of the body and borrowed from it.
//!
//! A serde type cannot serve both: a list is repeated elements in XML, an array or a bare object in JSON, and
//! `untagged` hides where a body went wrong. Numbers keep their spelling, because `128.147000` in XML and in JSON
//! must come out alike. And one list is one allocation, where a tree has one for each object.

mod emptiness;

use std::borrow::Cow;

use crate::limits::Limits;
use crate::text::Text;
pub(crate) use emptiness::{Emptiness, is_cos_headers_entry};

/// A body that has been read: its root and everything within.
#[derive(Debug, PartialEq)]
pub(crate) struct Document<'a> {
    entries: Vec<Entry<'a>>,
}

/// A node, followed in the list by all that is within it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry<'a> {
    /// An element's or a member's; an item of a JSON array has none.
    pub(crate) name: Text<'a>,
    pub(crate) value: Value<'a>,
    /// How many of the entries that follow are within this one.
    within: usize,
    emptiness: Emptiness,
}

/// The most that a body may cost is said in bytes a node ([`Limits::max_nodes`](crate::Limits)).
const _: () = assert!(size_of::<Entry<'_>>() <= 64);

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// XML character data, or a JSON string. JSON's `null` is the empty text: the vendor's XML has no other way.
    Text(Text<'a>),
    /// A JSON number, `true` or `false`, as it was spelled.
    Literal(&'a str),
    /// An element with elements in it, or a JSON object. Names may repeat.
    Object,
    /// A JSON array.
    Array,
}

/// A node of a document, and what is within it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'d, 'a> {
    entry: &'d Entry<'a>,
    within: &'d [Entry<'a>],
}

/// The members of an object or the items of an array, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Children<'d, 'a>(&'d [Entry<'a>]);

/// A node whose end has not been read.
#[derive(Debug)]
pub(crate) struct Open(usize);

impl<'a> Document<'a> {
    /// Empty, with room for the nodes of a usual callback: a job has about thirty.
    pub(crate) fn new() -> Self {
        const TYPICAL_NODES: usize = 48;
        Self { entries: Vec::with_capacity(TYPICAL_NODES) }
    }

    /// Empty, with room for the nodes of this body. A list of many that grew would be copied each time, and leave all of
    /// its smaller selves to the allocator.
    pub(crate) fn of(body: &str, limits: &Limits) -> Self {
        const SMALL_BYTES: usize = 64 * 1024;
        match body.len() > SMALL_BYTES {
            true => Self { entries: Vec::with_capacity(limits.likely_nodes(body.as_bytes())) },
            false => Self::new(),
        }
    }

    pub(crate) fn root(&self) -> Option<Node<'_, 'a>> {
        Children(&self.entries).next()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a node that holds no other.
    #[inline]
    pub(crate) fn push(&mut self, name: Text<'a>, value: Value<'a>) {
        let emptiness = Emptiness::of(&value);
        self.entries.push(Entry { name, value, within: 0, emptiness });
    }

    /// Adds a node; what is added before it is closed is within it.
    pub(crate) fn open(&mut self, name: Text<'a>, value: Value<'a>) -> Open {
        self.push(name, value);
        Open(self.entries.len() - 1)
    }

    /// Ends a node. One that holds nothing need not be closed.
    pub(crate) fn close(&mut self, Open(at): Open) {
        let (own, within) = self.entries.split_at_mut(at + 1);
        if let Some(own) = own.last_mut() {
            own.emptiness = match own.value {
                Value::Object => Emptiness::of_object(&Children(within)),
                Value::Array => Emptiness::of_array(&Children(within)),
                Value::Text(_) | Value::Literal(_) => own.emptiness,
            };
            own.within = within.len();
        }
    }

    /// Whether nothing has been added to a node.
    pub(crate) fn holds_nothing(&self, open: &Open) -> bool {
        self.entries.len() == open.0 + 1
    }

    pub(crate) fn set(&mut self, open: &Open, value: Value<'a>) {
        let own = &mut self.entries[open.0];
        own.emptiness = Emptiness::of(&value);
        own.value = value;
    }

    /// Adds a node of another document under a name of its own, with all that is within it.
    pub(crate) fn copy(&mut self, name: Text<'a>, node: Node<'_, 'a>) {
        self.entries.push(Entry { name, ..node.entry.clone() });
        self.entries.extend_from_slice(node.within);
    }

    /// Makes the root's only member the root.
    pub(crate) fn without_root(&mut self) {
        self.entries.remove(0);
    }
}

impl<'d, 'a> Node<'d, 'a> {
    pub(crate) fn name(self) -> &'d Text<'a> {
        &self.entry.name
    }

    pub(crate) fn value(self) -> &'d Value<'a> {
        &self.entry.value
    }

    pub(crate) fn emptiness(self) -> Emptiness {
        self.entry.emptiness
    }

    pub(crate) fn is_object(self) -> bool {
        self.entry.value == Value::Object
    }

    pub(crate) fn is_array(self) -> bool {
        self.entry.value == Value::Array
    }

    /// Members of an object, items of an array; a scalar has none.
    pub(crate) fn children(self) -> Children<'d, 'a> {
        Children(self.within)
    }

    /// The members of this name. Most often there is one.
    pub(crate) fn named(self, name: &str) -> impl Iterator<Item = Self> {
        self.children().filter(move |member| member.entry.name == *name)
    }

    pub(crate) fn contains(self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// The member of this name, unless there are several.
    pub(crate) fn only(self, name: &str) -> Option<Self> {
        let mut named = self.named(name);
        named.next().filter(|_| named.next().is_none())
    }

    /// Whether it is an empty text.
    pub(crate) fn is_blank(self) -> bool {
        matches!(&self.entry.value, Value::Text(text) if text.is_blank())
    }

    /// A text that is not empty.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match &self.entry.value {
            Value::Text(text) if !text.is_blank() => Some(text.to_cow()),
            _ => None,
        }
    }

    /// The text of a scalar; `None` for empty text, lists and objects.
    pub(crate) fn scalar(self) -> Option<Cow<'a, str>> {
        match &self.entry.value {
            Value::Literal(text) => Some(Cow::Borrowed(text)),
            _ => self.text(),
        }
    }
}

impl Children<'_, '_> {
    pub(crate) const NONE: Self = Self(&[]);
}

impl<'d, 'a> Iterator for Children<'d, 'a> {
    type Item = Node<'d, 'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, rest) = self.0.split_first()?;
        let (within, next) = rest.split_at(entry.within);
        self.0 = next;
        Some(Node { entry, within })
    }
}
