//! What is wrong with a configuration: where, what, and what to write instead. Never a secret's value.

use std::fmt;

use figment::error::Kind;
use figment::value::Value;
use figment::{Figment, Metadata};

/// Everything that is wrong with a configuration, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

/// A value that is read well but makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) key: String,
    pub(super) message: String,
}

impl ConfigError {
    pub(super) fn of(problems: Vec<String>) -> Self {
        Self { problems }
    }

    /// Each by itself.
    pub(crate) fn mistakes(&self) -> &[String] {
        &self.problems
    }

    pub(super) fn len(&self) -> usize {
        self.problems.len()
    }

    pub(super) fn add(&mut self, error: &figment::Error) {
        self.extend(figment(error));
    }

    /// What was said already is not said again.
    pub(super) fn extend(&mut self, other: Self) {
        for problem in other.problems {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

/// The source of what nobody has set.
pub(crate) const DEFAULT: &str = "default";

/// How far a misspelt key may be from a valid one to be taken for it.
const LIKENESS: f64 = 0.7;

/// What figment found wrong. Its own text repeats the offending value, which may be a secret.
pub(super) fn figment(error: &figment::Error) -> ConfigError {
    ConfigError { problems: error.clone().into_iter().map(|error| one(&error)).collect() }
}

/// What does not make sense, with where it was set.
pub(super) fn problems(problems: Vec<Problem>, figment: &Figment) -> ConfigError {
    let line = |problem: Problem| {
        let said = format!("{}: {}", problem.key, problem.message);
        match source(figment, &problem.key) {
            // What nobody has set is wrong because of something else, which the message names.
            source if source == DEFAULT => said,
            source => format!("{said} (set by {source})"),
        }
    };
    ConfigError { problems: problems.into_iter().map(line).collect() }
}

/// Where the value of a key came from; of the nearest key above it, if it has none of its own.
pub(super) fn source(figment: &Figment, key: &str) -> String {
    metadata(figment, key).map_or_else(|| DEFAULT.to_owned(), describe)
}

/// Of a key, or of the nearest above it that has any: a key that is unknown or that nobody has set has none.
pub(super) fn metadata<'f>(figment: &'f Figment, key: &str) -> Option<&'f Metadata> {
    let root = figment.find_value("").ok()?;
    let mut keys = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(above, _)| above));
    keys.find_map(|key| figment.get_metadata(find(&root, key)?.tag()))
}

/// Where the value of a key came from, if anybody has set it.
pub(super) fn own_source(figment: &Figment, key: &str) -> String {
    let metadata = figment.find_value("").ok().and_then(|root| figment.get_metadata(find(&root, key)?.tag()));
    metadata.map_or_else(|| DEFAULT.to_owned(), describe)
}

/// The value of a key; figment's own search does not look into lists.
fn find<'v>(root: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(root, |value, name| match value {
        Value::Dict(_, dict) => dict.get(name),
        Value::Array(_, items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A value for a report.
pub(super) fn shown(key: &str, value: &Value) -> String {
    match value {
        value if is_secret(key) => match is_empty(value) {
            true => "\"\"".to_owned(),
            false => "<secret>".to_owned(),
        },
        Value::Array(_, items) if key == "nats.servers" => {
            let servers = items
                .iter()
                .map(|item| format!("{:?}", without_credentials(item.as_str().unwrap_or_default())));
            format!("[{}]", servers.collect::<Vec<_>>().join(", "))
        }
        Value::String(_, text) => format!("{text:?}"),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(|item| shown(key, item)).collect::<Vec<_>>().join(", "))
        }
        Value::Num(_, number) => match (number.to_u128(), number.to_i128()) {
            (Some(number), _) => number.to_string(),
            (None, Some(number)) => number.to_string(),
            (None, None) => number.to_f64().unwrap_or_default().to_string(),
        },
        Value::Bool(_, flag) => flag.to_string(),
        other => format!("{other:?}"),
    }
}

fn one(error: &figment::Error) -> String {
    let key = error.path.join(".");
    let place = error.metadata.as_ref().map_or_else(|| "configuration".to_owned(), describe);
    match &error.kind {
        Kind::UnknownField(name, expected) => {
            let above = key.strip_suffix(name.as_str()).unwrap_or(&key).trim_end_matches('.');
            let full = |name: &str| {
                if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
            };
            let nearest = expected.iter().map(|have| (strsim::jaro_winkler(have, name), *have));
            let nearest =
                nearest.filter(|(likeness, _)| *likeness > LIKENESS).max_by(|a, b| a.0.total_cmp(&b.0));
            let advice = match nearest {
                Some((_, nearest)) => format!("did you mean {}?", full(nearest)),
                None => format!("valid keys here are {}", expected.join(", ")),
            };
            format!("{place}: unknown key {}: {advice}", full(name))
        }
        Kind::UnknownVariant(_, expected) => format!("{place}: {key}: write one of {}", expected.join(", ")),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
            format!("{place}: {key}: expected {}", in_words(&expected.to_string()))
        }
        Kind::MissingField(name) => format!("{place}: {key}: {name} is missing"),
        Kind::Message(message) if key.is_empty() => format!("{place}: {}", without_source_line(message)),
        Kind::Message(message) => format!("{place}: {key}: {message}"),
        _ => format!("{place}: {key}: not a valid value"),
    }
}

/// Rust's names of types, as an operator would say them.
fn in_words(expected: &str) -> &str {
    match expected {
        "usize" | "u64" | "u32" | "u16" => "a whole number",
        "a boolean" | "bool" => "true or false",
        "a string" | "path string" => "a text in quotes",
        "a sequence" => "a list in brackets",
        other => other.strip_prefix("struct ").map_or(other, |_| "a table"),
    }
}

/// A TOML syntax error quotes the line, which may hold a secret; line and column say enough.
fn without_source_line(message: &str) -> String {
    let quoted = |line: &&str| !line.contains('|');
    message.lines().filter(quoted).map(str::trim).collect::<Vec<_>>().join(": ")
}

fn describe(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(figment::Source::File(path)) => path.display().to_string(),
        _ if ["environment", "context", "--"].iter().any(|layer| metadata.name.starts_with(layer)) => {
            metadata.name.to_string()
        }
        _ => DEFAULT.to_owned(),
    }
}

fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').find(|name| name.parse::<usize>().is_err()).unwrap_or_default();
    matches!(last, "tokens" | "token" | "password" | "otlp_headers")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(_, text) => text.is_empty(),
        Value::Array(_, items) => items.is_empty(),
        _ => false,
    }
}

fn without_credentials(server: &str) -> String {
    match (server.split_once("://"), server.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://<secret>@{host}"),
        (None, Some((_, host))) => format!("<secret>@{host}"),
        _ => server.to_owned(),
    }
}
