//! What the fake knows, and what it answers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{BUCKET, Fault, REGION};

/// A job, or a run of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) tag: &'static str,
    pub(crate) state: &'static str,
    pub(crate) queue: &'static str,
    pub(crate) bucket: String,
    /// Under which path it is found by its id: `jobs`, or one of the older families.
    pub(crate) family: &'static str,
    /// What its `Operation` has beside the rest: a result.
    pub(crate) result: Arc<str>,
    /// In seconds since 1970.
    pub(crate) created: i64,
    pub(crate) ended: i64,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) jobs: Vec<Job>,
    /// The places of jobs in the list.
    by_id: BTreeMap<String, usize>,
    pub(super) faults: Vec<(String, Fault, usize)>,
    /// Seconds that its clock is ahead.
    pub(super) clock: i64,
    pub(super) asked: Vec<String>,
    pub(super) connections: usize,
    /// Of each queue its URL, whether it calls (`On`), and for what.
    pub(super) queues: Vec<(String, &'static str, &'static str)>,
    /// Pages given so far, for tokens that never come again.
    pages: usize,
}

/// An answer: its status, and its body or what goes wrong with it.
pub(super) type Answer = (u16, String);

/// The tag by which the fake's own list knows a workflow's run.
const RUN: &str = "workflow";

impl Job {
    /// A transcoding that has succeeded, so many seconds ago.
    pub(crate) fn ended(id: impl Into<String>, seconds_ago: i64) -> Self {
        let ended = now() - seconds_ago;
        Self {
            id: id.into(),
            tag: "Transcode",
            state: "Success",
            queue: "p2242ab62c7c94486915508540933a2c6",
            bucket: BUCKET.to_owned(),
            family: "jobs",
            result: Arc::from(""),
            created: ended - 60,
            ended,
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// A workflow's run.
    pub(crate) fn run(id: impl Into<String>, seconds_ago: i64) -> Self {
        Self::ended(id, seconds_ago).with(|run| run.tag = RUN)
    }

    /// What CI calls back when it has ended.
    pub(crate) fn callback(&self) -> String {
        match self.is_run() {
            true => format!(
                "<Response><EventName>WorkflowFinish</EventName><WorkflowExecution><RunId>{}</RunId>\
                 <BucketId>{}</BucketId><Object>wk-test/{}.mp4</Object><WorkflowId>w1</WorkflowId>\
                 <WorkflowName>workflow-1</WorkflowName><CreateTime>{}</CreateTime><State>{}</State>{}\
                 </WorkflowExecution></Response>",
                self.id,
                self.bucket,
                self.id,
                spelled(self.created),
                self.state,
                self.filled(include_str!("tasks.xml"))
            ),
            false => format!("<Response><EventName>TaskFinish</EventName>{}</Response>", self.element()),
        }
    }

    /// The id of its message.
    pub(crate) fn message_id(&self) -> String {
        format!("{}:{}:{}", if self.is_run() { "workflow" } else { "task" }, self.id, self.state)
    }

    fn is_run(&self) -> bool {
        self.tag == RUN
    }

    fn element(&self) -> String {
        self.filled(include_str!("job.xml"))
    }

    fn filled(&self, template: &str) -> String {
        let code = if self.state == "Success" { "Success" } else { "Failed" };
        let ended = if self.has_ended() { spelled(self.ended) } else { "-".to_owned() };
        let values = [
            ("{id}", self.id.as_str()),
            ("{code}", code),
            ("{state}", self.state),
            ("{tag}", self.tag),
            ("{queue}", self.queue),
            ("{bucket}", &self.bucket),
            ("{region}", REGION),
            ("{created}", &spelled(self.created)),
            ("{ended}", &ended),
            ("{result}", &self.result),
        ];
        values.iter().fold(template.trim_end().to_owned(), |text, (name, value)| text.replace(name, value))
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, "Success" | "Failed" | "Cancel")
    }

    /// A result of moderation, which the fake keeps under `image`.
    fn audited(&self) -> String {
        format!(
            "<Response><JobsDetail><Code>Success</Code><Message>Success</Message><JobId>{}</JobId><State>{}</State>\
             <CreationTime>{}</CreationTime><Object>a.jpg</Object><Result>1</Result><PornInfo><HitFlag>1</HitFlag>\
             <Score>93</Score></PornInfo></JobsDetail></Response>",
            self.id,
            self.state,
            spelled(self.created)
        )
    }

    /// A result of virus detection.
    fn searched_for_viruses(&self) -> String {
        format!(
            "<Response><JobsDetail><Code>Success</Code><Message>Success</Message><JobId>{}</JobId><State>{}</State>\
             <CreationTime>{}</CreationTime><Object>a.zip</Object><Suggestion>block</Suggestion><DetectDetail><Result>\
             <FileName>a/b.exe</FileName><VirusName>Win32.Test</VirusName></Result></DetectDetail></JobsDetail>\
             <RequestId>NjQ3Y2Zf</RequestId></Response>",
            self.id,
            self.state,
            spelled(self.created)
        )
    }

    fn described_run(&self) -> String {
        format!(
            "<Response><RequestId>NjJmMjA5</RequestId><WorkflowExecution><WorkflowId>w1</WorkflowId>\
             <Name>workflow-1</Name><RunId>{}</RunId><CreateTime>{}</CreateTime><Object>wk-test/{}.mp4</Object>\
             <State>{}</State>{}{}</WorkflowExecution></Response>",
            self.id,
            spelled(self.created),
            self.id,
            self.state,
            include_str!("topology.xml").trim_end(),
            self.filled(include_str!("tasks.xml"))
        )
    }

    fn listed_run(&self) -> String {
        format!(
            "<WorkflowExecutionList><RunId>{}</RunId><WorkflowId>w1</WorkflowId><State>{}</State>\
             <CreateTime>{}</CreateTime><Object>wk-test/{}.mp4</Object></WorkflowExecutionList>",
            self.id,
            self.state,
            spelled(self.created),
            self.id
        )
    }
}

impl World {
    pub(super) fn add(&mut self, jobs: impl IntoIterator<Item = Job>) {
        for job in jobs {
            self.by_id.insert(job.id.clone(), self.jobs.len());
            self.jobs.push(job);
        }
    }

