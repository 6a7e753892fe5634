//! Every subject that a configuration can publish to, and what goes there.

use std::collections::{BTreeMap, BTreeSet};

use ci_bridge_publisher::Glob;
use serde_json::Value;

use crate::config::{Config, Endpoint, Rule, SubjectKey};

/// What a message is of, by the names that messages have in the document.
pub(super) const KINDS: [&str; 3] = ["task", "workflow", "moderation"];
pub(super) const QUARANTINE: &str = "quarantine";

/// A subject with its placeholders.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) address: String,
    /// What each placeholder is.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) kinds: BTreeSet<&'static str>,
    /// Why messages go here.
    pub(super) reasons: Vec<String>,
    /// The endpoints whose messages do.
    pub(super) endpoints: BTreeSet<String>,
}

/// The channels by their names, in the order of the configuration. One subject is one channel.
pub(super) fn of(config: &Config) -> Vec<(String, Channel)> {
    let mut channels = Channels(Vec::new());
    for (at, endpoint) in config.ingress.endpoints.iter().enumerate() {
        // The first endpoint's channels have the names of the kinds alone.
        let named = |kind: &str| if at == 0 { kind.to_owned() } else { format!("{}-{kind}", endpoint.name) };
        for (kind, key, shared) in [
            ("task", SubjectKey::Task, &config.subjects.task),
            ("workflow", SubjectKey::Workflow, &config.subjects.workflow),
            ("moderation", SubjectKey::Moderation, &config.subjects.moderation),
        ] {
            if channels.by_rules(config, endpoint, kind) {
                let subject = endpoint.subjects.get(&key).unwrap_or(shared);
                channels.add(&named(kind), subject, kind, endpoint, summary(kind).to_owned());
            }
        }
        let subject = endpoint.subjects.get(&SubjectKey::Quarantine).unwrap_or(&config.subjects.quarantine);
        channels.add(&named(QUARANTINE), subject, QUARANTINE, endpoint, summary(QUARANTINE).to_owned());
    }
    channels.0
}

pub(super) fn summary(kind: &str) -> &'static str {
    match kind {
        "task" => "One finished job",
        "workflow" => "One finished workflow instance",
        "moderation" => "One moderation result",
        _ => "A body that gave no event, or a message that JetStream refused, as it was",
    }
}

struct Channels(Vec<(String, Channel)>);

impl Channels {
    /// Adds what rules do with a kind at an endpoint; whether any of it is left to the kind's own template.
    fn by_rules(&mut self, config: &Config, endpoint: &Endpoint, kind: &'static str) -> bool {
        for (at, rule) in config.rules.iter().enumerate() {
            let Some(conditions) = conditions(rule, endpoint, kind) else { continue };
            if let Some(subject) = &rule.subject {
                let instead = if rule.copy { "as well" } else { "instead" };
                let only = if conditions == 0 { "" } else { " when its conditions hold" };
                let stream = rule.stream.as_ref().map(|stream| format!(", in the stream {stream}"));
                let reason =
                    format!("rules.{at} publishes here {instead}{only}{}", stream.unwrap_or_default());
                self.add(&format!("rule-{at}"), subject, kind, endpoint, reason);
            }
            // The first that matches decides, and this one always does.
            if conditions == 0 {
                return rule.copy;
            }
        }
        true
    }

    fn add(&mut self, name: &str, subject: &str, kind: &'static str, endpoint: &Endpoint, reason: String) {
        let (address, parameters) = address(subject);
        let at = match self.0.iter().position(|(_, channel)| channel.address == address) {
            Some(at) => at,
            None => {
                let channel = Channel { address, ..Channel::default() };
                self.0.push((self.free(name), channel));
                self.0.len() - 1
            }
        };
        let (_, channel) = &mut self.0[at];
        channel.parameters.extend(parameters);
        channel.kinds.insert(kind);
        channel.endpoints.insert(endpoint.name.clone());
        if !channel.reasons.contains(&reason) {
            channel.reasons.push(reason);
        }
    }

    /// A name that no channel has: an endpoint may be called like a rule.
    fn free(&self, name: &str) -> String {
        // What may stand in a key of the document's components.
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
        let is_taken = |name: &str| self.0.iter().any(|(other, _)| other == name);
        match is_taken(&name) {
            false => name,
            true => (2..).map(|n| format!("{name}-{n}")).find(|name| !is_taken(name)).unwrap_or(name),
        }
    }
}

/// How many conditions of a rule a kind at an endpoint may or may not fulfil; `None` when it never does.
fn conditions(rule: &Rule, endpoint: &Endpoint, kind: &str) -> Option<usize> {
    let Ok(Value::Object(mut conditions)) = serde_json::to_value(&rule.r#match) else { return None };
    for (name, value) in [("kind", kind), ("endpoint", endpoint.name.as_str())] {
        let globs = match conditions.remove(name) {
            None => continue,
            Some(Value::Array(globs)) => globs,
            Some(glob) => vec![glob],
        };
        globs.iter().filter_map(Value::as_str).find(|glob| Glob::from(*glob).matches(value))?;
    }
    Some(conditions.len())
}

/// A template with its modifiers left out, which AsyncAPI has no word for, and what they say.
fn address(subject: &str) -> (String, BTreeMap<String, String>) {
    let (mut address, mut parameters) = (String::new(), BTreeMap::new());
    let mut rest = subject;
    while let Some((literal, (placeholder, after))) =
        rest.split_once('{').and_then(|(literal, after)| Some((literal, after.split_once('}')?)))
    {
        let (name, modifier) = placeholder.split_once(':').unwrap_or((placeholder, ""));
        let case = if modifier.is_empty() { String::new() } else { format!(" in {modifier} case") };
        let description =
            format!("{name}{case}, percent-encoded outside [A-Za-z0-9_-]; _ when there is none");
        address.push_str(&format!("{literal}{{{name}}}"));
        parameters.insert(name.to_owned(), description);
        rest = after;
    }
    address.push_str(rest);
    (address, parameters)
}
