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

/// What is published of a node, written down apart from the crate's own tables but for the lists, which are data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    Text,
    Time,
    Integer,
    Object,
}

fn shape(path: &[&str]) -> Shape {
    match path {
        ["JobsDetail", "JobLevel"] | ["JobsDetail", "Operation", "JobLevel"] => Shape::Integer,
        ["JobsDetail", "CreationTime" | "StartTime" | "EndTime"]
        | ["WorkflowExecution", "CreateTime" | "StartTime" | "EndTime"]
        | ["WorkflowExecution", "Tasks", "CreateTime" | "StartTime" | "EndTime"] => Shape::Time,
        ["JobsDetail", "JobId" | "State" | "Code" | "Message" | "Tag" | "QueueId"]
        | ["JobsDetail", "Input", "BucketId" | "Bucket" | "Object" | "Region"]
        | ["JobsDetail", "Operation", "TemplateId" | "TemplateName" | "UserData" | "WatermarkTemplateId"]
        | ["JobsDetail", "Operation", "Output", "Bucket" | "Object" | "Region"]
        | [
            "JobsDetail",
            "Operation",
            "MediaResult",
            "OutputFile",
            "Bucket" | "Region" | "ObjectName" | "ObjectUrl",
        ]
        | ["JobsDetail", "Operation", "MediaResult", "OutputFile", "Md5Info", "ObjectName" | "Md5"]
        | ["JobsDetail", "Operation", "DocProcessResult", "PageInfo", "PageNo" | "TgtUri"]
        | ["JobsDetail", "Operation", "SpeechRecognitionResult", "Result"]
        | ["JobsDetail", "Workflow", "RunId" | "WorkflowId" | "WorkflowName" | "Name"]
        | [
            "WorkflowExecution",
            "RunId" | "State" | "WorkflowId" | "WorkflowName" | "BucketId" | "Bucket" | "Object" | "Region",
        ]
        | [
            "WorkflowExecution",
            "Tasks",
            "Type" | "JobId" | "State" | "Name" | "TemplateId" | "TemplateName",
        ]
        | [
            "WorkflowExecution",
            "Tasks",
            "ResultInfo",
            "ObjectInfo" | "SpriteObjectInfo",
            "ObjectName" | "ObjectUrl",
        ]
        | [.., "CosHeaders", "Key" | "Value"] => Shape::Text,
        ["JobsDetail", "Input" | "Operation" | "Workflow"]
        | [
            "JobsDetail",
            "Operation",
            "Output" | "MediaInfo" | "MediaResult" | "DocProcessResult" | "SpeechRecognitionResult",
        ]
        | ["JobsDetail", "Operation", "MediaInfo", "Stream"]
        | ["JobsDetail", "Operation", "MediaInfo", "Stream", "Audio" | "Video" | "Subtitle"]
        | ["JobsDetail", "Operation", "MediaResult", "OutputFile"]
        | ["JobsDetail", "Operation", "MediaResult", "OutputFile", "Md5Info"]
        | ["JobsDetail", "Operation", "DocProcessResult", "PageInfo"]
        | ["JobsDetail", "Operation", "SpeechRecognitionResult", "ResultDetail" | "FlashResult"]
        | ["JobsDetail", "Operation", "SpeechRecognitionResult", "ResultDetail", "Words"]
        | ["JobsDetail", "Operation", "SpeechRecognitionResult", "FlashResult", "sentence_list"]
        | [
            "JobsDetail",
            "Operation",
            "SpeechRecognitionResult",
            "FlashResult",
            "sentence_list",
            "word_list",
        ]
        | ["WorkflowExecution", "Tasks"]
        | ["WorkflowExecution", "Tasks", "ResultInfo"]
        | ["WorkflowExecution", "Tasks", "ResultInfo", "ObjectInfo" | "SpriteObjectInfo"] => Shape::Object,
        _ => Shape::Plain,
    }
}

/// Which nodes Tencent documents as lists: the rows of the crate's table, tried one after the other.
pub(crate) fn is_list(path: &[&str]) -> bool {
    ci_bridge_schema::DOCUMENTED_LISTS.iter().any(|row| {
        let row: Vec<_> = row.split('/').collect();
        is_path(&row, path)
    })
}

fn is_path(row: &[&str], path: &[&str]) -> bool {
    match (row, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=path.len()).any(|at| is_path(rest, &path[at..])),
        (["*Info", rest @ ..], [name, after @ ..]) => name.ends_with("Info") && is_path(rest, after),
        ([segment, rest @ ..], [name, after @ ..]) => segment == name && is_path(rest, after),
        _ => false,
    }
}

/// The canonical JSON of the node at a path, which begins with the published element; `None` when nothing is left of it.
pub(crate) fn canonical(tree: &Tree, path: &[&str]) -> Option<String> {
    let text = match tree {
        Tree::Empty => return None,
        Tree::Text(text) | Tree::Literal(text) => scalar(text)?.to_owned(),
        Tree::Branch(members) => match shape(path) {
            Shape::Plain | Shape::Object => return branch(members, path),
            _ => branch(members, &[])?,
        },
    };
    Some(shaped(&text, path))
}

fn branch(members: &Members, path: &[&str]) -> Option<String> {
    let members = members.iter().filter_map(|(member, occurrences)| {
        // Within what is a text nothing is documented.
        let path = if path.is_empty() { Vec::new() } else { [path, &[member.as_str()]].concat() };
        let items: Vec<_> = occurrences.iter().filter_map(|tree| canonical(tree, &path)).collect();
        let value = match items.as_slice() {
            [] => return None,
            [one] if !is_list(&path) => one.clone(),
            items if is_list(&path) || shape(&path) == Shape::Plain => format!("[{}]", items.join(",")),
            _ => {
                let raw: Vec<_> = occurrences.iter().filter_map(|tree| canonical(tree, &[])).collect();
                shaped(&format!("[{}]", raw.join(",")), &path)
            }
        };
        Some(format!("{}:{value}", quoted(member)))
    });
    let members: Vec<_> = members.collect();
    (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
}

fn scalar(text: &str) -> Option<&str> {
    let is_blank = text.chars().all(|c| " \t\r\n".contains(c));
    (!is_blank).then_some(text)
}

fn shaped(text: &str, path: &[&str]) -> String {
    match shape(path) {
        Shape::Plain | Shape::Text => quoted(text),
        Shape::Time => quoted(&text.replacen(' ', "T", 1).replace("+0800", "+08:00")),
        Shape::Integer => match text.trim().parse::<i64>() {
            // JSON has a zero less than none.
            Ok(_) if text == "-0" => text.to_owned(),
            Ok(integer) => integer.to_string(),
            Err(_) => quoted(text),
        },
        Shape::Object => format!("{{\"#text\":{}}}", quoted(text)),
    }
}

pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
