//! What is remembered of one callback: enough to say what became of it and where it went, and nothing of its body.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ci_bridge_publisher::Decision;
use ci_bridge_schema::Kind;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::words::{Keep, Words};
use crate::answer::BUCKET_NOT_ALLOWED;
use crate::metrics::Outcome;

/// What a fact takes at most, in bytes: itself, and the texts that it holds.
pub(super) const MAX_BYTES: usize = 300;
/// Its texts, in bytes.
const TEXT_BYTES: usize = MAX_BYTES - size_of::<Fact>();

/// One callback, or one request that was turned away.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    /// Its place among all since the bridge started, the first being 1.
    pub(super) number: u64,
    /// When its head had arrived, in milliseconds since 1970.
    pub(super) at: u64,
    pub(super) outcome: Outcome,
    status: u16,
    total: Micros,
    stages: [Option<Micros>; Stage::ALL.len()],
    bytes: u32,
    /// The jobs, runs or results that it tells of.
    events: u16,
    messages: u16,
    kind: Option<Kind>,
    decision: Option<Decision>,
    is_duplicate: bool,
    /// Where its first message is stored.
    stored: Option<(Arc<str>, u64)>,
    reason: &'static str,
    words: Words<{ Word::ALL.len() }>,
}

/// Microseconds, at least one, and at most an hour and eleven minutes.
type Micros = NonZeroU32;

/// What a callback's time goes into.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// Its body is read.
    Read,
    /// Parse, normalise, route.
    Parse,
    /// CI is asked whether it is true.
    Verify,
    Publish,
}

/// A text of a fact. The earlier ones are the more important.
#[derive(Debug, Clone, Copy)]
enum Word {
    Id,
    Subject,
    Tag,
    State,
    Endpoint,
    Object,
    Bucket,
    Detail,
}

/// A fact before it is packed.
#[derive(Debug)]
pub(crate) struct Telling<'a> {
    pub(crate) at: Duration,
    pub(crate) outcome: Outcome,
    pub(crate) status: u16,
    pub(crate) total: Duration,
    pub(crate) stages: [Option<Duration>; Stage::ALL.len()],
    pub(crate) bytes: u64,
    pub(crate) events: usize,
    pub(crate) messages: usize,
    pub(crate) kind: Option<Kind>,
    pub(crate) decision: Option<Decision>,
    pub(crate) is_duplicate: bool,
    pub(crate) stored: Option<(Arc<str>, u64)>,
    pub(crate) reason: &'static str,
    pub(crate) id: &'a str,
    pub(crate) subject: &'a str,
    /// Tag, state or verdict, object and bucket.
    pub(crate) event: &'a EventWords,
    pub(crate) endpoint: &'a str,
    pub(crate) detail: &'a str,
}

/// Tag, state or verdict, object and bucket of an event.
pub(crate) type EventWords = Words<4>;

impl Fact {
    pub(super) fn pack(number: u64, told: &Telling<'_>) -> Self {
        let of_event = |word: Word| word.place_in_event().and_then(|place| told.event.get(place));
        let word = |word: Word| match word {
            Word::Id => (told.id, Keep::Beginning),
            Word::Subject => (told.subject, Keep::Beginning),
            Word::Endpoint => (told.endpoint, Keep::Beginning),
            Word::Detail => (told.detail, Keep::Beginning),
            Word::Object => (of_event(word).unwrap_or_default(), Keep::End),
            Word::Tag | Word::State | Word::Bucket => (of_event(word).unwrap_or_default(), Keep::Beginning),
        };
        let mut words = Words::pack(Word::ALL.map(word), TEXT_BYTES);
        let was_cut = |word: &Word| word.place_in_event().is_some_and(|place| told.event.is_cut(place));
        Word::ALL.into_iter().filter(was_cut).for_each(|word| words.mark_cut(word as usize));
        Self {
            number,
            at: u64::try_from(told.at.as_millis()).unwrap_or(u64::MAX),
            outcome: told.outcome,
            status: told.status,
            total: micros(told.total),
            stages: told.stages.map(|stage| stage.map(micros)),
            bytes: u32::try_from(told.bytes).unwrap_or(u32::MAX),
            events: u16::try_from(told.events).unwrap_or(u16::MAX),
            messages: u16::try_from(told.messages).unwrap_or(u16::MAX),
            kind: told.kind,
            decision: told.decision,
            is_duplicate: told.is_duplicate,
            stored: told.stored.clone(),
            reason: told.reason,
            words,
        }
    }

