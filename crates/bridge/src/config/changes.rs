//! What tells one configuration from the next, key by key, for the log of a reload.

use std::collections::{BTreeMap, BTreeSet};

use figment::value::Value;

use super::{Config, explain, layers};

/// So many keys are named in one line of the log; a number says how many more there are.
const NAMED: usize = 20;

/// The keys whose values differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Those that a running bridge takes, each with both values; secrets are left out.
    pub(crate) taken: Vec<String>,
    /// Those that only a restart changes.
    pub(crate) fixed: Vec<String>,
}

impl Changes {
    pub(crate) fn between(before: &Config, after: &Config) -> Self {
        let (old, new) = (layers::rows(before), layers::rows(after));
        let fixed =
            differing(&layers::rows(&before.fixed_at_start()), &layers::rows(&after.fixed_at_start()));
        let taken = differing(&old, &new).into_iter().filter(|key| !fixed.contains(key));
        let taken = taken.map(|key| sentence(&key, old.get(&key), new.get(&key))).collect();
        Self { taken, fixed: fixed.into_iter().collect() }
    }

    /// Those that are taken, as one text.
    pub(crate) fn summary(&self) -> String {
        let mut text = self.taken.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
        if self.taken.len() > NAMED {
            text.push_str(&format!("; and {} more", self.taken.len() - NAMED));
        }
        text
    }
}

fn differing(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> BTreeSet<String> {
    // An empty list of tables is one row, and none once it has an entry: the keys of its entries say enough.
    let has_entries = |rows: &BTreeMap<String, Value>, key: &str| {
        let inside = format!("{key}.");
        rows.range(inside.clone()..).next().is_some_and(|(next, _)| next.starts_with(&inside))
    };
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differ = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    differ.filter(|key| !has_entries(old, key) && !has_entries(new, key)).cloned().collect()
}

fn sentence(key: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    let shown =
        |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), |v| explain::shown(key, v));
    match (shown(old), shown(new)) {
        // Both are secrets.
        (old, new) if old == new => format!("{key}: another value"),
        (old, new) => format!("{key}: {old} is now {new}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Endpoint, Rule};
    use super::*;

    #[test]
    fn every_key_is_named_once_and_no_secret_is() {
        let before = Config::default();
        let mut after = Config::default();
        after.nats.servers = vec!["nats://user:s3cret@other:4222".into()];
        after.jetstream.replicas = 3;
        after.subjects.task = "ci.changed.{tag}".to_owned();
        after.rules = vec![Rule { drop: true, ..Rule::default() }];
        after.ingress.endpoints = vec![Endpoint { tokens: vec!["s3cret".into()], ..Endpoint::default() }];
        let changes = Changes::between(&before, &after);
        assert_eq!(changes.fixed, ["jetstream.replicas", "nats.servers"]);
        let task = format!("subjects.task: {:?} is now \"ci.changed.{{tag}}\"", before.subjects.task);
        assert!(changes.taken.contains(&task), "{changes:?}");
        assert!(changes.taken.contains(&"rules.0.drop: not set is now true".to_owned()), "{changes:?}");
        assert!(changes.taken.iter().all(|line| !line.contains("s3cret")), "{changes:?}");
        assert!(!changes.taken.iter().any(|line| line.starts_with("rules:")), "{changes:?}");
    }

    #[test]
    fn a_secret_that_is_another_is_said_to_be_one() {
        let with = |token: &str| {
            let mut config = Config::default();
            config.ingress.endpoints = vec![Endpoint { tokens: vec![token.into()], ..Endpoint::default() }];
            config
        };
        let changes = Changes::between(&with("a"), &with("b"));
        assert_eq!(changes.taken, ["ingress.endpoints.0.tokens: another value"]);
        assert_eq!(Changes::between(&with("a"), &with("a")), Changes::default());
    }

    #[test]
    fn a_long_list_of_changes_is_cut_short() {
        let changes = Changes { taken: (0..NAMED + 2).map(|n| format!("k{n}")).collect(), fixed: Vec::new() };
        assert!(changes.summary().ends_with("; k19; and 2 more"), "{}", changes.summary());
    }
}
