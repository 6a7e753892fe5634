//! The modules of a crate, and what of the crate each names outside its tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

/// Where a module is: the names from the crate's root to it.
pub(crate) type Module = Vec<String>;

/// Every module of a crate.
pub(crate) struct Modules(BTreeMap<Module, Names>);

/// What a file says of names.
#[derive(Default)]
struct Names {
    /// Paths that it uses, as they are written.
    used: BTreeSet<Vec<String>>,
    /// What a name that it imports stands for.
    imported: BTreeMap<String, Vec<String>>,
    /// Modules that are there for tests only.
    of_tests: BTreeSet<String>,
}

/// Where a path ends.
enum Target {
    Module(Module),
    /// What follows names parts of the item, and no module.
    ItemOf(Module),
}

/// More steps than any import of ours takes from a re-export to what it stands for.
const MOST_STEPS: usize = 8;

impl Modules {
    pub(crate) fn read(root: &Path) -> Self {
        let mut modules = BTreeMap::new();
        read_folder(root, &mut Vec::new(), &mut modules);
        let tests: Vec<Module> = modules
            .iter()
            .flat_map(|(module, names): (&Module, &Names)| {
                names.of_tests.iter().map(|test| [module.as_slice(), std::slice::from_ref(test)].concat())
            })
            .collect();
        modules.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self(modules)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Each module with another that it needs.
    pub(crate) fn needs(&self) -> BTreeSet<(Module, Module)> {
        let of = |(from, names): (&Module, &Names)| -> Vec<(Module, Module)> {
            let targets = names.used.iter().filter_map(|path| self.target(from, path, MOST_STEPS));
            targets.filter(|to| to != from).map(|to| (from.clone(), to)).collect()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// The module that a path leads to, past re-exports; `None` for what is of another crate.
    fn target(&self, from: &[String], path: &[String], steps: usize) -> Option<Module> {
        self.follow(from, path, steps).map(|target| match target {
            Target::Module(at) | Target::ItemOf(at) => at,
        })
    }

    fn follow(&self, from: &[String], path: &[String], steps: usize) -> Option<Target> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Module::new(),
            "self" => from.to_vec(),
            "super" => from.split_last()?.1.to_vec(),
            _ => match self.step(from, first, steps)? {
                Target::Module(at) => at,
                item => return Some(item),
            },
        };
        while let Some((name, behind)) = rest.split_first() {
            match name.as_str() {
                "super" => drop(at.pop()),
                "self" => {}
                _ => match self.step(&at, name, steps) {
                    Some(Target::Module(next)) => at = next,
                    Some(item) => return Some(item),
                    None => return Some(Target::ItemOf(at)),
                },
            }
            rest = behind;
        }
        Some(Target::Module(at))
    }

    /// What a name stands for in a module: a module below it, or what it imports.
    fn step(&self, at: &[String], name: &str, steps: usize) -> Option<Target> {
        let child = [at, &[name.to_owned()]].concat();
        if self.0.contains_key(&child) {
            return Some(Target::Module(child));
        }
        let stands_for = self.0.get(at)?.imported.get(name)?;
        let is_itself = stands_for.first().is_some_and(|first| first == name);
        (!is_itself && steps > 0).then(|| self.follow(at, stands_for, steps - 1)).flatten()
    }
}

/// The folders in a folder.
pub(crate) fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

fn read_folder(folder: &Path, at: &mut Module, modules: &mut BTreeMap<Module, Names>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name of letters").to_owned();
        if path.is_dir() {
            // Programs of their own, which are read by themselves.
            if at.is_empty() && stem == "bin" {
                continue;
            }
            at.push(stem);
            read_folder(&path, at, modules);
            at.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_own = stem == "mod" || (at.is_empty() && (stem == "lib" || stem == "main"));
            let module = if is_own { at.clone() } else { [at.as_slice(), &[stem]].concat() };
            let names = Names::read(&path);
            modules.insert(module, names);
        }
    }
}

impl Names {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a file of ours can be read");
        let file = syn::parse_file(&text).map_err(|error| format!("{}: {error}", path.display()));
        let file = file.expect("a file of Rust");
        let mut names = Self::default();
        names.visit_file(&file);
        names
    }

    fn import(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before)),
            UseTree::Glob(_) => drop(self.used.insert(before.to_vec())),
            UseTree::Name(name) if name.ident == "self" => {
                self.note(before.last().cloned().unwrap_or_default(), before.to_vec());
            }
            UseTree::Name(name) => self.note(name.ident.to_string(), with(&name.ident)),
            UseTree::Rename(rename) => self.note(rename.rename.to_string(), with(&rename.ident)),
        }
    }

    fn note(&mut self, name: String, path: Vec<String>) {
        self.used.insert(path.clone());
        self.imported.insert(name, path);
    }
}

impl Visit<'_> for Names {
    fn visit_item(&mut self, item: &Item) {
        let attributes: &[Attribute] = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        match item {
            Item::Mod(ItemMod { ident, .. }) if is_for_tests(attributes) => {
                self.of_tests.insert(ident.to_string());
            }
            _ if is_for_tests(attributes) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.segments.len() > 1 {
            self.used.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    };
    attributes.iter().any(is_test)
}
