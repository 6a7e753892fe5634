//! One callback in many dresses: what an XML writer, the vendor's own JSON and its mechanical conversion may make
//! of the same tree.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::invariants::tree::{Members, Tree, is_list, quoted};

/// Decides every choice that a writer has; all zeros is the plainest dress.
#[derive(Debug, Clone)]
pub(crate) struct Whims {
    tape: Vec<u8>,
    at: usize,
}

pub(crate) fn whims() -> impl Strategy<Value = Whims> {
    vec(any::<u8>(), 1..96).prop_map(|tape| Whims { tape, at: 0 })
}

impl Whims {
    /// One of `0..choices`.
    pub(crate) fn pick(&mut self, choices: usize) -> usize {
        let at = self.at % self.tape.len();
        self.at += 1;
        usize::from(self.tape[at]) % choices
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.pick(times) + 1 == times
    }
}

/// Which JSON it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Json {
    /// Documented lists are arrays, empty nodes may stand.
    Typed,
    /// As converted from XML: a node that repeats is an array, one that does not is itself, empty ones vanish.
    Mechanical,
}

pub(crate) fn xml(root: &Tree, whims: &mut Whims) -> Vec<u8> {
    let mut text = String::new();
    text.push_str(["", "\u{FEFF}"][whims.pick(2)]);
    text.push_str(
        [
            "",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\r\n",
            "<!-- a comment --><?php?>\n",
        ][whims.pick(4)],
    );
    let mut writer = Xml { text, pretty: whims.once_in(2), whims };
    writer.element("Response", root, "", 0);
    let end = ["", "\n", "<!-- end -->\r\n"][writer.whims.pick(3)];
    writer.text.push_str(end);
    writer.text.into_bytes()
}

struct Xml<'w> {
    text: String,
    pretty: bool,
    whims: &'w mut Whims,
}

impl Xml<'_> {
    fn element(&mut self, name: &str, tree: &Tree, parent: &str, depth: usize) {
        let name = spelling(name, parent, self.whims);
        let attribute = ["", "", "", " a=\"1&lt;\" b='\"'", " "][self.whims.pick(5)];
        if matches!(tree, Tree::Empty) && self.whims.once_in(2) {
            self.text.push_str(&format!("<{name}{attribute}/>"));
            return;
        }
        self.text.push_str(&format!("<{name}{attribute}>"));
        match tree {
            Tree::Empty => {
                let blank = ["", "\n  ", "<!-- empty -->", "<![CDATA[]]>"][self.whims.pick(4)];
                self.text.push_str(blank);
            }
            Tree::Text(text) | Tree::Literal(text) => self.characters(text),
            Tree::Branch(members) => {
                for (member, node) in siblings(members, self.whims) {
                    self.gap(depth + 1);
                    self.element(member, node, name, depth + 1);
                }
                self.gap(depth);
            }
        }
        let blank = ["", "", " "][self.whims.pick(3)];
        self.text.push_str(&format!("</{name}{blank}>"));
    }

    /// What may stand between elements.
    fn gap(&mut self, depth: usize) {
        if self.pretty {
            self.text.push('\n');
            self.text.push_str(&"    ".repeat(depth));
        }
        let aside =
            ["", "", "", "", "<!-- <Tag>x</Tag> & -->", "\r\n", "<?pi a?>", "&#32;"][self.whims.pick(8)];
        self.text.push_str(aside);
    }

    fn characters(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let length = 1 + self.whims.pick(8);
            let at = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
            let (run, after) = rest.split_at(at);
            rest = after;
            match self.whims.pick(5) {
                // CDATA holds no carriage return, which a reader makes a line feed.
                3 if !run.contains('\r') && !run.contains("]]>") => {
                    self.text.push_str(&format!("<![CDATA[{run}]]>"));
                }
                4 => {
                    let hexadecimal = self.whims.once_in(2);
                    for c in run.chars().map(u32::from) {
                        self.text.push_str(&if hexadecimal {
                            format!("&#x{c:X};")
                        } else {
                            format!("&#{c};")
                        });
                    }
                }
                mode => {
                    self.text.push_str(["", "", "<!-- between -->"][mode % 3]);
                    run.chars().for_each(|c| self.character(c));
                }
            }
        }
    }

    fn character(&mut self, c: char) {
        match c {
            '<' => self.text.push_str("&lt;"),
            '>' => self.text.push_str("&gt;"),
            '&' => self.text.push_str("&amp;"),
            '\r' => self.text.push_str("&#13;"),
            // A line ends as Windows ends it, and is read as a line feed.
            '\n' if self.whims.once_in(3) => self.text.push_str("\r\n"),
            '"' if self.whims.once_in(2) => self.text.push_str("&quot;"),
            '\'' if self.whims.once_in(2) => self.text.push_str("&apos;"),
            other => self.text.push(other),
        }
    }
}

