//! Canonical JSON: compact, members sorted by name, UTF-8 as it is.

use crate::scan;
use crate::tree::{Node, Object};

pub(crate) fn encode(object: &Object<'_>, capacity: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(capacity);
    write_object(object, &mut json);
    json
}

fn write(node: &Node<'_>, json: &mut Vec<u8>) {
    match node {
        Node::Text(text) => write_string(text, json),
        Node::Literal(text) => json.extend_from_slice(text.as_bytes()),
        Node::Object(object) => write_object(object, json),
        Node::Array(items) => {
            let mut separator = b'[';
            for item in items {
                json.push(separator);
                write(item, json);
                separator = b',';
            }
            json.extend_from_slice(if items.is_empty() { b"[]" } else { b"]" });
        }
    }
}

fn write_object(object: &Object<'_>, json: &mut Vec<u8>) {
    let mut separator = b'{';
    for (name, node) in object.iter() {
        json.push(separator);
        write_string(name, json);
        json.push(b':');
        write(node, json);
        separator = b',';
    }
    json.extend_from_slice(if object.is_empty() { b"{}" } else { b"}" });
}

fn write_string(text: &str, json: &mut Vec<u8>) {
    if scan::json_plain(text.as_bytes()) < text.len() {
        // Writing a string to memory has no way to fail.
        let _ = serde_json::to_writer(json, text);
        return;
    }
    json.reserve(text.len() + 2);
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
}
