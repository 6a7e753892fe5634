//! Templates: subjects with placeholders, filled with what stands in a callback.
//!
//! Whatever a sender writes, a subject has the template's number of tokens, holds no wildcard and no white space,
//! and fits into NATS's control line.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::id::short_hash;
use crate::percent::SafeBytes;
use crate::subject::{MAX_SUBJECT_BYTES, Subject, TemplateError, check_tokens, refuse};

/// What stands for a missing or empty value.
const MISSING: &str = "_";

/// A value must be left this much room, or the hash that replaces its tail would be all there is of it.
const MIN_VALUE_BYTES: usize = 40;

/// A subject with placeholders: `ci.task.{tag}.{state:lower}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
    /// The most bytes that one value may take.
    value_bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Value(Field, Case),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    AsIs,
    Lower,
    Upper,
}

/// What a placeholder can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `{tag}`: a job's tag.
    Tag,
    /// `{state}`: `Success`, `Failed`, …
    State,
    /// `{event}`: a moderation's event, `ReviewImage`, …
    Event,
    /// `{verdict}`: `normal`, `violation`, `suspected`, `failed`.
    Verdict,
    /// `{reason}`: why a body is in quarantine.
    Reason,
    /// `{bucket}`: with its APPID.
    Bucket,
    /// `{region}`
    Region,
    /// `{object}`: the object's key, as one token.
    Object,
    /// `{job_id}`
    JobId,
    /// `{queue_id}`
    QueueId,
    /// `{run_id}` of the workflow.
    RunId,
    /// `{workflow_id}`
    WorkflowId,
    /// `{workflow_name}`
    WorkflowName,
    /// `{endpoint}`: the name of the endpoint that the callback came to.
    Endpoint,
}

/// Gives the values of placeholders.
pub trait Values {
    /// The value of `field`, or `None` when there is none.
    fn value(&self, field: Field) -> Option<&str>;
}

impl Template {
    /// Reads a template whose placeholders are among `allowed`.
    ///
    /// # Errors
    ///
    /// When a placeholder is unknown, or a subject made of it could be misread by NATS.
    pub fn parse(text: &str, allowed: &[Field]) -> Result<Self, TemplateError> {
        let parts = split(text, allowed)?;
        check_tokens(text)?;
        let literal_bytes: usize = parts.iter().map(Part::literal_bytes).sum();
        let values = parts.iter().filter(|part| matches!(part, Part::Value(..))).count();
        let value_bytes = MAX_SUBJECT_BYTES.saturating_sub(literal_bytes) / values.max(1);
        if literal_bytes > MAX_SUBJECT_BYTES || value_bytes < MIN_VALUE_BYTES {
            return Err(refuse(format!("{text:?} is too long for a subject of {MAX_SUBJECT_BYTES} bytes")));
        }
        Ok(Self { text: text.to_owned(), parts, value_bytes })
    }

    /// The subject for these values. Each is percent-encoded byte by byte outside `[A-Za-z0-9_-]`; a missing or
    /// empty one is `_`; one that is too long keeps its beginning and ends in a hash of the whole.
    #[must_use]
    pub fn render(&self, values: &impl Values) -> Subject {
        let mut subject = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Literal(text) => subject.push_str(text),
                Part::Value(field, case) => {
                    let value = values.value(*field).unwrap_or_default();
                    push_token(&mut subject, value, *case, self.value_bytes);
                }
            }
        }
        Subject::made_by_template(subject)
    }

    /// Every subject that the template can give, as NATS writes it: `ci.task.*.*`.
    #[must_use]
    pub fn pattern(&self) -> String {
        let tokens = self.text.split('.').map(|token| if token.contains('{') { "*" } else { token });
        tokens.collect::<Vec<_>>().join(".")
    }

    /// The value of `field` that a subject was rendered with. `None` where it cannot be told: the field is no token of its
    /// own, its case was changed, it was missing or too long.
    pub(crate) fn value_in(&self, field: Field, subject: &str) -> Option<String> {
        let (name, _) = Field::ALL.iter().find(|(_, have)| *have == field)?;
        let placeholder = format!("{{{name}}}");
        let at = self.text.split('.').position(|token| token == placeholder)?;
        let token = subject.split('.').nth(at)?;
        let may_be_cut = token.len() >= self.value_bytes;
        if token == MISSING || may_be_cut || !crate::filter::covers(&self.pattern(), subject) {
            return None;
        }
        percent_decode_str(token).decode_utf8().ok().map(Cow::into_owned)
    }

    /// Whether a value of `field` stands in the subjects.
    pub(crate) fn holds(&self, field: Field) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Value(have, _) if *have == field))
    }

    /// The template as it was configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Part {
    fn literal_bytes(&self) -> usize {
        match self {
            Self::Literal(text) => text.len(),
            Self::Value(..) => 0,
        }
    }
}

impl Case {
    fn apply(self, value: &mut str) {
        match self {
            Self::AsIs => {}
            Self::Lower => value.make_ascii_lowercase(),
            Self::Upper => value.make_ascii_uppercase(),
        }
    }
}

impl Field {
    /// Every field, by the name that stands in a placeholder.
    pub const ALL: [(&'static str, Self); 14] = [
        ("tag", Self::Tag),
        ("state", Self::State),
        ("event", Self::Event),
        ("verdict", Self::Verdict),
        ("reason", Self::Reason),
        ("bucket", Self::Bucket),
        ("region", Self::Region),
        ("object", Self::Object),
        ("job_id", Self::JobId),
        ("queue_id", Self::QueueId),
        ("run_id", Self::RunId),
        ("workflow_id", Self::WorkflowId),
        ("workflow_name", Self::WorkflowName),
        ("endpoint", Self::Endpoint),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(have, _)| *have == name).map(|(_, field)| *field)
    }
}