    /// The fault that waits for this path, if there is one.
    pub(super) fn fault(&mut self, path: &str) -> Option<Fault> {
        let (_, fault, times) = self
            .faults
            .iter_mut()
            .find(|(prefix, _, times)| *times > 0 && path.starts_with(prefix.as_str()))?;
        *times -= 1;
        Some(fault.clone())
    }

    pub(super) fn now(&self) -> i64 {
        now() + self.clock
    }

    pub(super) fn answer(&mut self, path: &str, parameters: &BTreeMap<String, String>) -> Answer {
        match path.trim_start_matches('/').split_once('/') {
            None => match path {
                "/jobs" | "/doc_jobs" => self.list(path, parameters),
                "/workflowexecution" => self.list(path, parameters),
                "/queue" => (200, self.queues()),
                _ => (200, "<Response><TotalCount>0</TotalCount></Response>".to_owned()),
            },
            Some(("workflowexecution", id)) => match self.find(id).filter(|job| job.is_run()) {
                Some(run) => (200, run.described_run()),
                None => refused(404, "NoSuchWorkflowExecution", "The specified run does not exist."),
            },
            Some((_, auditing)) if auditing.starts_with("auditing/") => {
                match self.find(&auditing["auditing/".len()..]) {
                    Some(job) => (200, job.audited()),
                    None => refused(404, "NoSuchAuditingJob", "The specified job does not exist."),
                }
            }
            Some(("virus", id)) => match self.find(id.trim_start_matches("detect/")) {
                Some(job) => (200, job.searched_for_viruses()),
                None => refused(404, "NoSuchJob", "The specified job does not exist."),
            },
            Some((family, ids)) => (200, self.by_ids(family, ids)),
        }
    }

