//! The tables as a graph: a place is where members stand whose meaning depends on it.
//!
//! The graph is made once, at first use. To find a member, or that it is in no row, costs one look whatever the rows.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::lists::DOCUMENTED_LISTS;
use super::names::NameTable;
use super::shapes::{OBJECTS, SCALARS, SPELLINGS};
use super::{Meaning, RoutingAttribute, Shape};
use crate::document::{Document, Node, Value};
use crate::text::Text;

/// Where in a published element a node stands, as far as its members' meaning depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u16);

/// The members of a place.
#[derive(Debug)]
pub(crate) struct Members {
    /// The documented ones by their names.
    documented: NameTable,
    /// A member whose name ends in `Info` and is not documented by itself.
    info: Option<Meaning>,
    other: Meaning,
    /// The other spelling of a name, and that of the vendor's samples.
    respelled: Option<(&'static str, &'static str)>,
    is_cos_headers: bool,
}

impl Place {
    /// Anything within a node that nothing is documented of.
    pub(crate) const RAW: Self = Self(0);
    /// A `JobsDetail` of a task.
    pub(crate) const JOB: Self = Self(1);
    /// A `WorkflowExecution`.
    pub(crate) const WORKFLOW: Self = Self(2);
    /// A moderation result.
    pub(crate) const MODERATION: Self = Self(3);

    pub(crate) fn members(self) -> &'static Members {
        static PLACES: LazyLock<Box<[Members]>> = LazyLock::new(|| Draft::new().finish());
        &PLACES[usize::from(self.0)]
    }

    /// Whether its members are headers of the object, by name or as entries of `Key` and `Value`.
    pub(crate) fn is_cos_headers(self) -> bool {
        self.members().is_cos_headers
    }
}

impl Members {
    /// What the member `name` is; and its name as it stands in JSON, if it is documented.
    #[inline]
    pub(crate) fn member(&self, name: &str) -> (Meaning, Option<&str>) {
        if let Some((meaning, written)) = self.documented.get(name) {
            return (meaning, Some(written));
        }
        match self.info {
            Some(info) if name.ends_with("Info") => (info, None),
            _ => (self.other, None),
        }
    }

    /// An object of this place whose members are not all spelled as in the vendor's samples, with them so spelled.
    #[inline]
    pub(crate) fn respelled<'a>(&self, object: Node<'_, 'a>) -> Option<Document<'a>> {
        let (other, canonical) = self.respelled?;
        object.contains(other).then(|| {
            let mut document = Document::new();
            let copy = document.open(object.name().clone(), Value::Object);
            let is_other = |member: &Node<'_, 'a>| *member.name() == *other;
            // Those come last, or the order would tell how the body was written.
            let others = object.children().filter(is_other);
            object
                .children()
                .filter(|member| !is_other(member))
                .for_each(|member| document.copy(member.name().clone(), member));
            others.for_each(|member| document.copy(Text::Plain(canonical), member));
            document.close(copy);
            document
        })
    }
}

/// The roots of the paths, in the order of their places.
const ROOTS: [&str; 3] = ["JobsDetail", "WorkflowExecution", "Moderation"];

/// The graph while it grows. Each root has a further place beside it, for `**`.
struct Draft(Vec<Drafted>);

#[derive(Clone)]
struct Drafted {
    root: usize,
    is_list: bool,
    shape: Shape,
    attribute: Option<RoutingAttribute>,
    members: BTreeMap<&'static str, usize>,
    info: Option<usize>,
    respelled: Option<(&'static str, &'static str)>,
    is_cos_headers: bool,
}

impl Draft {
    fn new() -> Self {
        let mut draft = Self(Vec::new());
        draft.add(0);
        (0..2 * ROOTS.len()).for_each(|at| _ = draft.add(1 + at % ROOTS.len()));
        for path in DOCUMENTED_LISTS {
            draft.at(path).is_list = true;
        }
        for path in OBJECTS {
            draft.at(path).shape = Shape::Object;
        }
        for (path, shape, attribute) in SCALARS {
            let node = draft.at(path);
            (node.shape, node.attribute) = (*shape, *attribute);
        }
        for (path, other, canonical) in SPELLINGS {
            draft.at(path).respelled = Some((other, canonical));
        }
        draft.spread();
        draft
    }

    fn add(&mut self, root: usize) -> usize {
        self.0.push(Drafted {
            root,
            is_list: false,
            shape: Shape::Plain,
            attribute: None,
            members: BTreeMap::new(),
            info: None,
            respelled: None,
            is_cos_headers: false,
        });
        self.0.len() - 1
    }

    /// The node of a path, which grows as far as it is not there.
    fn at(&mut self, path: &'static str) -> &mut Drafted {
        let mut segments = path.split('/');
        let root = segments.next().and_then(|root| ROOTS.iter().position(|name| *name == root));
        let root = 1 + root.unwrap_or_default();
        let mut at = root;
        for segment in segments {
            let next = match segment {
                "**" => Some(anywhere(root)),
                "*Info" => self.0[at].info,
                name => self.0[at].members.get(name).copied(),
            };
            let next = next.unwrap_or_else(|| self.add(root));
            match segment {
                "**" => {}
                "*Info" => self.0[at].info = Some(next),
                name => _ = self.0[at].members.insert(name, next),
            }
            self.0[next].is_cos_headers = segment == "CosHeaders";
            at = next;
        }
        &mut self.0[at]
    }