/// Appends a value as (part of) one token of at most `max_bytes`.
fn push_token(token: &mut String, value: &str, case: Case, max_bytes: usize) {
    if value.is_empty() {
        token.push_str(MISSING);
        return;
    }
    let start = token.len();
    token.push_str(value);
    case.apply(&mut token[start..]);
    // Nearly all can stay as they are.
    if value.len() > max_bytes || !SafeBytes::TOKEN.holds(value) {
        let value = token.split_off(start);
        // What is behind the limit is cut off below, and need not be encoded.
        let end = value.char_indices().nth(max_bytes + 1).map_or(value.len(), |(end, _)| end);
        SafeBytes::TOKEN.push(&value[..end], token);
        if token.len() - start > max_bytes {
            cut(token, start, max_bytes, &value);
        }
    }
}

/// Keeps the beginning of a value, and tells it from others that begin alike.
fn cut(token: &mut String, start: usize, max_bytes: usize, value: &str) {
    let hash = short_hash(value.as_bytes());
    let mut end = start + max_bytes - hash.len() - 1;
    // Not in the middle of an escape.
    if let Some(escape) = token[end - 2..end].rfind('%') {
        end = end - 2 + escape;
    }
    token.truncate(end);
    token.push('-');
    token.push_str(&hash);
}

fn split(text: &str, allowed: &[Field]) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        let (placeholder, after) =
            after.split_once('}').ok_or_else(|| refuse(format!("{text:?} has a '{{' without its '}}'")))?;
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        }
        parts.push(placeholder_part(placeholder, allowed)?);
        rest = after;
    }
    if rest.contains('}') {
        return Err(refuse(format!("{text:?} has a '}}' without its '{{'")));
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    Ok(parts)
}

fn placeholder_part(placeholder: &str, allowed: &[Field]) -> Result<Part, TemplateError> {
    let (name, modifier) = placeholder.split_once(':').unwrap_or((placeholder, ""));
    let case = match modifier {
        "" => Case::AsIs,
        "lower" => Case::Lower,
        "upper" => Case::Upper,
        other => {
            return Err(refuse(format!(
                "unknown modifier {other:?} in {{{placeholder}}}: use lower or upper"
            )));
        }
    };
    match Field::from_name(name).filter(|field| allowed.contains(field)) {
        Some(field) => Ok(Part::Value(field, case)),
        None => {
            let names = Field::ALL.iter().filter(|(_, field)| allowed.contains(field)).map(|(name, _)| *name);
            let names = names.collect::<Vec<_>>().join(", ");
            let hint =
                if names.is_empty() { "none has a place here".to_owned() } else { format!("use {names}") };
            Err(refuse(format!("unknown placeholder {{{placeholder}}}: {hint}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tag<'a>(&'a str);

    impl Values for Tag<'_> {
        fn value(&self, field: Field) -> Option<&str> {
            match field {
                Field::Tag => Some(self.0),
                _ => None,
            }
        }
    }

    fn template(text: &str) -> Result<Template, TemplateError> {
        Template::parse(text, &[Field::Tag, Field::State])
    }

    #[test]
    fn values_cannot_change_the_subject_around_them() {
        let rows = [
            ("NoiseReduction", "ci.task.NoiseReduction._"),
            ("*", "ci.task.%2A._"),
            (">", "ci.task.%3E._"),
            ("a.b", "ci.task.a%2Eb._"),
            ("a b", "ci.task.a%20b._"),
            ("", "ci.task._._"),
            ("降噪", "ci.task.%E9%99%8D%E5%99%AA._"),
            ("a\r\nPUB x", "ci.task.a%0D%0APUB%20x._"),
        ];
        let template = template("ci.task.{tag}.{state:lower}").unwrap();
        assert_eq!(template.pattern(), "ci.task.*.*");
        for (tag, subject) in rows {
            assert_eq!(template.render(&Tag(tag)).as_str(), subject);
        }
    }

    #[test]
    fn long_values_stay_distinct_within_the_limit() {
        let template = template("ci.task.{tag}.{state}").unwrap();
        let one = template.render(&Tag(&"降".repeat(3000)));
        let other = template.render(&Tag(&format!("{}x", "降".repeat(2999))));
        assert!(one.as_str().len() <= MAX_SUBJECT_BYTES);
        assert_eq!(one.as_str().split('.').count(), 4);
        assert_ne!(one, other);
        let escapes = one.as_str().split('%').skip(1);
        assert!(escapes.into_iter().all(|e| e.len() >= 2), "an escape was cut: {one}");
    }

    #[test]
    fn what_nats_would_misread_is_refused_with_the_reason() {
        let rows = [
            ("ci..x", "empty token"),
            ("ci.>", "'>'"),
            ("ci.a b", "' '"),
            ("$JS.x", "keeps for itself"),
            ("_INBOX.x", "keeps for itself"),
            ("{tag}.x", "first token"),
            ("ci.{tga}", "use tag, state"),
            ("ci.{tag:title}", "lower or upper"),
            ("ci.{tag", "without its"),
            ("ci.tag}", "without its"),
        ];
        for (text, reason) in rows {
            let error = template(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
