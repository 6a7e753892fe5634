//! Endpoints and rules: paths, who may use them, and where their callbacks go.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ci_bridge_ingress::{AllowFrom, Endpoint, Secret, Secrets};
use ci_bridge_publisher::{Destinations, Glob, Router, Rule, Then};

use super::problems::Problems;
use super::{Config, SubjectKey, Verify};

impl Problems {
    pub(super) fn rules(&mut self, config: &Config) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (at, rule) in config.rules.iter().enumerate() {
            let key = format!("rules.{at}");
            if let Some(kind) = rule.r#match.unknown_kinds().next() {
                self.add(
                    format!("{key}.match.kind"),
                    format!("{:?} is no kind: use task, workflow or moderation", kind.as_str()),
                );
            }
            let template = match (&rule.subject, rule.drop) {
                (Some(subject), false) => {
                    Rule::template(subject).map_err(|e| (format!("{key}.subject"), e.to_string()))
                }
                (None, true) if !rule.copy => {
                    rules.push(Rule { matches: rule.r#match.clone(), then: Then::Drop });
                    continue;
                }
                _ => Err((
                    key,
                    "a rule needs a subject (with or without copy = true), or drop = true".to_owned(),
                )),
            };
            let stream = rule.stream.as_deref().map(Arc::from);
            match template {
                Ok(template) if rule.copy => {
                    rules.push(Rule { matches: rule.r#match.clone(), then: Then::Copy(template, stream) });
                }
                Ok(template) => {
                    rules.push(Rule { matches: rule.r#match.clone(), then: Then::To(template, stream) });
                }
                Err((key, message)) => self.add(key, message),
            }
        }
        rules
    }

    pub(super) fn endpoints(&mut self, config: &Config, rules: &[Rule]) -> Vec<Endpoint> {
        if config.ingress.endpoints.is_empty() {
            self.add(
                "ingress.endpoints",
                "at least one endpoint is needed: leave the key out for the usual one",
            );
        }
        let mut seen = BTreeSet::new();
        let mut endpoints = Vec::new();
        for (at, endpoint) in config.ingress.endpoints.iter().enumerate() {
            let key = format!("ingress.endpoints.{at}");
            let path = endpoint.path.trim_end_matches('/');
            if !endpoint.path.starts_with('/') || path.contains(['?', '#', ' ', '%']) {
                self.add(format!("{key}.path"), "a path starts with '/' and holds no query, blank or escape");
            }
            if !seen.insert(path.to_owned()) || !seen.insert(format!("name {}", endpoint.name)) {
                self.add(key.clone(), "another endpoint has the same name or path: give each its own");
            }
            let secrets = self.secrets(endpoint, &key);
            let open = endpoint.tokens.is_empty()
                && endpoint.tokens_file.as_os_str().is_empty()
                && endpoint.allow_from.is_empty()
                && !config.ingress.tls.asks_clients();
            let meant = endpoint.allow_unauthenticated || config.ingress.allow_unauthenticated;
            if open && !meant && !config.ingress.listen.ip().is_loopback() {
                self.add(
                    key.clone(),
                    format!(
                        "anybody who reaches {} could publish: set tokens, tokens_file, allow_from or \
                         ingress.tls.client_ca, listen on 127.0.0.1, or say allow_unauthenticated = true",
                        config.ingress.listen
                    ),
                );
            }
            if let Some(mut router) = self.router(config, endpoint, &key, rules) {
                // The first keeps its ids, so that an endpoint can be added beside it without storing anything twice.
                let first: Option<&Endpoint> = endpoints.first();
                if first.is_some_and(|first| router.differs_from(&first.router)) {
                    router = router.with_endpoint_in_ids(&endpoint.name);
                }
                endpoints.push(Endpoint {
                    name: endpoint.name.clone(),
                    path: path.to_owned(),
                    secrets,
                    allow_from: AllowFrom {
                        ranges: endpoint.allow_from.clone(),
                        trusted_proxies: endpoint.trusted_proxies,
                    },
                    allow_buckets: endpoint
                        .allow_buckets
                        .iter()
                        .map(|glob| Glob::from(glob.as_str()))
                        .collect(),
                    verify: (endpoint.verify == Verify::All).then_some(endpoint.verify_on_error),
                    router,
                });
            }
        }
        endpoints
    }

    fn secrets(&mut self, endpoint: &super::Endpoint, key: &str) -> Secrets {
        let mut texts: Vec<String> = endpoint.tokens.iter().map(|token| token.expose().to_owned()).collect();
        if texts.iter().any(|text| text.trim().is_empty()) {
            self.add(format!("{key}.tokens"), "an empty token would let everybody in: take it out");
        }
        texts.extend(self.tokens_in(&endpoint.tokens_file, &format!("{key}.tokens_file")));
        texts.iter().map(|text| Secret::new(text)).collect()
    }

    /// Who may use the admin listener's API, and under which names.
    pub(super) fn admin(&mut self, admin: &super::Admin) -> Secrets {
        for host in &admin.hosts {
            if host.is_empty() || host.contains([':', '/', '@', ' ', '*']) {
                self.add(
                    "admin.hosts",
                    format!("{host:?} is no host name: write it without scheme, port and wildcard"),
                );
            }
        }
        self.tokens_in(&admin.token_file, "admin.token_file").iter().map(|text| Secret::new(text)).collect()
    }

    /// The secrets in a file, one a line; none when no file is named.
    fn tokens_in(&mut self, file: &Path, key: &str) -> Vec<String> {
        match tokens_in(file) {
            Ok(tokens) => tokens,
            Err(what) => {
                self.add(key, what);
                Vec::new()
            }
        }
    }

    fn router(
        &mut self,
        config: &Config,
        endpoint: &super::Endpoint,
        key: &str,
        rules: &[Rule],
    ) -> Option<Router> {
        let own = |kind| endpoint.subjects.get(&kind).map(String::as_str);
        let shared = &config.subjects;
        let subjects = [
            own(SubjectKey::Task).unwrap_or(&shared.task),
            own(SubjectKey::Workflow).unwrap_or(&shared.workflow),
            own(SubjectKey::Moderation).unwrap_or(&shared.moderation),
            own(SubjectKey::Quarantine).unwrap_or(&shared.quarantine),
        ];
        let destinations = Destinations {
            stream: config.jetstream.stream.as_str().into(),
            quarantine_stream: config.jetstream.quarantine.stream.as_str().into(),
            jobs: super::jobs::destination(config),
            format: config.messages.format,
        };
        match Router::new(subjects, rules.to_vec(), destinations) {
            Ok(router) => Some(router),
            Err((kind, error)) => {
                let is_own =
                    endpoint.subjects.keys().any(|own| format!("{own:?}").eq_ignore_ascii_case(kind));
                let section = if is_own { format!("{key}.subjects") } else { "subjects".to_owned() };
                self.add(format!("{section}.{kind}"), error.to_string());
                None
            }
        }
    }
}

/// The secrets in a file, one a line; none when no file is named.
pub(crate) fn tokens_in(file: &Path) -> Result<Vec<String>, String> {
    let Some(path) = super::paths::given(file) else { return Ok(Vec::new()) };
    let lines = std::fs::read_to_string(&path)
        .map_err(|e| format!("cannot read {}: {e}; name a file that the bridge may read", path.display()))?;
    let tokens: Vec<_> =
        lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match tokens.is_empty() {
        true => Err(format!("{} holds no token: write one a line", path.display())),
        false => Ok(tokens),
    }
}
