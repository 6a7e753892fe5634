//! `[telemetry]`: where spans go, which of them, and under which name.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::problems::Problems;
use super::{Duration as Time, SecretText};

/// What OTLP appends to an endpoint that is for every signal.
const TRACES_PATH: &str = "/v1/traces";
/// The only encoding that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each key is explained in config/ci-bridge.toml")]
pub struct Telemetry {
    pub otlp_endpoint: String,
    pub otlp_traces_endpoint: String,
    pub otlp_protocol: String,
    pub otlp_headers: SecretText,
    pub otlp_certificate: PathBuf,
    pub otlp_timeout: Time,
    pub service_name: String,
    pub resource_attributes: String,
    pub sampler: Sampler,
    pub sampler_arg: String,
    pub exporter: Exporter,
    pub disabled: bool,
}

/// Whether spans are exported, as `OTEL_TRACES_EXPORTER` says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exporter {
    /// By OTLP, where there is an endpoint.
    #[default]
    Otlp,
    /// Not at all.
    None,
}

/// Which traces are recorded, under the names of `OTEL_TRACES_SAMPLER`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Every callback.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A share of them, chosen by the id of the trace.
    Traceidratio,
    /// As the sender's `traceparent` says; without one, every callback.
    #[default]
    ParentbasedAlwaysOn,
    /// As the sender's `traceparent` says; without one, none.
    ParentbasedAlwaysOff,
    /// As the sender's `traceparent` says; without one, a share.
    ParentbasedTraceidratio,
}

impl Sampler {
    pub(crate) fn is_by_ratio(self) -> bool {
        matches!(self, Self::Traceidratio | Self::ParentbasedTraceidratio)
    }
}

/// How spans are exported.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// The whole URL, `http://` or `https://`.
    pub url: Uri,
    /// For https: the authority of the collector's certificate (PEM), in place of the system's.
    pub ca: Option<PathBuf>,
    /// What the collector asks for beside, such as an API key: secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long one export may take.
    pub timeout: Duration,
    /// `service.name`.
    pub service_name: String,
    /// Further attributes of every span's resource.
    pub attributes: Vec<(String, String)>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// Of a sampler by ratio: the share of traces.
    pub ratio: f64,
}

impl Problems {
    /// `None` where nothing is exported.
    pub(super) fn telemetry(&mut self, telemetry: &Telemetry) -> Option<Export> {
        let url = self.url(telemetry);
        let (headers, attributes) = (self.headers(telemetry), self.attributes(telemetry));
        let ratio = self.ratio(telemetry);
        if telemetry.otlp_timeout.get().is_zero() {
            self.add("telemetry.otlp_timeout", "must be more than 0");
        }
        if telemetry.service_name.trim().is_empty() {
            self.add("telemetry.service_name", "name the service: by it traces are found");
        }
        if telemetry.disabled || telemetry.exporter == Exporter::None {
            return None;
        }
        let url = url?;
        if telemetry.otlp_protocol != PROTOCOL {
            self.add(
                "telemetry.otlp_protocol",
                format!(
                    "only \"{PROTOCOL}\" is spoken: write that, and in otlp_endpoint the collector's port for HTTP, usually 4318"
                ),
            );
        }
        if cfg!(not(feature = "otlp")) {
            self.add(
                "telemetry.otlp_endpoint",
                "this ci-bridge was built without traces: build it with the cargo feature otlp, or take the key out",
            );
        }
        let ca = super::paths::given(&telemetry.otlp_certificate);
        if let Some(path) = &ca
            && let Err(error) = std::fs::File::open(path)
        {
            self.add(
                "telemetry.otlp_certificate",
                format!("cannot read {}: {error}; name a file that the bridge may read", path.display()),
            );
        }
        Some(Export {
            url,
            ca,
            headers,
            timeout: telemetry.otlp_timeout.get(),
            service_name: service_name(telemetry, &attributes),
            attributes,
            sampler: telemetry.sampler,
            ratio,
        })
    }

    /// The traces' own endpoint is taken as it is, that of all signals gets OTLP's path.
    fn url(&mut self, telemetry: &Telemetry) -> Option<Uri> {
        let (key, text) = match (telemetry.otlp_traces_endpoint.trim(), telemetry.otlp_endpoint.trim()) {
            ("", "") => return None,
            ("", all) => ("telemetry.otlp_endpoint", format!("{}{TRACES_PATH}", all.trim_end_matches('/'))),
            (traces, _) => ("telemetry.otlp_traces_endpoint", traces.to_owned()),
        };
        let url = text.parse::<Uri>().ok().filter(|url| url.host().is_some_and(|host| !host.is_empty()));
        let url = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
        // Whatever it is, it may hold a secret.
        match url {
            Some(url) if url.authority().is_some_and(|authority| authority.as_str().contains('@')) => {
                self.add(
                    key,
                    "holds a user or a password: put what the collector asks for into telemetry.otlp_headers",
                );
                None
            }
            Some(url) => Some(url),
            None => {
                self.add(key, "is no URL of a collector: write one such as \"http://127.0.0.1:4318\"");
                None
            }
        }
    }

