//! No circles: of the modules in one folder, none needs another that needs it, directly or by way of others. A parent and what
//! it holds are one thing: they may name each other.

mod modules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use modules::{Module, Modules};

/// Which module needs which, of one folder.
type Needs = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_needs_one_that_needs_it() {
    let mut found = Vec::new();
    let mut looked_at = 0;
    for root in crate_roots() {
        let modules = Modules::read(&root);
        looked_at += modules.len();
        for (folder, needs) in by_folder(&modules) {
            found.extend(circles(&needs).into_iter().map(|circle| {
                let place = root.join(folder.join("/"));
                format!("{}: {}", place.display(), circle.join(" -> "))
            }));
        }
    }
    assert!(looked_at > 300, "only {looked_at} files were found");
    assert!(found.is_empty(), "move what both need into a module below them:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_found_and_a_way_that_ends_is_none() {
    let needs = |pairs: &[(&str, &str)]| {
        let mut needs = Needs::new();
        for (from, to) in pairs {
            needs.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        needs
    };
    assert_eq!(circles(&needs(&[("a", "b"), ("b", "c"), ("a", "c")])), Vec::<Vec<String>>::new());
    assert_eq!(
        circles(&needs(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")])),
        [["b".to_owned(), "c".to_owned(), "b".to_owned()]]
    );
}

/// The folders with a `lib.rs` or a `main.rs`, those of programs of their own among them.
fn crate_roots() -> Vec<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut roots: Vec<_> = modules::folders(&crates).iter().map(|folder| folder.join("src")).collect();
    roots.extend(roots.clone().iter().flat_map(|root| modules::folders(&root.join("bin"))));
    roots
}

/// For each folder, which of its modules need which.
fn by_folder(modules: &Modules) -> BTreeMap<Module, Needs> {
    let mut folders: BTreeMap<Module, Needs> = BTreeMap::new();
    for (from, to) in modules.needs() {
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        if let (Some(a), Some(b)) = (from.get(shared), to.get(shared)) {
            let needs = folders.entry(from[..shared].to_vec()).or_default();
            needs.entry(a.clone()).or_default().insert(b.clone());
        }
    }
    folders
}

/// The shortest circle through each module, each once.
fn circles(needs: &Needs) -> Vec<Vec<String>> {
    let mut known = BTreeSet::new();
    let shortest = needs.keys().filter_map(|start| way_back(needs, start));
    shortest.filter(|circle| known.insert(circle.iter().cloned().collect::<BTreeSet<_>>())).collect()
}

fn way_back(needs: &Needs, start: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in way.last().and_then(|last| needs.get(last)).into_iter().flatten() {
            let longer = || way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(longer());
            }
            if seen.insert(next) {
                ways.push_back(longer());
            }
        }
    }
    None
}
