//! Callbacks as the vendor means them, before any encoding, and the message that each must come to.

use std::collections::BTreeMap;

/// A node of a callback. A member holds every node of its name, in their order.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "only the property tests draw callbacks")]
pub(crate) enum Tree {
    Empty,
    Text(String),
    /// A number, `true` or `false`: JSON writes it bare or quoted, XML has no choice.
    Literal(String),
    Branch(Members),
}

pub(crate) type Members = BTreeMap<String, Vec<Tree>>;

/// Which nodes Tencent documents as lists, written down apart from the crate's own table.
pub(crate) fn is_list(parent: &str, name: &str) -> bool {
    matches!(
        (parent, name),
        (_, "CosHeaders" | "Md5Info")
            | ("WorkflowExecution", "Tasks")
            | ("OutputFile" | "SpriteOutputFile", "ObjectName")
            | ("Stream", "Audio" | "Video" | "Subtitle")
    )
}

/// The canonical JSON of the node `name` under `parent`; `None` when nothing is left of it.
pub(crate) fn canonical(tree: &Tree, parent: &str, name: &str) -> Option<String> {
    match tree {
        Tree::Empty => None,
        Tree::Text(text) | Tree::Literal(text) => scalar(text, parent, name),
        Tree::Branch(members) => {
            let members = members.iter().filter_map(|(member, occurrences)| {
                let items: Vec<_> =
                    occurrences.iter().filter_map(|tree| canonical(tree, name, member)).collect();
                let value = match items.as_slice() {
                    [] => return None,
                    [one] if !is_list(name, member) => one.clone(),
                    _ => format!("[{}]", items.join(",")),
                };
                Some(format!("{}:{value}", quoted(member)))
            });
            let members: Vec<_> = members.collect();
            (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
        }
    }
}

fn scalar(text: &str, parent: &str, name: &str) -> Option<String> {
    if text.chars().all(|c| " \t\r\n".contains(c)) {
        return None;
    }
    Some(match (parent, name) {
        ("JobsDetail" | "Operation", "JobLevel") if is_integer(text) => text.to_owned(),
        ("JobsDetail", "CreationTime" | "StartTime" | "EndTime")
        | ("WorkflowExecution" | "Tasks", "CreateTime" | "StartTime" | "EndTime") => {
            quoted(&text.replacen(' ', "T", 1).replace("+0800", "+08:00"))
        }
        _ => quoted(text),
    })
}

pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// What 64 bits hold in every language, spelled as JSON spells it.
fn is_integer(text: &str) -> bool {
    text.len() < 19 && text.parse::<i64>().is_ok_and(|number| number.to_string() == text || text == "-0")
}