pub(crate) fn json(root: &Tree, kind: Json, whims: &mut Whims) -> Vec<u8> {
    let mut text = ["", "\u{FEFF}", " \r\n", "{\"Response\": "][whims.pick(4)].to_owned();
    let has_root = text.starts_with('{');
    let mut writer = JsonWriter { text: String::new(), kind, whims };
    writer.node(root, &[]);
    text.push_str(&writer.text);
    text.push_str(if has_root { "}\n" } else { "" });
    text.into_bytes()
}

struct JsonWriter<'w> {
    text: String,
    kind: Json,
    whims: &'w mut Whims,
}

impl JsonWriter<'_> {
    fn node(&mut self, tree: &Tree, path: &[&str]) {
        match tree {
            Tree::Empty => {
                let empty = ["\"\"", "null", "{}", "[]", "\" \\n\"", "[null, {}]"][self.whims.pick(6)];
                self.text.push_str(empty);
            }
            Tree::Text(text) => self.string(text),
            Tree::Literal(text) if self.whims.once_in(2) => self.text.push_str(text),
            Tree::Literal(text) => self.string(text),
            Tree::Branch(members) => self.object(members, path),
        }
    }

    fn object(&mut self, members: &Members, path: &[&str]) {
        let mut members: Vec<_> = members.iter().collect();
        shuffle(&mut members, self.whims);
        let mut separator = "";
        self.text.push('{');
        for (member, occurrences) in members {
            let vanish = self.kind == Json::Mechanical || self.whims.once_in(3);
            let left: Vec<_> = occurrences.iter().filter(|tree| !vanish || !is_empty(tree)).collect();
            if left.is_empty() {
                continue;
            }
            self.text.push_str(separator);
            separator = [",", ", ", ",\r\n\t"][self.whims.pick(3)];
            let spelled = spelling(member, path.last().unwrap_or(&"Response"), self.whims);
            let path = [path, &[member.as_str()]].concat();
            self.string(spelled);
            self.text.push_str([":", " : "][self.whims.pick(2)]);
            // Seen both ways for one job.
            let may_be_one = member == "JobsDetail" && self.whims.once_in(2);
            let as_list =
                self.kind == Json::Typed && (is_list(&path) || member == "JobsDetail") && !may_be_one;
            match left.as_slice() {
                [one] if !as_list => self.node(one, &path),
                items => self.array(items, &path),
            }
        }
        self.text.push('}');
    }

    fn array(&mut self, items: &[&Tree], path: &[&str]) {
        let mut separator = "[";
        for item in items {
            self.text.push_str(separator);
            self.node(item, path);
            separator = [",", " ,\n"][self.whims.pick(2)];
        }
        self.text.push(']');
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '/' if self.whims.once_in(2) => self.text.push_str("\\/"),
                c if c < ' ' || self.whims.once_in(12) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        self.text.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

/// Differently named siblings in any order, which no reader may see; those of one name stay in theirs.
fn siblings<'t>(members: &'t Members, whims: &mut Whims) -> Vec<(&'t str, &'t Tree)> {
    let mut queues: Vec<_> = members.iter().map(|(name, trees)| (name.as_str(), trees.iter())).collect();
    let mut siblings = Vec::new();
    while !queues.is_empty() {
        let at = whims.pick(queues.len());
        match queues[at].1.next() {
            Some(tree) => siblings.push((queues[at].0, tree)),
            None => drop(queues.remove(at)),
        }
    }
    siblings
}

/// The table of the workflow page has `Createtime`, its samples `CreateTime`.
fn spelling<'n>(name: &'n str, parent: &str, whims: &mut Whims) -> &'n str {
    match (parent, name) {
        ("WorkflowExecution" | "Tasks", "CreateTime") if whims.once_in(2) => "Createtime",
        _ => name,
    }
}

fn is_empty(tree: &Tree) -> bool {
    match tree {
        Tree::Empty => true,
        Tree::Text(text) => text.is_empty(),
        Tree::Literal(_) => false,
        Tree::Branch(members) => members.values().flatten().all(is_empty),
    }
}

/// The same JSON with every object's members in another order.
pub(crate) fn shuffled(value: &serde_json::Value, whims: &mut Whims) -> String {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            shuffle(&mut members, whims);
            let members: Vec<_> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", quoted(name), shuffled(value, whims)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shuffled(item, whims)).collect();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}

fn shuffle<T>(items: &mut [T], whims: &mut Whims) {
    for at in (1..items.len()).rev() {
        items.swap(at, at - whims.pick(at + 1));
    }
}
