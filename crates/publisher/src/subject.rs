//! Subjects that NATS reads as they are meant.
//!
//! nats-server itself stores `ci.*` literally, misroutes on a space, and closes the connection over a subject that
//! is too long.

use std::fmt;

use crate::key_value;

/// The longest subject that is published, in bytes. nats-server's own limit is the control line, 4096 bytes with
/// the reply subject and sizes; NATS advises 256. Values are cut to keep it, see [`Template`](crate::Template).
pub const MAX_SUBJECT_BYTES: usize = 512;

/// A subject that is safe to publish to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject(String);

/// Why a template or a subject is refused; says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl Subject {
    /// Takes a subject without placeholders.
    ///
    /// # Errors
    ///
    /// When NATS would misread it, or it holds a placeholder.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        check_tokens(text)?;
        if text.contains(['{', '}']) {
            return Err(refuse(format!("{text:?} holds a placeholder, where none can be filled")));
        }
        if text.len() > MAX_SUBJECT_BYTES {
            return Err(refuse(format!("{text:?} is longer than {MAX_SUBJECT_BYTES} bytes")));
        }
        Ok(Self(text.to_owned()))
    }

    /// Where a key-value bucket keeps what belongs to an id; `None` for an id that is empty, or too long to be a key.
    pub(crate) fn of_key(bucket: &str, id: &str) -> Option<Self> {
        let text = key_value::subject(bucket, &key_value::key_of(id));
        (text.len() <= MAX_SUBJECT_BYTES && key_value::is_key(&text)).then_some(Self(text))
    }

    pub(crate) fn is_key(&self) -> bool {
        key_value::is_of_keys(&self.0)
    }

    /// What a checked template made of encoded values.
    pub(crate) fn made_by_template(text: String) -> Self {
        Self(text)
    }

    /// A subject that was one before it was spooled.
    pub(crate) fn from_spool(text: String) -> Option<Self> {
        (Self::parse(&text).is_ok() || key_value::is_key(&text)).then_some(Self(text))
    }

    /// The subject as it goes to NATS.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn refuse(message: impl Into<String>) -> TemplateError {
    TemplateError(message.into())
}

/// Refuses what NATS would misread; placeholders are a template's business.
pub(crate) fn check_tokens(text: &str) -> Result<(), TemplateError> {
    let first = text.split('.').next().unwrap_or_default();
    if first.starts_with(['$', '_']) {
        return Err(refuse(format!("{text:?} starts with {:?}, which NATS keeps for itself", &first[..1])));
    }
    if first.contains('{') {
        return Err(refuse(format!("{text:?} starts with a placeholder: the first token must be fixed")));
    }
    if text.split('.').any(str::is_empty) {
        return Err(refuse(format!("{text:?} has an empty token")));
    }
    match text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '*' | '>')) {
        Some(c) => Err(refuse(format!("{text:?} holds {c:?}, which a subject to publish to cannot"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_refused_with_the_reason() {
        let long = format!("ci.{}", "x".repeat(MAX_SUBJECT_BYTES));
        let rows =
            [("ci.{tag}", "placeholder"), ("ci.*", "'*'"), ("", "empty token"), (&long, "longer than 512")];
        for (text, reason) in rows {
            let error = Subject::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert_eq!(Subject::parse("ci.task.x").unwrap().as_str(), "ci.task.x");
    }

    #[test]
    fn an_id_becomes_a_key_that_every_client_takes() {
        let rows = [
            ("jd463fe9bd6d411ed8a93fb1", Some("$KV.CI_JOBS.jd463fe9bd6d411ed8a93fb1")),
            ("a.b *=é", Some("$KV.CI_JOBS.a=2Eb=20=2A=3D=C3=A9")),
            ("", None),
        ];
        for (id, expected) in rows {
            let subject = Subject::of_key("CI_JOBS", id);
            assert_eq!(subject.as_ref().map(Subject::as_str), expected, "{id}");
            assert_eq!(subject.clone().and_then(|s| Subject::from_spool(s.0)), subject, "{id}");
        }
        assert_eq!(Subject::of_key("CI_JOBS", &"x".repeat(MAX_SUBJECT_BYTES)), None);
        for other in ["$KV.CI_JOBS.>", "$KV.CI_JOBS.a.b", "$KV.CI_JOBS", "$JS.API.INFO", "$KV.CI_JOBS.a%2E"] {
            assert_eq!(Subject::from_spool(other.to_owned()), None, "{other}");
        }
    }
}
