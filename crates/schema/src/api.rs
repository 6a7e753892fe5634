//! The answers of CI's query API: the same elements as in callbacks, read by the same readers into the same events.
//!
//! A job's answer is its callback's `JobsDetail`. A run's lacks what only the callback says, and has the definition of
//! its workflow; here it becomes what the callback would have been, as far as the answer goes.

use std::borrow::Cow;

use crate::document::{Document, Node, Open, Value};
use crate::error::ParseError;
use crate::event::Event;
use crate::family::{Family, elements_of, has_ended};
use crate::limits::Limits;
use crate::normalise::{moderation, task, workflow};
use crate::parse::utf8;
use crate::text::Text;
use crate::xml;

/// A well-formed answer, still in the vendor's shape.
#[derive(Debug)]
pub struct ApiAnswer<'a>(Document<'a>);

/// A job or a run as CI describes it.
#[derive(Debug)]
pub struct Described<'a> {
    /// What its callback would become.
    pub event: Event<'a>,
    /// Whether it has ended: only then there is a callback.
    pub has_ended: bool,
}

/// What CI says when it does not do what it was asked, as COS says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiError {
    /// `AccessDenied`, `SignatureDoesNotMatch`, …
    pub code: String,
    /// One sentence of the vendor's.
    pub message: String,
}

/// A queue, and whom it calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// `QueueId`
    pub id: String,
    /// `Name`
    pub name: String,
    /// `Active` or `Paused`
    pub state: String,
    /// `Transcoding`, `Speeching`, …
    pub category: String,
    /// Whether it calls back at all: `NotifyConfig.State` is `On`.
    pub notifies: bool,
    /// `NotifyConfig.Url`; it may hold a token.
    pub url: String,
    /// `NotifyConfig.Event`: `TaskFinish`, `WorkflowFinish`, separated by commas.
    pub events: String,
    /// `NotifyConfig.ResultFormat`: `XML` or `JSON`.
    pub format: String,
}

/// Reads an answer of the API: XML in UTF-8, whose root is `Response`.
///
/// # Errors
///
/// As those of [`parse`](crate::parse), but that what the answer holds is not looked at.
pub fn parse_answer<'a>(body: &'a [u8], limits: &Limits) -> Result<ApiAnswer<'a>, ParseError> {
    xml::read(utf8(body)?, limits).map(ApiAnswer)
}

/// Reads an error of the API; `None` where the body is something else, such as a proxy's page.
#[must_use]
pub fn parse_error(body: &[u8], limits: &Limits) -> Option<ApiError> {
    let document = xml::read_any(utf8(body).ok()?, limits, "Error").ok()?;
    let root = document.root()?;
    Some(ApiError { code: text_of(root, "Code"), message: text_of(root, "Message") })
}

impl<'a> ApiAnswer<'a> {
    /// Every job of the answer, in its order. One without an id is none, and left out.
    #[must_use]
    pub fn jobs(&self) -> Vec<Described<'a>> {
        let Some(root) = self.0.root() else { return Vec::new() };
        let jobs = elements_of(root, Family::Task);
        let describe = |job: Node<'_, 'a>| Described { has_ended: has_ended(job), event: task(job) };
        jobs.map(describe).filter(Described::is_known).collect()
    }

    /// Every run of the answer, of a list or of one, in its order. The answer does not name the bucket: it is the
    /// host's.
    #[must_use]
    pub fn runs(&self, bucket: &str) -> Vec<Described<'a>> {
        let Some(root) = self.0.root() else { return Vec::new() };
        let runs = root.named("WorkflowExecution").chain(root.named("WorkflowExecutionList"));
        let describe = |run: Node<'_, 'a>| {
            let like_callback = as_called_back(run, bucket);
            let event = workflow(like_callback.root()?);
            Some(Described { has_ended: has_ended(run), event })
        };
        runs.filter_map(describe).filter(Described::is_known).collect()
    }

    /// Every result of moderation of the answer. It tells neither of which `event` it is, which the path does that was asked
    /// (detection of viruses has none), nor of which bucket: the host does.
    #[must_use]
    pub fn moderations(&self, event: Option<&str>, bucket: &str) -> Vec<Described<'a>> {
        let Some(root) = self.0.root() else { return Vec::new() };
        let results = elements_of(root, Family::ModerationDetail);
        let describe = |result: Node<'_, 'a>| {
            let mut document = Document::new();
            let element = document.open(Text::EMPTY, Value::Object);
            result.children().for_each(|member| document.copy(member.name().clone(), member));
            close_with_bucket(&mut document, element, result, bucket);
            let event = event.map(|event| Cow::Owned(event.to_owned()));
            Some(Described { has_ended: has_ended(result), event: moderation(document.root()?, event, None) })
        };
        results.filter_map(describe).filter(Described::is_known).collect()
    }

    /// The ids of which CI knows no job.
    #[must_use]
    pub fn unknown_ids(&self) -> Vec<Cow<'a, str>> {
        let root = self.0.root().into_iter();
        root.flat_map(|root| root.named("NonExistJobIds").chain(root.named("NonExistJobId")))
            .filter_map(Node::scalar)
            .collect()
    }

    /// Where the next page begins; `None` on the last one.
    #[must_use]
    pub fn next_token(&self) -> Option<Cow<'a, str>> {
        self.0.root()?.only("NextToken")?.scalar()
    }

    /// Every queue of the answer.
    #[must_use]
    pub fn queues(&self) -> Vec<Queue> {
        let root = self.0.root().into_iter();
        root.flat_map(|root| root.named("QueueList")).map(queue).collect()
    }

    /// How many there are in all, over all pages; `None` where the answer does not say.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.0.root()?.only("TotalCount")?.scalar()?.parse().ok()
    }
}

