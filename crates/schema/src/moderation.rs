//! Moderation's Simple form, renamed to the names of its Detail form.

use crate::canonical::members;
use crate::document::{Document, Node, Value};
use crate::text::Text;

/// The element of a Simple moderation: `porn_info.hit_flag` becomes `PornInfo.HitFlag`. Of one that has failed, it holds
/// `code` and `message` of the root as well, as Detail does.
pub(crate) fn in_detail_names<'a>(root: Node<'_, 'a>, data: Node<'_, 'a>, failed: bool) -> Document<'a> {
    let mut document = Document::new();
    let element = document.open(Text::EMPTY, Value::Object);
    members(data, |name, nodes| {
        for node in nodes {
            match detail_name(name) {
                Some(name) => document.copy(Text::Plain(name), *node),
                None => copy_renamed(*node, &mut document),
            }
        }
    });
    if failed {
        for (name, detail_name) in [("code", "Code"), ("message", "Message")] {
            root.named(name).for_each(|node| document.copy(Text::Plain(detail_name), node));
        }
    }
    document.close(element);
    document
}

/// By name: where two become one, their order must not tell how the body was written.
fn copy_renamed<'a>(node: Node<'_, 'a>, document: &mut Document<'a>) {
    let copy = document.open(Text::any(pascal_case(node.name())), node.value().clone());
    match node.is_object() {
        true => members(node, |_, nodes| {
            nodes.iter().for_each(|node| copy_renamed(*node, document));
        }),
        false => node.children().for_each(|item| copy_renamed(item, document)),
    }
    document.close(copy);
}

/// Whether the `code` of a Simple moderation says so.
pub(crate) fn has_failed(root: Node<'_, '_>) -> bool {
    root.only("code").and_then(Node::scalar).is_some_and(|code| code != "0")
}

/// The names that differ by more than their spelling.
fn detail_name(name: &str) -> Option<&'static str> {
    match name {
        "trace_id" => Some("JobId"),
        "event" => Some("EventName"),
        "forbidden_status" => Some("ForbidState"),
        // Its members are the names of the object's own headers.
        "cos_headers" => Some("CosHeaders"),
        _ => None,
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
