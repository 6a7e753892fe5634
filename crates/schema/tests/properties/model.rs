//! Callbacks nobody has written down yet.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::invariants::tree::{Members, Tree};

impl Tree {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The node's member `name`, where it has exactly one.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Branch(members) => match members.get(name)?.as_slice() {
                [one] => Some(one),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A whole body: the members of `Response`.
pub(crate) fn callback() -> BoxedStrategy<Tree> {
    prop_oneof![task_callback(), workflow_callback()].boxed()
}

fn task_callback() -> impl Strategy<Value = Tree> {
    let jobs = prop_oneof![3 => vec(job(), 1), 1 => vec(job(), 2..=5)];
    (any::<bool>(), jobs).prop_map(|(named, jobs)| {
        let name = named.then(|| ("EventName".to_owned(), vec![Tree::text("TaskFinish")]));
        let jobs = ("JobsDetail".to_owned(), jobs);
        Tree::Branch(name.into_iter().chain([jobs]).collect())
    })
}

fn workflow_callback() -> impl Strategy<Value = Tree> {
    (any::<bool>(), run()).prop_map(|(named, run)| {
        let name = named.then(|| ("EventName".to_owned(), vec![Tree::text("WorkflowFinish")]));
        let run = ("WorkflowExecution".to_owned(), vec![run]);
        Tree::Branch(name.into_iter().chain([run]).collect())
    })
}

fn job() -> impl Strategy<Value = Tree> {
    let operation =
        (members(), prop_oneof![Just(None), level().prop_map(Some)]).prop_map(|(members, level)| {
            let level = level.map(|level| ("JobLevel".to_owned(), vec![level]));
            Tree::Branch(members.into_iter().chain(level).collect())
        });
    let input = (name(), leaf(), cos_headers()).prop_map(|(bucket, object, headers)| {
        branch([("BucketId", vec![Tree::Text(bucket)]), ("Object", vec![object]), ("CosHeaders", headers)])
    });
    (
        leaf(),
        state(),
        leaf(),
        prop_oneof![Just(Tree::Empty), input],
        operation,
        [time(), time()],
        level(),
        members(),
    )
        .prop_map(|(id, state, tag, input, operation, [start, end], level, further)| {
            let documented = [
                ("JobId", vec![id]),
                ("State", vec![state]),
                ("Tag", vec![tag]),
                ("Input", vec![input]),
                ("Operation", vec![operation]),
                ("StartTime", vec![start]),
                ("EndTime", vec![end]),
                ("JobLevel", vec![level]),
            ];
            with(further, documented)
        })
}

fn run() -> impl Strategy<Value = Tree> {
    let task = (leaf(), state(), time(), members()).prop_map(|(id, state, time, further)| {
        with(
            further,
            [
                ("JobId", vec![id]),
                ("State", vec![state]),
                ("CreateTime", vec![time.clone()]),
                ("EndTime", vec![time]),
            ],
        )
    });
    (leaf(), state(), time(), vec(task, 1..4), cos_headers(), members()).prop_map(
        |(id, state, time, tasks, headers, further)| {
            let documented = [
                ("RunId", vec![id]),
                ("State", vec![state]),
                ("CreateTime", vec![time]),
                ("Tasks", tasks),
                ("CosHeaders", headers),
            ];
            with(further, documented)
        },
    )
}

fn with<const N: usize>(further: Members, documented: [(&str, Vec<Tree>); N]) -> Tree {
    let documented = documented.into_iter().map(|(name, trees)| (name.to_owned(), trees));
    Tree::Branch(further.into_iter().chain(documented).collect())
}

fn branch<const N: usize>(members: [(&str, Vec<Tree>); N]) -> Tree {
    with(Members::new(), members)
}

/// Members of any name and depth, documented lists among them.
pub(crate) fn members() -> impl Strategy<Value = Members> {
    let node = leaf().prop_recursive(3, 8, 2, |inner| {
        btree_map(name(), vec(inner, 1..4), 0..3)
            .prop_map(|members| Tree::Branch(members.into_iter().map(entries).collect()))
    });
    btree_map(name(), vec(node, 1..4), 0..4).prop_map(|members| members.into_iter().map(entries).collect())
}

/// CosHeaders hold entries of Key and Value wherever they stand.
fn entries((name, occurrences): (String, Vec<Tree>)) -> (String, Vec<Tree>) {
    if name != "CosHeaders" {
        return (name, occurrences);
    }
    let entries = occurrences.into_iter().map(|tree| match tree {
        Tree::Empty | Tree::Branch(_) => Tree::Empty,
        value => branch([("Key", vec![Tree::text("x-cos-meta-id")]), ("Value", vec![value])]),
    });
    (name, entries.collect())
}

fn cos_headers() -> impl Strategy<Value = Vec<Tree>> {
    let entry =
        (leaf(), leaf()).prop_map(|(key, value)| branch([("Key", vec![key]), ("Value", vec![value])]));
    vec(prop_oneof![4 => entry, 1 => Just(Tree::Empty)], 1..4)
}

/// Names that XML allows, which is less than JSON does.
pub(crate) fn name() -> impl Strategy<Value = String> {
    const DOCUMENTED: [&str; 12] = [
        "Audio",
        "CosHeaders",
        "Md5Info",
        "ObjectName",
        "OutputFile",
        "SpriteOutputFile",
        "Stream",
        "Video",
        "Subtitle",
        "Tag",
        "x-cos-meta-id",
        "标签",
    ];
    prop_oneof![select(&DOCUMENTED[..]).prop_map(str::to_owned), "[A-Za-z_][A-Za-z0-9_.-]{0,8}"]
}

fn leaf() -> impl Strategy<Value = Tree> {
    prop_oneof![
        1 => Just(Tree::Empty),
        5 => text().prop_map(Tree::Text),
        2 => literal().prop_map(Tree::Literal),
    ]
}

/// Text that both encodings can hold.
pub(crate) fn text() -> impl Strategy<Value = String> {
    const PIECES: [&str; 24] = [
        "a",
        "Office: 0.55",
        "数据万象",
        "🎧",
        "<",
        ">",
        "&",
        "'",
        "\"",
        "]]>",
        "\\",
        "${Number}",
        "&amp;",
        "\\u0041",
        " ",
        "\n",
        "\t",
        "\r",
        "\u{3000}",
        "\u{85}",
        "\u{2028}",
        "\u{10FFFF}",
        "{}",
        "<!--",
    ];
    prop_oneof![
        3 => vec(select(&PIECES[..]), 0..6).prop_map(|pieces| pieces.concat()),
        1 => "\\PC{0,12}".prop_filter("no XML character", |text| !text.contains(['\u{FFFE}', '\u{FFFF}'])),
    ]
}

/// Scalars of JSON, whose spelling must survive.
fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?",
        select(&["true", "false", "0", "-0", "128.147000"][..]).prop_map(str::to_owned),
    ]
}

fn level() -> impl Strategy<Value = Tree> {
    (-3..4i8).prop_map(|level| Tree::Literal(level.to_string()))
}

fn state() -> impl Strategy<Value = Tree> {
    select(&["Success", "Failed", "Cancel"][..]).prop_map(Tree::text)
}

fn time() -> impl Strategy<Value = Tree> {
    (1..29u8, 0..24u8, select(&["T", " "][..]), select(&["+0800", "+08:00", "Z"][..]), any::<bool>())
        .prop_map(|(day, hour, separator, offset, known)| match known {
            true => Tree::Text(format!("2022-06-{day:02}{separator}{hour:02}:47:18{offset}")),
            false => Tree::text("-"),
        })
}
