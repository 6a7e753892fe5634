//! Values from the environment: keys as `check` prints them, with `__` for each dot, and the variables of the nats CLI and of
//! OpenTelemetry.

use std::env;

use figment::Figment;
use figment::value::{Dict, Tag, Value};

use super::explain::ConfigError;
use super::single::Single;

/// Every variable of ours starts with this. A single `_` would take the `CI_BRIDGE_PORT=tcp://…` that Kubernetes
/// makes of a service called ci-bridge.
const PREFIX: &str = "CI_BRIDGE__";

/// The variables of others, the keys that they stand for, and the unit that they leave out. Of two for one key, the later
/// wins.
const OF_OTHERS: [(&str, &str, &str); 26] = [
    ("NATS_URL", "nats.servers", ""),
    ("NATS_USER", "nats.user", ""),
    ("NATS_PASSWORD", "nats.password", ""),
    ("NATS_TOKEN", "nats.token", ""),
    ("NATS_CREDS", "nats.creds_file", ""),
    ("NATS_NKEY", "nats.nkey_file", ""),
    ("NATS_CONTEXT", "nats.context", ""),
    ("NATS_CA", "nats.tls.ca", ""),
    ("NATS_CERT", "nats.tls.cert", ""),
    ("NATS_KEY", "nats.tls.key", ""),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint", ""),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "telemetry.otlp_traces_endpoint", ""),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "telemetry.otlp_protocol", ""),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "telemetry.otlp_protocol", ""),
    ("OTEL_EXPORTER_OTLP_HEADERS", "telemetry.otlp_headers", ""),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "telemetry.otlp_headers", ""),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "telemetry.otlp_certificate", ""),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "telemetry.otlp_certificate", ""),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "telemetry.otlp_timeout", "ms"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "telemetry.otlp_timeout", "ms"),
    ("OTEL_SERVICE_NAME", "telemetry.service_name", ""),
    ("OTEL_RESOURCE_ATTRIBUTES", "telemetry.resource_attributes", ""),
    ("OTEL_TRACES_SAMPLER", "telemetry.sampler", ""),
    ("OTEL_TRACES_SAMPLER_ARG", "telemetry.sampler_arg", ""),
    ("OTEL_TRACES_EXPORTER", "telemetry.exporter", ""),
    ("OTEL_SDK_DISABLED", "telemetry.disabled", ""),
];

/// Lays what the environment says over `figment`.
pub(super) fn apply(mut figment: Figment, defaults: &Dict) -> Result<Figment, ConfigError> {
    for (name, key, unit) in OF_OTHERS {
        // Empty is as good as not set, to these programs.
        let Some(text) = env::var(name).ok().filter(|text| !text.trim().is_empty()) else { continue };
        let value = typed(defaults, key, format!("{text}{unit}"));
        figment = figment.merge(Single { name: source(name), key: key.to_owned(), value });
    }
    let mut mistakes = Vec::new();
    for (name, text) in ours() {
        let key = name[PREFIX.len()..].replace("__", ".").to_ascii_lowercase();
        let Some(text) = text else {
            mistakes.push(format!("{}: {key}: is no text in UTF-8", source(&name)));
            continue;
        };
        let value = typed(defaults, &key, text);
        match in_list(&figment, &key, value.clone()) {
            None => figment = figment.merge(Single { name: source(&name), key, value }),
            Some(Ok((list, value))) => {
                figment = figment.merge(Single { name: source(&name), key: list, value });
            }
            Some(Err(mistake)) => mistakes.push(format!("{}: {key}: {mistake}", source(&name))),
        }
    }
    if mistakes.is_empty() { Ok(figment) } else { Err(ConfigError::of(mistakes)) }
}

fn source(variable: &str) -> String {
    format!("environment variable {variable}")
}

/// Our variables, entries of lists in their order: `…__10__…` after `…__9__…`.
fn ours() -> Vec<(String, Option<String>)> {
    let named =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())));
    let mut ours: Vec<_> = named.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    ours.sort_by_cached_key(|(name, _)| {
        let word = |word: &str| (word.parse::<usize>().ok(), word.to_owned());
        name.split("__").map(word).collect::<Vec<_>>()
    });
    ours
}

/// The list that a key with a number is in, as it is with that value; `None` for a key without.
fn in_list(figment: &Figment, key: &str, value: Value) -> Option<Result<(String, Value), String>> {
    let names: Vec<_> = key.split('.').collect();
    let at = names.iter().position(|name| name.parse::<usize>().is_ok())?;
    let (list, inside) = (names[..at].join("."), &names[at..]);
    let mut found = figment.find_value(&list).ok().filter(|value| matches!(value, Value::Array(..)))?;
    Some(put(&mut found, inside, value).map(|()| (list, found)))
}

fn put(into: &mut Value, names: &[&str], value: Value) -> Result<(), String> {
    let Some((name, rest)) = names.split_first() else {
        *into = value;
        return Ok(());
    };
    let nothing = || Value::Dict(Tag::Default, Dict::new());
    match (into, name.parse::<usize>()) {
        (Value::Array(tag, items), Ok(at)) => {
            if rest.is_empty() {
                // The list is shown as one value, and is another now.
                *tag = Tag::Default;
            }
            if at > items.len() {
                let next = items.len();
                return Err(format!("entries are numbered from 0 without a gap: the next one is {next}"));
            }
            if at == items.len() {
                items.push(nothing());
            }
            put(&mut items[at], rest, value)
        }
        (Value::Dict(_, dict), _) => put(dict.entry((*name).to_owned()).or_insert_with(nothing), rest, value),
        // Whoever reads the whole says that no table belongs there.
        (other, _) => {
            *other = nothing();
            put(other, names, value)
        }
    }
}

/// Gives a text the type that its key has by default. By its looks alone, a password of `007` would be the number 7.
pub(super) fn typed(defaults: &Dict, key: &str, text: String) -> Value {
    let parsed = |text: &str| text.parse::<Value>().unwrap_or_else(|_| Value::from(text));
    match kind(defaults, key) {
        Kind::Bool => parsed(&text.trim().to_ascii_lowercase()),
        Kind::Number => parsed(text.trim()),
        Kind::List if text.trim_start().starts_with('[') => parsed(&text),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(Tag::Default, items.map(Value::from).collect())
        }
        Kind::Text => Value::from(text),
    }
}

enum Kind {
    Text,
    Number,
    Bool,
    List,
}

fn kind(defaults: &Dict, key: &str) -> Kind {
    let names: Vec<_> = key.split('.').collect();
    // By default there is no rule, whose keys would say it.
    match names[..] {
        ["rules", number, "drop" | "copy"] if number.parse::<usize>().is_ok() => return Kind::Bool,
        ["rules", number, "match", _] if number.parse::<usize>().is_ok() => return Kind::List,
        _ => {}
    }
    let (first, rest) =
        names.split_first().map_or((None, &[][..]), |(first, rest)| (defaults.get(*first), rest));
    match rest.iter().fold(first, |value, name| inside(value?, name)) {
        Some(Value::Num(..)) => Kind::Number,
        Some(Value::Bool(..)) => Kind::Bool,
        Some(Value::Array(..)) => Kind::List,
        _ => Kind::Text,
    }
}

fn inside<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Dict(_, dict) => dict.get(name),
        // Its entries are alike.
        Value::Array(_, items) => items.first(),
        _ => None,
    }
}