    /// Gives each place what its root documents for any depth, and each `…Info` what is documented for all of them.
    fn spread(&mut self) {
        let rows = self.0.clone();
        for (at, row) in rows.iter().enumerate().skip(1) {
            let everywhere = anywhere(row.root);
            if let Some(info) = row.info.or(rows[everywhere].info) {
                let documented = row.members.iter().filter(|(name, _)| name.ends_with("Info"));
                documented.for_each(|(_, member)| self.inherit(&rows, *member, info));
                self.0[at].info = Some(info);
            }
        }
        for (at, row) in rows.iter().enumerate().skip(1) {
            self.inherit_members(&rows, at, anywhere(row.root));
        }
    }

    /// What is said of `from` holds for `to`, where nothing else is said of it.
    fn inherit(&mut self, rows: &[Drafted], to: usize, from: usize) {
        let (source, node) = (&rows[from], &mut self.0[to]);
        node.is_list |= source.is_list;
        if node.shape == Shape::Plain {
            node.shape = source.shape;
        }
        node.attribute = node.attribute.or(source.attribute);
        self.inherit_members(rows, to, from);
    }

    fn inherit_members(&mut self, rows: &[Drafted], to: usize, from: usize) {
        for (name, member) in &rows[from].members {
            match rows[to].members.get(name) {
                Some(own) if own != member => self.inherit(rows, *own, *member),
                Some(_) => {}
                None => _ = self.0[to].members.entry(name).or_insert(*member),
            }
        }
    }

    fn finish(self) -> Box<[Members]> {
        let place = |at: usize| Place(u16::try_from(at).unwrap_or_default());
        let meaning = |at: usize| {
            let Drafted { is_list, shape, attribute, .. } = self.0[at];
            Meaning { is_list, shape, attribute, place: place(at) }
        };
        let members = self.0.iter().map(|row| Members {
            documented: NameTable::of(row.members.iter().map(|(name, at)| (*name, meaning(*at)))),
            info: row.info.map(meaning),
            other: Meaning::plain(match row.root {
                0 => Place::RAW,
                root => place(anywhere(root)),
            }),
            respelled: row.respelled,
            is_cos_headers: row.is_cos_headers,
        });
        members.collect()
    }
}

/// The place for `**` of a root.
fn anywhere(root: usize) -> usize {
    root + ROOTS.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the path of a table leads to, segment by segment.
    fn meaning(path: &str) -> Meaning {
        let mut segments =
            path.split('/').map(|segment| if segment == "*Info" { "PornInfo" } else { segment });
        let root = segments.next().unwrap();
        let root = ROOTS.iter().position(|name| *name == root).unwrap();
        let mut meaning = Meaning::plain(Place(u16::try_from(root + 1).unwrap()));
        for segment in segments {
            meaning = match segment {
                "**" => Meaning::plain(meaning.place.members().member("AnyOther").0.place),
                name => meaning.place.members().member(name).0,
            };
        }
        meaning
    }

    #[test]
    fn every_row_is_found_by_its_path() {
        for path in DOCUMENTED_LISTS {
            assert!(meaning(path).is_list, "{path}");
            let parent = path.rsplit_once('/').unwrap().0;
            assert_ne!(meaning(parent).place, Place::RAW, "{path}");
        }
        for (path, shape, attribute) in SCALARS {
            assert_eq!((meaning(path).shape, meaning(path).attribute), (*shape, *attribute), "{path}");
        }
        for path in OBJECTS {
            assert_eq!(meaning(path).shape, Shape::Object, "{path}");
        }
    }

    #[test]
    fn rows_are_what_their_grammar_says() {
        let scalars = SCALARS.iter().map(|(path, ..)| *path);
        let spellings = SPELLINGS.iter().map(|(path, ..)| *path);
        let mut seen = std::collections::BTreeSet::new();
        for path in DOCUMENTED_LISTS {
            assert!(seen.insert(*path), "{path} stands twice");
        }
        for path in DOCUMENTED_LISTS.iter().chain(OBJECTS).copied().chain(scalars).chain(spellings) {
            let segments: Vec<_> = path.split('/').collect();
            assert!(ROOTS.contains(&segments[0]), "{path}");
            let stars = segments.iter().enumerate().filter(|(_, segment)| segment.contains('*'));
            for (at, segment) in stars {
                assert!((at == 1 && *segment == "**") || (at > 0 && *segment == "*Info"), "{path}");
            }
        }
    }

    #[test]
    fn a_row_holds_at_its_own_path_only() {
        let rows = [
            ("JobsDetail/Operation/SpeechRecognitionResult/ResultDetail/Words", true),
            ("JobsDetail/Operation/Other/ResultDetail/Words", false),
            ("JobsDetail/Operation/Words", false),
            ("JobsDetail/Tasks", false),
            ("WorkflowExecution/Tasks", true),
            ("WorkflowExecution/Tasks/Tasks", false),
            ("JobsDetail/Operation/Transcode/Audio", false),
            ("JobsDetail/Operation/MediaInfo/Stream/Audio", true),
            ("JobsDetail/Md5Info/ObjectName", false),
            ("JobsDetail/X/Y/OutputFile/SpriteOutputFile/ObjectName", true),
            ("JobsDetail/Operation/MediaResult/OutputFile/Md5Info/CosHeaders", true),
            ("Moderation/Md5Info", false),
            ("Moderation/PornInfo/OcrResults", true),
            ("Moderation/Labels/NewSceneInfo/OcrResults/Keywords", true),
            ("Moderation/SnapshotInfo/PornInfo/HitInfos/Positions", true),
            ("Moderation/PornInfo/HitInfos/Keywords", false),
            ("Moderation/OcrResults", false),
            ("Moderation/UserInfo/Keywords", true),
            ("Moderation/ListInfo/ListResults", true),
        ];
        for (path, is_list) in rows {
            assert_eq!(meaning(path).is_list, is_list, "{path}");
        }
    }
}
