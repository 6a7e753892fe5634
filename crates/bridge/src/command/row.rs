//! What a person wants to know of a message, told from its headers and its body, whoever published it.

use std::borrow::Cow;

use async_nats::Message;
use ci_bridge_schema::ModerationEvent;
use clap::{Args, ValueEnum};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The summary of one message; `-` stands for what it does not say.
#[derive(Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) kind: Option<Kind>,
    /// The job's tag, the workflow's name or the moderation's event.
    pub(super) tag: String,
    /// The state, the verdict, or the reason of quarantine.
    pub(super) state: String,
    pub(super) object: String,
    /// Of what failed: its code and message, or what could not be read.
    pub(super) why: Option<String>,
}

/// What a message is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A finished job
    Task,
    /// A finished workflow instance
    Workflow,
    /// A moderation result
    Moderation,
    /// What nobody could read, or JetStream refused
    Quarantine,
}

/// Which messages are shown. Several values of one flag are alternatives; case does not count.
#[derive(Debug, Default, Args)]
pub(super) struct Filter {
    /// Only messages of this kind; several: `--kind task,workflow`
    #[arg(long, value_enum, value_delimiter = ',')]
    kind: Vec<Kind>,
    /// Only messages with this tag, workflow name or moderation event
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    tag: Vec<String>,
    /// Only messages with this state, verdict or reason: `Failed`, `violation`, `syntax`
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
}

impl Filter {
    pub(super) fn passes(&self, summary: &Summary) -> bool {
        let kind = self.kind.is_empty() || summary.kind.is_some_and(|kind| self.kind.contains(&kind));
        let one_of = |wanted: &[String], found: &str| {
            wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(found))
        };
        kind && one_of(&self.tag, &summary.tag) && one_of(&self.state, &summary.state)
    }

    /// Whether events are wanted, and whether quarantine is.
    pub(super) fn of_quarantine(&self) -> (bool, bool) {
        let quarantine = self.kind.contains(&Kind::Quarantine);
        (self.kind.is_empty() || self.kind.iter().any(|kind| *kind != Kind::Quarantine), quarantine)
    }
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Workflow => "workflow",
            Self::Moderation => "moderation",
            Self::Quarantine => "quarantine",
        }
    }

    fn of_type(ce_type: &str) -> Option<Self> {
        let kinds = [Self::Task, Self::Workflow, Self::Moderation, Self::Quarantine];
        let family = ce_type.strip_prefix("com.tencent.ci.")?.split('.').next()?;
        kinds.into_iter().find(|kind| kind.as_str() == family)
    }
}

/// A CloudEvent in structured mode.
#[derive(Deserialize)]
struct Envelope<'b> {
    r#type: Cow<'b, str>,
    subject: Option<Cow<'b, str>>,
    #[serde(borrow)]
    data: &'b RawValue,
}

/// What is read of an event's body. Tencent decides what stands there: a field of another type is left aside, and spoils no other.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    tag: Value,
    workflow_name: Value,
    event_name: Value,
    state: Value,
    code: Value,
    message: Value,
}

impl Summary {
    pub(super) fn of(message: &Message) -> Self {
        if let Some(reason) = header(message, "Ci-Reason") {
            return Self::of_quarantine(message, reason);
        }
        let header_subject = header(message, "ce-subject").map(decoded);
        let (kind, subject, data) = match serde_json::from_slice::<Envelope<'_>>(&message.payload) {
            Ok(envelope) if header(message, "ce-type").is_none() => {
                (Kind::of_type(&envelope.r#type), envelope.subject, envelope.data.get().as_bytes())
            }
            _ => (
                header(message, "ce-type").and_then(Kind::of_type),
                header_subject.map(Cow::Owned),
                message.payload.as_ref(),
            ),
        };
        let body: Body = serde_json::from_slice(data).unwrap_or_default();
        let state = match kind {
            Some(Kind::Moderation) => verdict(data),
            _ => body.state(),
        };
        let tag = match kind {
            Some(Kind::Task) => text(&body.tag),
            Some(Kind::Workflow) => text(&body.workflow_name),
            Some(Kind::Moderation) => text(&body.event_name).or_else(|| event_of(&message.subject)),
            _ => None,
        };
        let why = state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("failed"));
        Self {
            kind,
            tag: tag.unwrap_or_else(unsaid),
            state: state.unwrap_or_else(unsaid),
            object: subject.map_or_else(unsaid, |subject| decoded(&subject)),
            why: why.then(|| body.why()).flatten(),
        }
    }

    fn of_quarantine(message: &Message, reason: &str) -> Self {
        Self {
            kind: Some(Kind::Quarantine),
            tag: unsaid(),
            state: reason.to_owned(),
            object: header(message, "ce-subject").map_or_else(unsaid, |subject| decoded(&decoded(subject))),
            why: header(message, "Ci-Detail").map(str::to_owned),
        }
    }
}

