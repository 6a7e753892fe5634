//! Moderation's Simple form, renamed to the names of its Detail form.

use std::borrow::Cow;

use crate::tree::{Member, Node, Object};

/// `porn_info.hit_flag` becomes `PornInfo.HitFlag`. `error` holds `code` and `message` of a callback whose code
/// is not 0: Detail carries them in the element as well.
pub(crate) fn in_detail_names<'a>(
    data: Object<'a>,
    error: Option<(Option<Node<'a>>, Option<Node<'a>>)>,
) -> Object<'a> {
    let (code, message) = error.unwrap_or_default();
    let code = code.map(|node| (Cow::Borrowed("Code"), node));
    let message = message.map(|node| (Cow::Borrowed("Message"), node));
    let members = data.into_members().into_iter().map(rename);
    Object::gather(members.chain(code).chain(message).collect())
}

fn rename<'a>((name, node): Member<'a>) -> Member<'a> {
    match name.as_ref() {
        "trace_id" => (Cow::Borrowed("JobId"), node),
        "event" => (Cow::Borrowed("EventName"), node),
        "forbidden_status" => (Cow::Borrowed("ForbidState"), node),
        // Its members are the names of the object's own headers.
        "cos_headers" => (Cow::Borrowed("CosHeaders"), node),
        other => (Cow::Owned(pascal_case(other)), rename_within(node)),
    }
}

fn rename_within(node: Node<'_>) -> Node<'_> {
    match node {
        Node::Object(object) => {
            let members = object.into_members().into_iter();
            let renamed = members.map(|(name, node)| (Cow::Owned(pascal_case(&name)), rename_within(node)));
            Node::Object(Object::gather(renamed.collect()))
        }
        Node::Array(items) => Node::Array(items.into_iter().map(rename_within).collect()),
        scalar => scalar,
    }
}

fn pascal_case(name: &str) -> String {
    let mut pascal = String::with_capacity(name.len());
    let mut starts_word = true;
    for character in name.chars() {
        match character {
            '_' => starts_word = true,
            c if starts_word => {
                pascal.push(c.to_ascii_uppercase());
                starts_word = false;
            }
            c => pascal.push(c),
        }
    }
    pascal
}

#[cfg(test)]
mod tests {
    use super::pascal_case;

    #[test]
    fn snake_case_becomes_pascal_case() {
        for (snake, pascal) in
            [("porn_info", "PornInfo"), ("url", "Url"), ("data_id", "DataId"), ("OCR_x", "OCRX")]
        {
            assert_eq!(pascal_case(snake), pascal);
        }
    }
}
