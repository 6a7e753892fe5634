//! Whether anything is left of a node.

use super::{Children, Node, Value};

/// Whether anything is left of a node. Noted when it is read, because each level of a body asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Emptiness {
    /// Nothing but empty texts is within it.
    pub(crate) is_nothing: bool,
    /// The same for a node of `CosHeaders`, where a name is a value of its own, left without another too.
    pub(crate) is_nothing_of_cos_headers: bool,
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
}

/// Whether an object of `CosHeaders` is one `{Key, Value}`, and not moderation's map of names to values.
pub(crate) fn is_cos_headers_entry(object: Node<'_, '_>) -> bool {
    is_entry(object.children())
}

fn is_entry(mut members: Children<'_, '_>) -> bool {
    members.all(|member| *member.name() == "Key" || *member.name() == "Value")
}