impl Described<'_> {
    fn is_known(&self) -> bool {
        self.event.routing().id.is_some()
    }
}

/// A run as its callback has it: with the bucket, the workflow's name under the callback's own name, and without the
/// workflow's definition, whose elements the customer names.
fn as_called_back<'a>(run: Node<'_, 'a>, bucket: &str) -> Document<'a> {
    let mut document = Document::new();
    let element = document.open(Text::EMPTY, Value::Object);
    for member in run.children() {
        match &**member.name() {
            "Topology" => {}
            "Name" if !run.contains("WorkflowName") => document.copy(Text::Plain("WorkflowName"), member),
            _ => document.copy(member.name().clone(), member),
        }
    }
    close_with_bucket(&mut document, element, run, bucket);
    document
}

/// Closes the copy of an element, which has the bucket then as its callback has it.
fn close_with_bucket<'a>(document: &mut Document<'a>, copy: Open, of: Node<'_, 'a>, bucket: &str) {
    let is_named = of.only("BucketId").is_some_and(|bucket| !bucket.emptiness().is_nothing);
    if !is_named {
        document.push(Text::Plain("BucketId"), Value::Text(Text::any(bucket.to_owned())));
    }
    document.close(copy);
}

fn queue(element: Node<'_, '_>) -> Queue {
    let own = |name| text_of(element, name);
    let notify = element.only("NotifyConfig");
    let of_notify = |name| notify.map(|notify| text_of(notify, name)).unwrap_or_default();
    Queue {
        id: own("QueueId"),
        name: own("Name"),
        state: own("State"),
        category: own("Category"),
        notifies: of_notify("State").eq_ignore_ascii_case("on"),
        url: of_notify("Url"),
        events: of_notify("Event"),
        format: of_notify("ResultFormat"),
    }
}