    fn word(&self, word: Word) -> Option<&str> {
        self.words.get(word as usize)
    }

    /// The `JobId` or `RunId` that stands in the message's id: `task:<JobId>:<State>`.
    fn job(&self) -> Option<&str> {
        let (kind, id) = (self.kind?, self.word(Word::Id)?);
        id.strip_prefix(kind.as_str())?.strip_prefix(':')?.split(':').next()
    }

    /// What decided where it goes, or that it goes nowhere, by its key in the configuration.
    fn decided_by(&self) -> Option<String> {
        if self.reason == BUCKET_NOT_ALLOWED {
            return Some("allow_buckets".to_owned());
        }
        let template = format!("subjects.{}", self.kind?.as_str());
        Some(match self.decision? {
            Decision::Template => template,
            Decision::Rule(rule) => format!("rules[{rule}]"),
            Decision::Copy(rule) => format!("{template}, and a copy by rules[{rule}]"),
        })
    }
}

fn micros(time: Duration) -> Micros {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    NonZeroU32::new(micros).unwrap_or(NonZeroU32::MIN)
}

fn milliseconds(micros: Micros) -> f64 {
    f64::from(micros.get()) / 1000.0
}

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("n", &self.number)?;
        map.serialize_entry("t", &self.at)?;
        map.serialize_entry("outcome", self.outcome.as_str())?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("ms", &milliseconds(self.total))?;
        map.serialize_entry("stages", &Stages(&self.stages))?;
        map.serialize_entry("bytes", &self.bytes)?;
        map.serialize_entry("jobs", &self.events)?;
        map.serialize_entry("messages", &self.messages)?;
        map.serialize_entry("duplicate", &self.is_duplicate)?;
        if let Some(kind) = self.kind {
            map.serialize_entry("kind", kind.as_str())?;
        }
        for word in Word::ALL {
            if let Some(text) = self.word(word) {
                map.serialize_entry(word.as_str(), text)?;
            }
        }
        if let Some(job) = self.job() {
            map.serialize_entry("job", job)?;
        }
        if let Some((stream, sequence)) = &self.stored {
            map.serialize_entry("stream", &**stream)?;
            map.serialize_entry("seq", sequence)?;
        }
        if !self.reason.is_empty() {
            map.serialize_entry("reason", self.reason)?;
        }
        if let Some(decided_by) = self.decided_by() {
            map.serialize_entry("rule", &decided_by)?;
        }
        let mut cut = Word::ALL.into_iter().filter(|word| self.words.is_cut(*word as usize)).peekable();
        if cut.peek().is_some() {
            map.serialize_entry("cut", &cut.map(Word::as_str).collect::<Vec<_>>())?;
        }
        map.end()
    }
}

/// The stages that took place, in milliseconds.
struct Stages<'a>(&'a [Option<Micros>; Stage::ALL.len()]);

impl Serialize for Stages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let took_place =
            Stage::ALL.into_iter().zip(self.0).filter_map(|(stage, time)| Some((stage, (*time)?)));
        serializer.collect_map(took_place.map(|(stage, time)| (stage.as_str(), milliseconds(time))))
    }
}

impl Stage {
    pub(crate) const ALL: [Self; 4] = [Self::Read, Self::Parse, Self::Verify, Self::Publish];

    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Parse => "parse",
            Self::Verify => "verify",
            Self::Publish => "publish",
        }
    }
}

impl Word {
    const ALL: [Self; 8] = [
        Self::Id,
        Self::Subject,
        Self::Tag,
        Self::State,
        Self::Endpoint,
        Self::Object,
        Self::Bucket,
        Self::Detail,
    ];