impl Body {
    /// Without a state the code tells, as it does for the subject.
    fn state(&self) -> Option<String> {
        let of_code = |code| if code == "Success" { "Success" } else { "Failed" }.to_owned();
        text(&self.state).or_else(|| text(&self.code).map(of_code))
    }

    fn why(&self) -> Option<String> {
        let known: Vec<_> = [&self.code, &self.message].into_iter().filter_map(text).collect();
        (!known.is_empty()).then(|| known.join(": "))
    }
}

/// The value of a header.
pub(super) fn header<'m>(message: &'m Message, name: &'static str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

fn unsaid() -> String {
    "-".to_owned()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn verdict(data: &[u8]) -> Option<String> {
    let event: ModerationEvent = serde_json::from_slice(data).ok()?;
    event.verdict().map(Cow::into_owned)
}

/// Detail moderation names its event in the subject only, by default before the verdict.
fn event_of(subject: &str) -> Option<String> {
    subject.rsplit('.').nth(1).map(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::HeaderMap;

    fn message(subject: &str, headers: &[(&'static str, &str)], body: &str) -> Message {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, *value));
        let payload = bytes::Bytes::copy_from_slice(body.as_bytes());
        Message {
            subject: subject.into(),
            reply: None,
            length: payload.len(),
            payload,
            headers: Some(map),
            status: None,
            description: None,
        }
    }

    #[test]
    fn a_message_says_what_it_is_of() {
        let binary = |kind: &str, subject: &str, key: &str, body: &str| {
            let ce_type = format!("com.tencent.ci.{kind}.v1");
            message(subject, &[("ce-type", &ce_type), ("ce-subject", key)], body)
        };
        let detail = ("Ci-Detail", "line 7, column 5: expected a name");
        let structured = r#"{"specversion":"1.0","type":"com.tencent.ci.task.v1","subject":"a%20b","data":{"Tag":"Tts","State":"Success"}}"#;
        let rows = [
            (
                binary(
                    "task",
                    "x.y",
                    "%25E8%25B5%2584/a.mp3",
                    r#"{"Tag":"Transcode","State":"Failed","Code":"E1","Message":"no video"}"#,
                ),
                ("task", "Transcode", "Failed", "资/a.mp3", Some("E1: no video")),
            ),
            (binary("task", "x", "a", r#"{"Tag":{},"Code":"Success"}"#), ("task", "-", "Success", "a", None)),
            (
                binary("workflow", "x", "a", r#"{"WorkflowName":"w","State":"Success"}"#),
                ("workflow", "w", "Success", "a", None),
            ),
            (
                binary(
                    "moderation",
                    "ci.moderation.ReviewText.violation",
                    "a",
                    r#"{"State":"Success","Result":1}"#,
                ),
                ("moderation", "ReviewText", "violation", "a", None),
            ),
            (
                binary("moderation", "x", "a", r#"{"EventName":"ReviewImage","State":"Failed","Code":"E2"}"#),
                ("moderation", "ReviewImage", "failed", "a", Some("E2")),
            ),
            (message("x", &[], structured), ("task", "Tts", "Success", "a b", None)),
            (
                message("x", &[("Ci-Reason", "syntax"), detail], "<broken"),
                ("quarantine", "-", "syntax", "-", Some(detail.1)),
            ),
            (message("x", &[], "anything"), ("-", "-", "-", "-", None)),
        ];
        for (message, expect) in rows {
            let summary = Summary::of(&message);
            let kind = summary.kind.map_or("-", Kind::as_str);
            let found = (kind, &*summary.tag, &*summary.state, &*summary.object, summary.why.as_deref());
            assert_eq!(found, expect, "{message:?}");
        }
    }

    #[test]
    fn a_filter_lets_through_what_all_of_its_flags_name() {
        let summary = |kind, tag: &str, state: &str| Summary {
            kind: Some(kind),
            tag: tag.to_owned(),
            state: state.to_owned(),
            object: unsaid(),
            why: None,
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let failed = summary(Kind::Task, "Transcode", "Failed");
        for (kind, tag, state, passes) in [
            (vec![], "", "", true),
            (vec![Kind::Task], "transcode", "failed", true),
            (vec![Kind::Workflow, Kind::Task], "Tts Transcode", "", true),
            (vec![Kind::Workflow], "", "", false),
            (vec![], "Tts", "", false),
            (vec![], "", "Success", false),
        ] {
            let filter = Filter { kind, tag: words(tag), state: words(state) };
            assert_eq!(filter.passes(&failed), passes, "{filter:?}");
        }
    }
}