    fn headers(&mut self, telemetry: &Telemetry) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for (at, entry) in entries(telemetry.otlp_headers.expose()).enumerate() {
            let header = pair(entry).and_then(|(name, value)| {
                let mut value = HeaderValue::try_from(value).ok()?;
                value.set_sensitive(true);
                Some((HeaderName::try_from(name.to_ascii_lowercase()).ok()?, value))
            });
            match header {
                Some(header) => headers.push(header),
                // The entry is a secret.
                None => self.add(
                    "telemetry.otlp_headers",
                    format!(
                        "entry {} is no header: write \"name=value,name2=value2\", values percent-encoded",
                        at + 1
                    ),
                ),
            }
        }
        headers
    }

    fn attributes(&mut self, telemetry: &Telemetry) -> Vec<(String, String)> {
        let mut attributes = Vec::new();
        for (at, entry) in entries(&telemetry.resource_attributes).enumerate() {
            match pair(entry) {
                Some(attribute) => attributes.push(attribute),
                None => self.add(
                    "telemetry.resource_attributes",
                    format!(
                        "entry {} is no attribute: write \"key=value,key2=value2\", values percent-encoded",
                        at + 1
                    ),
                ),
            }
        }
        attributes
    }

    fn ratio(&mut self, telemetry: &Telemetry) -> f64 {
        let text = telemetry.sampler_arg.trim();
        if !telemetry.sampler.is_by_ratio() || text.is_empty() {
            return 1.0;
        }
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                self.add(
                    "telemetry.sampler_arg",
                    "must be the share of traces to record: a number from 0 to 1, such as \"0.1\"",
                );
                1.0
            }
        }
    }
}

/// A name of its own goes before one among the attributes, and that before the default.
fn service_name(telemetry: &Telemetry, attributes: &[(String, String)]) -> String {
    let own = &telemetry.service_name;
    let among = attributes.iter().find(|(name, _)| name == "service.name").map(|(_, name)| name);
    among.filter(|_| *own == Telemetry::default().service_name).unwrap_or(own).clone()
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// `key=value`, the value percent-decoded, as W3C baggage has it.
fn pair(entry: &str) -> Option<(String, String)> {
    let (key, value) = entry.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
    (!key.trim().is_empty()).then(|| (key.trim().to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, SecretText};
    use super::*;

    fn export(change: impl FnOnce(&mut Telemetry)) -> (Option<Export>, Vec<String>) {
        let mut telemetry = Config::default().telemetry;
        change(&mut telemetry);
        let mut problems = Problems::default();
        let export = problems.telemetry(&telemetry);
        (
            export,
            problems.0.into_iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect(),
        )
    }

    #[test]
    fn nothing_is_exported_unless_somebody_says_where() {
        assert_eq!(export(|_| {}), (None, vec![]));
        let endpoint = |telemetry: &mut Telemetry| "http://c:4318".clone_into(&mut telemetry.otlp_endpoint);
        for off in [|t: &mut Telemetry| t.disabled = true, |t: &mut Telemetry| t.exporter = Exporter::None] {
            let found = export(|telemetry| {
                endpoint(telemetry);
                off(telemetry);
            });
            assert_eq!(found, (None, vec![]));
        }
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn the_endpoint_of_all_signals_gets_the_path_of_traces() {
        let rows = [
            ("http://c:4318", "", "http://c:4318/v1/traces"),
            ("https://c/otlp/", "", "https://c/otlp/v1/traces"),
            ("http://c:4318", "http://t:1/own", "http://t:1/own"),
        ];
        for (all, traces, expected) in rows {
            let (export, problems) = export(|telemetry| {
                all.clone_into(&mut telemetry.otlp_endpoint);
                traces.clone_into(&mut telemetry.otlp_traces_endpoint);
            });
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!(export.unwrap().url.to_string(), expected);
        }
    }

    #[test]
    fn headers_are_decoded_and_none_is_shown() {
        let headers = |text: &str| {
            let (export, problems) = export(|telemetry| {
                "http://c:4318".clone_into(&mut telemetry.otlp_endpoint);
                telemetry.otlp_headers = SecretText::from(text);
            });
            (export.map(|export| export.headers), problems)
        };
        let (found, _) = headers("Api-Key=s3cret%2C%20more , x=1");
        let found = found.unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0.as_str(), found[0].1.as_bytes()), ("api-key", &b"s3cret, more"[..]));
        assert!(!format!("{found:?}").contains("s3cret"));
        let (_, problems) = headers("a=b,s3cret");
        assert!(problems[0].starts_with("telemetry.otlp_headers: entry 2 is no header"), "{problems:?}");
        assert!(!problems[0].contains("s3cret"));
    }

    #[test]
    fn a_share_counts_only_where_the_sampler_takes_one() {
        let with = |sampler, text: &str| {
            let (_, problems) = export(|telemetry| {
                telemetry.sampler = sampler;
                text.clone_into(&mut telemetry.sampler_arg);
            });
            problems.len()
        };
        assert_eq!(with(Sampler::Traceidratio, "0.1"), 0);
        assert_eq!(with(Sampler::Traceidratio, "2"), 1);
        assert_eq!(with(Sampler::ParentbasedTraceidratio, "many"), 1);
        assert_eq!(with(Sampler::AlwaysOn, "many"), 0);
    }
}
