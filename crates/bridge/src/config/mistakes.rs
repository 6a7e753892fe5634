//! Every mistake at once. serde stops at the first: what it names is taken out, and the rest read again.

use figment::Figment;
use figment::error::Kind;
use figment::value::Value;

use super::context::UserJwt;
use super::explain::{self, ConfigError, Problem};
use super::requests::Given;
use super::{Config, Settings};

/// More of them at once help nobody.
const MOST: usize = 50;

/// Everything that is wrong with a configuration that cannot be read, as `first` says in part.
pub(super) fn all(figment: &Figment, jwt: Option<&UserJwt>, first: &figment::Error) -> ConfigError {
    let Ok(mut value) = figment.find_value("") else { return explain::figment(first) };
    let mut found = ConfigError::of(Vec::new());
    let (mut rest, mut taken_out) = (None, Vec::new());
    while found.len() < MOST {
        match value.deserialize::<Config>() {
            Ok(config) => {
                rest = Some(config);
                break;
            }
            Err(errors) => {
                let mut is_less = false;
                for mut error in errors {
                    let key = key_of(&error);
                    // Read from a value, it does not know where that came from.
                    error.metadata = explain::metadata(figment, &key.join(".")).cloned();
                    found.add(&error);
                    is_less |= remove(&mut value, &key);
                    taken_out.push(key.join("."));
                }
                if !is_less {
                    break;
                }
            }
        }
    }
    if let Some(Err(problems)) = rest.map(|config| Settings::check(&config, Given::of(figment), jwt)) {
        // With what was taken out, something that it needs may be missing: only what somebody has set is a mistake of its own.
        let is_own = |problem: &Problem| explain::own_source(figment, &problem.key) != explain::DEFAULT;
        let lacks = |problem: &Problem| {
            let inside = format!("{}.", problem.key);
            taken_out.iter().any(|key| key.starts_with(&inside))
        };
        let own = problems.into_iter().filter(|problem| is_own(problem) && !lacks(problem));
        found.extend(explain::problems(own.collect(), figment));
    }
    found
}

fn key_of(error: &figment::Error) -> Vec<String> {
    let mut key = error.path.clone();
    if let Kind::UnknownField(name, _) = &error.kind
        && key.last() != Some(name)
    {
        key.push(name.clone());
    }
    key
}

/// Whether there was such a key. Of a list all goes: the other items keep their numbers.
fn remove(value: &mut Value, key: &[String]) -> bool {
    let Some((last, above)) = key.split_last() else { return false };
    match find(value, above) {
        Some(Value::Dict(_, dict)) => dict.remove(last).is_some(),
        Some(Value::Array(..)) => remove(value, above),
        _ => false,
    }
}

fn find<'v>(value: &'v mut Value, key: &[String]) -> Option<&'v mut Value> {
    key.iter().try_fold(value, |value, name| match value {
        Value::Dict(_, dict) => dict.get_mut(name),
        Value::Array(_, items) => items.get_mut(name.parse::<usize>().ok()?),
        _ => None,
    })
}
