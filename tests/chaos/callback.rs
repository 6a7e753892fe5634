//! Callbacks that follow from their number: what must be in the streams can be said again at any time, so the
//! books need not hold a body.

use std::fmt::Write;

use crate::random::Random;

/// What is posted under one number.
#[derive(Debug)]
pub(crate) struct Callback {
    pub(crate) number: u64,
    kind: Kind,
    /// It is posted a second time, in the other encoding.
    pub(crate) twice: bool,
}

#[derive(Debug)]
enum Kind {
    Task(Vec<Job>),
    Broken,
    Probe,
}

#[derive(Debug)]
struct Job {
    id: String,
    tag: &'static str,
    state: &'static str,
    size: Size,
}

/// How large a job's result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Usual,
    /// `UserData` of [`LARGE`] bytes.
    Large,
    /// So many sentences of speech, of [`SENTENCE`] bytes each.
    Huge(usize),
}

/// A message that a callback must come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
}

/// Larger than [`SMALL_PAYLOAD`](crate::broker::SMALL_PAYLOAD), and than what quarantine keeps of a message.
const LARGE: usize = 100 * 1024;
/// Of a huge result: larger than the `max_payload` of every server here, whose default is 1 MiB.
const SENTENCES: std::ops::Range<u64> = 2048..4096;
const SENTENCE: usize = 1024;
/// Needs escapes in XML and in JSON, and more than one byte a character.
const MESSAGE: (&str, &str, &str) =
    ("降噪 &lt;ok&gt; &amp; \"done\" \\", r#"\u964d\u566a <ok> & \"done\" \\"#, r#"降噪 <ok> & \"done\" \\"#);

/// What the vendor's console sends to try a URL.
const PROBE: &str = r#"{"code":0,"data":{"event":"ReviewImage","forbidden_status":0,"porn_info":{"hit_flag":0,"label":"","score":9},"result":0,"trace_id":"test_trace_id","url":"https://media-1300000001.cos.ap-chengdu.myqcloud.com/test.jpg"},"message":"Test request when setting callback url"}"#;

impl Callback {
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        let mut random = Random::new(seed.rotate_left(32) ^ number);
        let kind = match random.below(300) {
            0..3 => Kind::Broken,
            3..6 => Kind::Probe,
            6 => Kind::Task(vec![Job::of(number, 0, Size::Large, &mut random)]),
            7 if random.one_in(5) => {
                let sentences = SENTENCES.start + random.below(SENTENCES.end - SENTENCES.start);
                let size = Size::Huge(usize::try_from(sentences).unwrap_or_default());
                Kind::Task(vec![Job::of(number, 0, size, &mut random)])
            }
            choice => {
                let jobs = if choice < 75 { 1 + random.below(8) } else { 1 };
                Kind::Task((0..jobs).map(|job| Job::of(number, job, Size::Usual, &mut random)).collect())
            }
        };
        Self { number, kind, twice: random.one_in(8) }
    }

    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.kind, Kind::Broken)
    }

    pub(crate) fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Probe)
    }

    pub(crate) fn is_large(&self) -> bool {
        matches!(&self.kind, Kind::Task(jobs) if jobs[0].size != Size::Usual)
    }

    pub(crate) fn messages(&self) -> Vec<Expected> {
        match &self.kind {
            Kind::Task(jobs) => jobs.iter().map(Job::message).collect(),
            Kind::Broken | Kind::Probe => Vec::new(),
        }
    }

    pub(crate) fn xml(&self) -> String {
        match &self.kind {
            Kind::Task(jobs) => {
                let jobs: String = jobs.iter().map(Job::xml).collect();
                format!("<Response><EventName>TaskFinish</EventName>{jobs}</Response>")
            }
            Kind::Broken => format!("<Response><Broken>c{}</Response>", self.number),
            Kind::Probe => PROBE.to_owned(),
        }
    }

    pub(crate) fn json(&self) -> String {
        let Kind::Task(jobs) = &self.kind else {
            return self.xml();
        };
        let detail = match &jobs[..] {
            [job] => job.json(),
            jobs => format!("[{}]", jobs.iter().map(Job::json).collect::<Vec<_>>().join(",")),
        };
        format!(r#"{{"JobsDetail":{detail},"EventName":"TaskFinish"}}"#)
    }
}

impl Job {
    fn of(number: u64, job: u64, size: Size, random: &mut Random) -> Self {
        let tags = ["NoiseReduction", "Transcode", "Snapshot", "MediaInfo"];
        Self {
            id: format!("c{number}-{job}"),
            tag: tags[usize::try_from(random.below(4)).unwrap_or(0)],
            state: if random.one_in(4) { "Failed" } else { "Success" },
            size,
        }
    }

    fn xml(&self) -> String {
        let Self { id, tag, state, .. } = self;
        format!(
            "<JobsDetail><JobId>{id}</JobId><Tag>{tag}</Tag><State>{state}</State><Message>{}</Message>\
             <Input><BucketId>media-1300000001</BucketId><Object>in/{id}.mp3</Object></Input>\
             {}<UserData>{}</UserData></JobsDetail>",
            MESSAGE.0,
            self.sentences(
                |list| format!(
                    "<Operation><SpeechRecognitionResult>{list}</SpeechRecognitionResult></Operation>"
                ),
                |text| format!("<ResultDetail><FinalSentence>{text}</FinalSentence></ResultDetail>"),
            ),
            self.padding()
        )
    }

    /// In another order than XML, and than the message.
    fn json(&self) -> String {
        let Self { id, tag, state, .. } = self;
        format!(
            r#"{{{}"UserData":"{}","Tag":"{tag}","State":"{state}","JobId":"{id}","Message":"{}","Input":{{"Object":"in/{id}.mp3","BucketId":"media-1300000001"}}}}"#,
            self.operation().map_or_else(String::new, |operation| operation + ","),
            self.padding(),
            MESSAGE.1
        )
    }

    fn message(&self) -> Expected {
        let Self { id, tag, state, .. } = self;
        let mut body = format!(
            r#"{{"Input":{{"BucketId":"media-1300000001","Object":"in/{id}.mp3"}},"JobId":"{id}","Message":"{}",{}"State":"{state}","Tag":"{tag}""#,
            MESSAGE.2,
            self.operation().map_or_else(String::new, |operation| operation + ",")
        );
        if self.size == Size::Large {
            // Writing to a string has no way to fail.
            let _ = write!(body, r#","UserData":"{}""#, self.padding());
        }
        body.push('}');
        Expected {
            subject: format!("ci.task.{tag}.{}", state.to_lowercase()),
            id: format!("task:{id}:{state}"),
            body: body.into_bytes(),
        }
    }

    fn padding(&self) -> String {
        "x".repeat(if self.size == Size::Large { LARGE } else { 0 })
    }

    /// The member `Operation` of a huge result, in JSON.
    fn operation(&self) -> Option<String> {
        let operation = self.sentences(
            |list| {
                let list = list.trim_end_matches(',');
                format!(r#""Operation":{{"SpeechRecognitionResult":{{"ResultDetail":[{list}]}}}}"#)
            },
            |text| format!(r#"{{"FinalSentence":"{text}"}},"#),
        );
        (!operation.is_empty()).then_some(operation)
    }

    /// Each sentence is one of its own, so that no chunk is like another.
    fn sentences(&self, whole: impl Fn(String) -> String, one: impl Fn(String) -> String) -> String {
        let Size::Huge(count) = self.size else { return String::new() };
        whole((0..count).map(|at| one(format!("{at:0>SENTENCE$}"))).collect())
    }
}