fn text_of(element: Node<'_, '_>, name: &str) -> String {
    element.only(name).and_then(Node::scalar).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Normalised, normalise, parse};

    fn answer(body: &str) -> ApiAnswer<'_> {
        parse_answer(body.as_bytes(), &Limits::default()).unwrap()
    }

    fn callback(body: &str) -> Event<'_> {
        match normalise(parse(body.as_bytes(), &Limits::default()).unwrap()) {
            Normalised::Events(mut events) => events.pop().unwrap(),
            Normalised::Probe => panic!("a probe"),
        }
    }

    const JOB: &str = "<JobsDetail><Code>Success</Code><Message/><JobId>j1</JobId><State>Success</State>\
        <CreationTime>2022-06-27T15:23:12+0800</CreationTime><EndTime>2022-06-27T15:24:33+0800</EndTime>\
        <Tag>Transcode</Tag><Input><BucketId>media-1300000001</BucketId><Object>a.mp4</Object></Input>\
        <Operation><JobLevel>0</JobLevel></Operation></JobsDetail>";

    #[test]
    fn a_job_is_what_its_callback_is() {
        let running = JOB.replace(">Success</State>", ">Running</State>").replace("j1", "j2");
        let page = format!("<Response>{JOB}{running}<NextToken>19193</NextToken></Response>");
        let page = answer(&page);
        let jobs = page.jobs();
        let called_back = format!("<Response><EventName>TaskFinish</EventName>{JOB}</Response>");
        let called_back = callback(&called_back);
        assert_eq!(jobs[0].event.data(), called_back.data());
        assert_eq!(jobs[0].event.routing(), called_back.routing());
        assert_eq!(jobs.iter().map(|job| job.has_ended).collect::<Vec<_>>(), [true, false]);
        assert_eq!(page.next_token().as_deref(), Some("19193"));
        assert_eq!(jobs[0].event.routing().ended_at(), Some(1_656_314_673));
    }

    #[test]
    fn a_run_becomes_what_its_callback_is() {
        let tasks = "<Tasks><Type>Snapshot</Type><JobId>j1</JobId><State>Success</State>\
            <EndTime>2022-08-09T14:54:42+08:00</EndTime></Tasks>";
        let described = format!(
            "<Response><RequestId>r</RequestId><WorkflowExecution><WorkflowId>w1</WorkflowId><Name>workflow-1</Name>\
             <RunId>i1</RunId><State>Success</State><Topology><Nodes><Snapshot_1><Type>Snapshot</Type></Snapshot_1></Nodes>\
             </Topology>{tasks}</WorkflowExecution></Response>"
        );
        let called_back = format!(
            "<Response><EventName>WorkflowFinish</EventName><WorkflowExecution><RunId>i1</RunId>\
             <BucketId>media-1300000001</BucketId><WorkflowId>w1</WorkflowId><WorkflowName>workflow-1</WorkflowName>\
             <State>Success</State>{tasks}</WorkflowExecution></Response>"
        );
        let called_back = callback(&called_back);
        let described = answer(&described);
        let runs = described.runs("media-1300000001");
        assert_eq!(runs.len(), 1);
        assert_eq!(runs[0].event.data(), called_back.data());
        assert_eq!(runs[0].event.routing(), called_back.routing());
    }

    #[test]
    fn a_moderation_becomes_what_its_callback_is() {
        let result = "<Code>Success</Code><Message>Success</Message><JobId>si1</JobId><State>Success</State>\
            <Object>a.jpg</Object><Result>1</Result><PornInfo><HitFlag>1</HitFlag><Score>93</Score></PornInfo>";
        let described = format!("<Response><JobsDetail>{result}</JobsDetail></Response>");
        let called_back = format!(
            "<Response><EventName>ReviewImage</EventName><JobsDetail>{result}<BucketId>media-1300000001</BucketId>\
             </JobsDetail></Response>"
        );
        let called_back = callback(&called_back);
        let described = answer(&described);
        let results = described.moderations(Some("ReviewImage"), "media-1300000001");
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].event.data(), called_back.data());
        assert_eq!(results[0].event.routing(), called_back.routing());
        assert_eq!(described.moderations(None, "other-1300000001")[0].event.routing().event, None);
        // One that says so itself is of that bucket.
        let named = "<Response><JobsDetail><JobId>si1</JobId><BucketId>a-1300000001</BucketId></JobsDetail></Response>";
        let named = answer(named);
        let blank = answer("<Response><JobsDetail><JobId>si1</JobId><BucketId/></JobsDetail></Response>");
        assert_eq!(
            blank.moderations(None, "b-1300000001")[0].event.routing().bucket.as_deref(),
            Some("b-1300000001")
        );
        assert_eq!(
            named.moderations(None, "b-1300000001")[0].event.routing().bucket.as_deref(),
            Some("a-1300000001")
        );
    }

    #[test]
    fn what_else_an_answer_says_is_read() {
        let page = "<Response><WorkflowExecutionList><RunId>r1</RunId><State>Failed</State></WorkflowExecutionList>\
            <WorkflowExecutionList><RunId>r2</RunId><State>Running</State></WorkflowExecutionList><NextToken/></Response>";
        let page = answer(page);
        let runs = page.runs("b");
        let ids: Vec<_> = runs.iter().map(|run| (run.event.routing().id.as_deref(), run.has_ended)).collect();
        assert_eq!(ids, [(Some("r1"), true), (Some("r2"), false)]);
        assert_eq!(page.next_token(), None);
        let none = answer(
            "<Response><NonExistJobIds>j1</NonExistJobIds><NonExistJobIds>j2</NonExistJobIds></Response>",
        );
        assert_eq!((none.unknown_ids(), none.jobs().len()), (vec!["j1".into(), "j2".into()], 0));
        assert!(answer("<Response/>").jobs().is_empty());
    }

    #[test]
    fn errors_are_read_and_other_bodies_are_none() {
        let body = "<?xml version='1.0' encoding='utf-8' ?><Error><Code>AccessDenied</Code>\
            <Message>Request has expired</Message><ServerTime>2020-06-17T05:37:29Z</ServerTime></Error>";
        let limits = Limits::default();
        let error = parse_error(body.as_bytes(), &limits).unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("AccessDenied", "Request has expired"));
        for other in ["<html><body>proxy</body></html>", "", "<Error><Code>cut"] {
            assert_eq!(parse_error(other.as_bytes(), &limits), None, "{other}");
        }
    }
}
