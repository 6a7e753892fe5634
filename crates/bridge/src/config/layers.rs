//! Where values come from: defaults, then the file, then the environment, then flags; where they leave something
//! open, a context of the nats CLI.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use figment::providers::{Format, Serialized, Toml};
use figment::value::Value;
use figment::{Figment, Provider};

use super::context;
use super::environment;
use super::explain::{self, ConfigError};
use super::mistakes;
use super::requests::Given;
use super::single::Single;
use super::{Config, Settings, units};

/// What the command line says over everything else: keys and their values.
#[derive(Debug, Clone, Default)]
pub struct Overrides(pub Vec<(&'static str, String)>);

/// A configuration, checked, and where its values came from.
pub struct Loaded {
    /// As it was written.
    pub config: Config,
    /// As the crates take it.
    pub settings: Settings,
    figment: Figment,
}

/// Reads and checks the configuration.
///
/// # Errors
///
/// [`ConfigError`] lists everything that is wrong, each with its key and where it was set.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Loaded, ConfigError> {
    let figment = layers(file, overrides)?;
    let (figment, jwt) =
        context::apply(figment.clone()).map_err(|problem| explain::problems(vec![problem], &figment))?;
    let config: Config = figment.extract().map_err(|e| mistakes::all(&figment, jwt.as_ref(), &e))?;
    let settings = Settings::check(&config, Given::of(&figment), jwt.as_ref())
        .map_err(|problems| explain::problems(problems, &figment))?;
    Ok(Loaded { config, settings, figment })
}

/// Where a bridge with this configuration answers health checks. Nothing else of it is looked at: a bridge that runs well
/// keeps doing so when a mistake is made in its file.
///
/// # Errors
///
/// The file is not there or no TOML, or the address is none.
pub(crate) fn admin_listen(file: Option<&Path>) -> Result<SocketAddr, ConfigError> {
    let figment = layers(file, &Overrides::default())?;
    let listen: Listen = figment.extract_inner("admin.listen").map_err(|e| explain::figment(&e))?;
    Ok(listen.0)
}

#[derive(serde::Deserialize)]
struct Listen(#[serde(deserialize_with = "units::address")] SocketAddr);

fn layers(file: Option<&Path>, overrides: &Overrides) -> Result<Figment, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(file) = file {
        figment = figment.merge(Toml::file_exact(file));
    }
    let defaults = Serialized::defaults(Config::default()).data().map_err(|e| explain::figment(&e))?;
    let defaults = defaults.into_values().next().unwrap_or_default();
    figment = environment::apply(figment, &defaults)?;
    for (key, value) in &overrides.0 {
        let value = environment::typed(&defaults, key, value.clone());
        figment = figment.merge(Single {
            name: format!("--{}", key.replace(['.', '_'], "-")),
            key: (*key).to_owned(),
            value,
        });
    }
    Ok(figment)
}

impl Loaded {
    /// Every key with its value, secrets left out, and where it came from; in the order of the keys.
    #[must_use]
    pub fn report(&self) -> Vec<(String, String, String)> {
        let with_source = |(key, value): (String, Value)| {
            let source = explain::own_source(&self.figment, &key);
            let shown = explain::shown(&key, &value);
            (key, shown, source)
        };
        let mut rows: Vec<_> = in_order(&self.config).into_iter().map(with_source).collect();
        for (key, value, source) in self.settings.derived.rows() {
            if let Some(row) = rows.iter_mut().find(|(have, ..)| have == key) {
                (row.1, row.2) = (value, source.to_owned());
            }
        }
        rows
    }
}

/// Every key with its value, secrets too.
pub(super) fn rows(config: &Config) -> BTreeMap<String, Value> {
    in_order(config).into_iter().collect()
}

fn in_order(config: &Config) -> Vec<(String, Value)> {
    let mut rows = Vec::new();
    if let Ok(value) = Value::serialize(config) {
        flatten(&value, "", &mut rows);
    }
    rows
}

fn flatten(value: &Value, key: &str, rows: &mut Vec<(String, Value)>) {
    let join = |name: &str| {
        if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
    };
    match value {
        Value::Dict(_, dict) => dict.iter().for_each(|(name, value)| flatten(value, &join(name), rows)),
        Value::Array(_, items) if items.iter().any(|item| matches!(item, Value::Dict(..))) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(item, &join(&at.to_string()), rows));
        }
        other => rows.push((key.to_owned(), other.clone())),
    }
}
