//! Whether a stream really takes writes: a message of our own, on a subject that no consumer wants, taken out again.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::timeout;

use super::acknowledgement::Failure;
use super::link::Link;
use super::stream_config::StreamConfig;
use super::stream_spec::StreamSpec;
use crate::filter::covers;
use crate::id::MessageId;
use crate::message::{Headers, Message, MessageKind};
use crate::subject::Subject;

/// Stands in the place of every wildcard of the stream's subjects.
const TOKEN: &str = "_ci-bridge-check";
/// How long the stream may take to acknowledge.
const PATIENCE: Duration = Duration::from_secs(2);

/// What came of the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteCheck {
    /// The stream acknowledged a message; the text says where it was, and whether it is gone again.
    Written(String),
    /// Nothing was written, and the text says why: somebody would have got the message, or nobody can tell.
    NotTried(String),
    /// The stream did not take it.
    Failed(String),
}

impl StreamSpec {
    /// Writes a message to the stream and deletes it.
    pub(crate) async fn try_write(&self, link: &Link) -> WriteCheck {
        let name = &self.name;
        let not_tried = |why: String| WriteCheck::NotTried(format!("stream {name}: {why}"));
        let Ok(Ok(Ok(info))) = timeout(PATIENCE, self.info(link)).await else {
            return not_tried("it is not there, or may not be looked at".to_owned());
        };
        if info.config.republish.is_some() {
            return not_tried("it publishes each message a second time, to whoever listens".to_owned());
        }
        let Some(subject) = free_subject(&info.config) else {
            return not_tried("each of its subjects may be somebody's".to_owned());
        };
        match self.consumer_of(link, &subject).await {
            Ok(None) => {}
            Ok(Some(consumer)) => {
                return not_tried(format!(
                    "consumer {consumer} takes every subject, and would get the message"
                ));
            }
            Err(why) => return not_tried(format!("who would get the message is not known: {why}")),
        }
        let message = Message {
            id: MessageId::of_check(SystemTime::now()),
            subject,
            stream: name.as_str().into(),
            headers: Headers::default(),
            payload: Bytes::new(),
            kind: MessageKind::Quarantine,
        };
        match link.publish(&message, PATIENCE).await {
            Ok(stored) => {
                let (subject, sequence) = (&message.subject, stored.sequence);
                let gone = match self.delete(link, sequence).await {
                    Ok(()) => "and deleted it".to_owned(),
                    Err(why) => format!("which stays there: {why}"),
                };
                WriteCheck::Written(format!(
                    "stream {name} stored a message on {subject} as sequence {sequence}, {gone}"
                ))
            }
            Err(Failure::Forbidden(what)) => {
                not_tried(format!("{what}; that says nothing of the subjects of events"))
            }
            Err(failure) => WriteCheck::Failed(format!(
                "stream {name} did not take a message on {}: {failure}",
                message.subject
            )),
        }
    }

    /// A consumer that wants the subject.
    async fn consumer_of(&self, link: &Link, subject: &Subject) -> Result<Option<String>, String> {
        let mut offset = 0;
        loop {
            let request = serde_json::json!({ "offset": offset }).to_string();
            let page: Page = self.ask(link, &format!("CONSUMER.LIST.{}", self.name), request).await?;
            let consumers = page.consumers.unwrap_or_default();
            if let Some(wants) = consumers.iter().find(|consumer| consumer.wants(subject)) {
                return Ok(Some(wants.name.clone()));
            }
            offset += consumers.len();
            if consumers.is_empty() || offset >= page.total {
                return Ok(None);
            }
        }
    }

    async fn delete(&self, link: &Link, sequence: u64) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Deleted {
            success: bool,
        }
        let request = serde_json::json!({ "seq": sequence }).to_string();
        let deleted: Deleted = self.ask(link, &format!("STREAM.MSG.DELETE.{}", self.name), request).await?;
        if deleted.success { Ok(()) } else { Err("it could not be deleted".to_owned()) }
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    total: usize,
    #[serde(default)]
    consumers: Option<Vec<Consumer>>,
}

#[derive(Deserialize)]
struct Consumer {
    #[serde(default)]
    name: String,
    config: ConsumerConfig,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ConsumerConfig {
    filter_subject: String,
    filter_subjects: Option<Vec<String>>,
}

impl Consumer {
    fn wants(&self, subject: &Subject) -> bool {
        let several = self.config.filter_subjects.as_deref().unwrap_or_default();
        let one = Some(&self.config.filter_subject).filter(|filter| !filter.is_empty());
        let mut filters = one.into_iter().chain(several).peekable();
        filters.peek().is_none() || filters.any(|filter| covers(filter, subject.as_str()))
    }
}

/// A subject of the stream that no template of the bridge leads to.
fn free_subject(config: &StreamConfig) -> Option<Subject> {
    let filter = config.subjects.iter().find(|filter| filter.contains(['*', '>']))?;
    let tokens = filter.split('.').map(|token| if matches!(token, "*" | ">") { TOKEN } else { token });
    Subject::parse(&tokens.collect::<Vec<_>>().join(".")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_the_streams_own_and_nobodys() {
        let subject = |subjects: &[&str]| {
            let subjects = subjects.iter().map(|&text| text.to_owned()).collect();
            let config = StreamConfig { subjects, ..StreamConfig::default() };
            free_subject(&config).map(|subject| subject.to_string())
        };
        assert_eq!(subject(&["ci.>"]).as_deref(), Some("ci._ci-bridge-check"));
        assert_eq!(
            subject(&["a", "ci.task.*.*"]).as_deref(),
            Some("ci.task._ci-bridge-check._ci-bridge-check")
        );
        assert_eq!(subject(&["ci.one"]), None);
    }

    #[test]
    fn a_consumer_without_a_filter_wants_everything() {
        let wants = |config: &str| {
            let consumer = format!("{{\"name\":\"c\",\"config\":{config}}}");
            let consumer: Consumer = serde_json::from_str(&consumer).unwrap();
            consumer.wants(&Subject::parse("ci._ci-bridge-check").unwrap())
        };
        assert!(wants("{}"));
        assert!(wants(r#"{"filter_subject":"ci.>"}"#));
        assert!(wants(r#"{"filter_subjects":["ci.task.>","ci.*"]}"#));
        assert!(!wants(r#"{"filter_subject":"ci.task.>"}"#));
        assert!(!wants(r#"{"filter_subjects":["ci.task.>","ci.workflow.>"]}"#));
    }
}