    /// Where an event's words have it.
    fn place_in_event(self) -> Option<usize> {
        match self {
            Self::Tag => Some(0),
            Self::State => Some(1),
            Self::Object => Some(2),
            Self::Bucket => Some(3),
            Self::Id | Self::Subject | Self::Endpoint | Self::Detail => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Subject => "subject",
            Self::Tag => "tag",
            Self::State => "state",
            Self::Endpoint => "endpoint",
            Self::Object => "object",
            Self::Bucket => "bucket",
            Self::Detail => "detail",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use super::*;
    use serde_json::{Value, json};

    fn event(tag: &str, object: &str) -> EventWords {
        let end = (object, Keep::End);
        Words::pack(
            [
                (tag, Keep::Beginning),
                ("Success", Keep::Beginning),
                end,
                ("media-1300000001", Keep::Beginning),
            ],
            255,
        )
    }

    pub(in super::super) fn telling(outcome: Outcome) -> Telling<'static> {
        static EVENT: LazyLock<EventWords> = LazyLock::new(|| event("Transcode", "in/a.mp4"));
        Telling {
            at: Duration::from_millis(1_800_000_000_123),
            outcome,
            status: 200,
            total: Duration::from_micros(1930),
            stages: [Some(Duration::from_micros(100)), Some(Duration::from_micros(40)), None, None],
            bytes: 1234,
            events: 1,
            messages: 1,
            kind: Some(Kind::Task),
            decision: Some(Decision::Template),
            is_duplicate: false,
            stored: Some(("CI".into(), 7)),
            reason: "",
            id: "task:j1:Success",
            subject: "ci.task.Transcode.success",
            event: &EVENT,
            endpoint: "default",
            detail: "",
        }
    }

    #[test]
    fn a_fact_says_what_became_of_a_callback() {
        let fact = Fact::pack(17, &telling(Outcome::Published));
        let expected = json!({
            "n": 17, "t": 1_800_000_000_123_u64, "outcome": "published", "status": 200, "ms": 1.93,
            "stages": {"read": 0.1, "parse": 0.04}, "bytes": 1234, "jobs": 1, "messages": 1, "duplicate": false,
            "kind": "task", "id": "task:j1:Success", "subject": "ci.task.Transcode.success", "tag": "Transcode",
            "state": "Success", "endpoint": "default", "object": "in/a.mp4", "bucket": "media-1300000001",
            "job": "j1", "stream": "CI", "seq": 7, "rule": "subjects.task",
        });
        assert_eq!(serde_json::to_value(&fact).unwrap(), expected);
    }

    #[test]
    fn what_decided_is_named_as_the_configuration_names_it() {
        for (decision, expected) in [
            (Decision::Template, "subjects.task"),
            (Decision::Rule(3), "rules[3]"),
            (Decision::Copy(0), "subjects.task, and a copy by rules[0]"),
        ] {
            let told = Telling { decision: Some(decision), ..telling(Outcome::Published) };
            assert_eq!(serde_json::to_value(Fact::pack(1, &told)).unwrap()["rule"], expected);
        }
    }

    #[test]
    fn a_fact_of_the_longest_values_takes_no_more_than_its_share() {
        let long = "长".repeat(400);
        let told = Telling {
            id: &long,
            subject: &long,
            event: &Words::pack([(long.as_str(), Keep::Beginning); 4], 255),
            endpoint: &long,
            detail: &long,
            bytes: u64::MAX,
            events: usize::MAX,
            total: Duration::MAX,
            ..telling(Outcome::Quarantined)
        };
        let fact = Fact::pack(1, &told);
        assert!(size_of::<Fact>() + fact.words.bytes() <= MAX_BYTES);
        let shown = serde_json::to_value(&fact).unwrap();
        assert_eq!(shown["cut"].as_array().map(Vec::len), Some(8), "{shown}");
        // A usual one is whole: a task's id and its subject are, and so is the object's key.
        let usual = Telling {
            id: "task:jc46435e40bcc11ed83d6e19dd89b02cc:Success",
            subject: "ci.task.VideoTargetRec.success",
            event: &event("VideoTargetRec", "prefix/2026/11/26/interview-with-subtitles.mp4"),
            ..telling(Outcome::Published)
        };
        let shown = serde_json::to_value(Fact::pack(1, &usual)).unwrap();
        assert_eq!(shown["cut"], Value::Null, "{} {shown}", size_of::<Fact>());
    }
}