    /// As the vendor publishes them, in the order in which the test has them.
    fn queues(&self) -> String {
        let one = |(number, (url, state, events)): (usize, &(String, &str, &str))| {
            format!(
                "<QueueList><QueueId>p{number}</QueueId><Name>queue-{number}</Name><State>Active</State>\
                 <NotifyConfig><State>{state}</State><Url>{url}</Url><Event>{events}</Event><Type>Url</Type>\
                 <ResultFormat>XML</ResultFormat></NotifyConfig><MaxSize>10000</MaxSize><MaxConcurrent>10</MaxConcurrent>\
                 <CreateTime>2022-06-27T15:23:12+0800</CreateTime><Category>Transcoding</Category></QueueList>"
            )
        };
        let queues: String = self.queues.iter().enumerate().map(one).collect();
        let count = self.queues.len();
        format!(
            "<Response><RequestId>NjJmMjA5</RequestId><TotalCount>{count}</TotalCount><PageNumber>1</PageNumber>\
             <PageSize>100</PageSize>{queues}</Response>"
        )
    }

    fn find(&self, id: &str) -> Option<&Job> {
        self.by_id.get(id).map(|at| &self.jobs[*at])
    }

    fn by_ids(&self, family: &str, ids: &str) -> String {
        let one = |id| match self.find(id).filter(|job| !job.is_run() && job.family == family) {
            Some(job) => job.element(),
            None => format!("<NonExistJobIds>{id}</NonExistJobIds>"),
        };
        format!("<Response>{}</Response>", ids.split(',').map(one).collect::<String>())
    }

    fn list(&mut self, path: &str, parameters: &BTreeMap<String, String>) -> Answer {
        let text = |name: &str| parameters.get(name).map_or("", String::as_str);
        let tag = if path == "/workflowexecution" { RUN } else { text("tag") };
        if tag.is_empty() {
            return refused(400, "InvalidArgument", "tag is required");
        }
        let (Some(from), Some(to)) = (read(text("startCreationTime")), read(text("endCreationTime"))) else {
            return refused(400, "InvalidArgument", "a time is not as it should be");
        };
        let states: Vec<_> = text("states").split(',').collect();
        let size: usize = text("size").parse().unwrap_or(10);
        if !(1..=100).contains(&size) {
            return refused(400, "InvalidArgument", "size is 100 at most");
        }
        let start: usize = text("nextToken").parse().unwrap_or(0);
        let is_wanted =
            |job: &&Job| job.tag == tag && (from..=to).contains(&job.created) && states.contains(&job.state);
        let mut body = String::from("<Response>");
        let mut page = self.jobs.iter().filter(is_wanted).skip(start);
        for job in page.by_ref().take(size) {
            match job.is_run() {
                true => body.push_str(&job.listed_run()),
                false => body.push_str(&job.element()),
            }
        }
        if page.next().is_some() {
            let _ = write!(body, "<NextToken>{}</NextToken>", start + size);
        }
        (200, body + "</Response>")
    }

    /// A page that leads on for ever.
    pub(super) fn page_without_end(&mut self) -> String {
        self.pages += 1;
        format!("<Response><NextToken>{}</NextToken></Response>", self.pages)
    }
}

pub(super) fn refused(status: u16, code: &str, message: &str) -> Answer {
    (
        status,
        format!(
            "<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n<Code>{code}</Code>\n<Message>{message}</Message>\n</Error>"
        ),
    )
}

pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_secs()).expect("a clock before the year 10000")
}

/// `2022-06-27T15:23:12+0800`
fn spelled(seconds: i64) -> String {
    let (days, second) = ((seconds + 8 * 3600).div_euclid(86_400), (seconds + 8 * 3600).rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}+0800",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

fn read(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    if text.len() != 24 || !text.ends_with("+0800") {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let day = (0..100_000).find(|from_1970| date_of(*from_1970) == (year, month, day))?;
    Some(day * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)? - 8 * 3600)
}

/// The date of a day since 1970, as the proleptic calendar counts.
pub(super) fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}
