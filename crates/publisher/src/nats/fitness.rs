//! Whether a stream keeps what 200 promises: each setting that voids, bounds, changes or delays the promise, what it
//! does, and what to do about it. `docs/streams.md` has the same table for people, held equal by a test.

use std::time::Duration;

use super::stream_config::{StreamConfig, StreamInfo};
use super::stream_spec::{Holds, StreamSpec};

/// What a setting means for what 200 promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing published to the stream is known to be kept: the bridge is not ready.
    Unfit,
    /// The promise is weaker than it looks, and is said to be: a warning.
    Weaker,
    /// Kept, but not as it was sent, or not for it alone: a note.
    Note,
}

/// One setting of a stream that concerns the promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The setting, as nats-server names it.
    pub setting: &'static str,
    /// What it means for the promise.
    pub verdict: Verdict,
    /// What the setting is and does, in a sentence.
    pub effect: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// A row of the table: what is looked for, and what it means.
struct Row {
    setting: &'static str,
    verdict: Verdict,
    remedy: &'static str,
    /// What the setting does, if it is set so that it does.
    effect: fn(&Subject<'_>) -> Option<String>,
}

/// What is judged.
struct Subject<'a> {
    config: &'a StreamConfig,
    consumers: u64,
    /// Messages of events: none may go unread. Quarantine is bounded on purpose.
    keeps_all: bool,
    /// What it is for.
    holds: Holds,
    max_age: Duration,
}

fn said(when: bool, effect: impl FnOnce() -> String) -> Option<String> {
    when.then(effect)
}

/// Every setting that concerns the promise.
const TABLE: &[Row] = &[
    Row {
        setting: "no_ack",
        verdict: Verdict::Unfit,
        remedy: "switch no_ack off: the bridge cannot tell what was stored",
        effect: |s| said(s.config.no_ack, || "acknowledges nothing".to_owned()),
    },
    Row {
        setting: "sealed",
        verdict: Verdict::Unfit,
        remedy: "name another stream: a sealed one cannot be opened again",
        effect: |s| said(s.config.sealed, || "is sealed and takes no message".to_owned()),
    },
    Row {
        setting: "mirror",
        verdict: Verdict::Unfit,
        remedy: "publish to the stream that it mirrors",
        effect: |s| said(s.config.mirror.is_some(), || "is a mirror and takes no publish".to_owned()),
    },
    Row {
        setting: "allow_msg_counter",
        verdict: Verdict::Unfit,
        remedy: "name another stream: a counter takes numbers only",
        effect: |s| said(s.config.allow_msg_counter, || "is a counter and takes no events".to_owned()),
    },
    Row {
        setting: "allow_rollup_hdrs",
        verdict: Verdict::Unfit,
        remedy: "allow rollups, as every object store does",
        effect: |s| {
            said(s.holds == Holds::Objects && !s.config.allow_rollup_hdrs, || {
                "is an object store without rollups: the names of objects cannot be written".to_owned()
            })
        },
    },
    Row {
        setting: "retention",
        verdict: Verdict::Unfit,
        remedy: "create a durable consumer for each service first, or use limits retention",
        effect: |s| {
            said(s.config.retention == "interest" && s.consumers == 0, || {
                "keeps only what a consumer waits for, and has no consumer: what is acknowledged is dropped"
                    .to_owned()
            })
        },
    },
    Row {
        setting: "retention",
        verdict: Verdict::Weaker,
        remedy: "use limits retention, or durable consumers that together want every subject",
        effect: |s| {
            said(s.config.retention == "interest" && s.consumers > 0, || {
                "keeps a message only for consumers that exist when it comes and want its subject".to_owned()
            })
        },
    },
    Row {
        setting: "retention",
        verdict: Verdict::Note,
        remedy: "none, if one group of workers shares the stream",
        effect: |s| {
            said(s.config.retention == "workqueue", || {
                "drops each message after its first acknowledgement".to_owned()
            })
        },
    },
    Row {
        setting: "persist_mode",
        verdict: Verdict::Weaker,
        remedy: "use persist_mode default",
        effect: |s| {
            said(s.config.persist_mode == "async", || {
                "acknowledges before it writes: a crash of NATS loses what was acknowledged".to_owned()
            })
        },
    },
    Row {
        setting: "storage",
        verdict: Verdict::Weaker,
        remedy: "use file storage",
        effect: |s| {
            said(s.config.in_memory(), || {
                "is in memory only: a restart of NATS loses acknowledged messages".to_owned()
            })
        },
    },
    Row {
        setting: "max_msgs",
        verdict: Verdict::Weaker,
        remedy: "use discard new, so that a full stream refuses instead",
        effect: |s| dropped_when_full(s, s.config.max_msgs, "messages"),
    },
    Row {
        setting: "max_bytes",
        verdict: Verdict::Weaker,
        remedy: "use discard new, so that a full stream refuses instead",
        effect: |s| dropped_when_full(s, s.config.max_bytes, "bytes"),
    },
    Row {
        setting: "max_msgs_per_subject",
        verdict: Verdict::Weaker,
        remedy: "lift the limit, or put {job_id} into the subject",
        effect: |s| {
            // Of a key the last value is what is asked for.
            let limit =
                StreamConfig::limit(s.config.max_msgs_per_subject).filter(|_| s.holds != Holds::Keys)?;
            Some(match s.config.discards_new() && s.config.discard_new_per_subject {
                true => format!("refuses a subject's message number {}: it waits in the spool", limit + 1),
                false => format!("keeps the last {limit} messages of a subject, read or not"),
            })
        },
    },
    Row {
        setting: "max_msg_size",
        verdict: Verdict::Weaker,
        remedy: "raise it to the server's max_payload",
        effect: |s| {
            let limit = StreamConfig::limit(s.config.max_msg_size)?;
            Some(format!(
                "takes messages of at most {limit} bytes; larger ones go to the object store, or are refused with 413"
            ))
        },
    },
    Row {
        setting: "max_age",
        verdict: Verdict::Weaker,
        remedy: "raise the stream's max_age, or lower jetstream.max_age to what is meant",
        effect: |s| {
            let age = s.config.max_age;
            let shorter = !age.is_zero() && (s.max_age.is_zero() || age < s.max_age);
            said(shorter, || {
                format!(
                    "keeps messages for {} s only, read or not, which is less than configured",
                    age.as_secs()
                )
            })
        },
    },
    Row {
        setting: "subject_transform",
        verdict: Verdict::Weaker,
        remedy: "subscribe to the subjects that it makes, or remove it",
        effect: |s| {
            said(s.config.subject_transform.is_some(), || {
                "stores messages under other subjects than the bridge publishes and answers".to_owned()
            })
        },
    },
    Row {
        setting: "allow_rollup_hdrs",
        verdict: Verdict::Note,
        remedy: "none, if no other publisher may write here; the bridge never sends Nats-Rollup",
        effect: |s| {
            said(s.config.allow_rollup_hdrs && s.holds == Holds::Messages, || {
                "lets any other publisher purge it with Nats-Rollup".to_owned()
            })
        },
    },
    Row {
        setting: "allow_msg_ttl",
        verdict: Verdict::Note,
        remedy: "none; the bridge never sends Nats-TTL",
        effect: |s| {
            said(s.config.allow_msg_ttl, || "lets other publishers' messages expire one by one".to_owned())
        },
    },
    Row {
        setting: "subject_delete_marker_ttl",
        verdict: Verdict::Note,
        remedy: "consumers skip messages with Nats-Marker-Reason",
        effect: |s| {
            said(!s.config.subject_delete_marker_ttl.is_zero(), || {
                "puts markers without a body between the events".to_owned()
            })
        },
    },
    Row {
        setting: "republish",
        verdict: Verdict::Note,
        remedy: "none, if the copies are wanted",
        effect: |s| said(s.config.republish.is_some(), || "publishes each message a second time".to_owned()),
    },
    Row {
        setting: "max_consumers",
        verdict: Verdict::Note,
        remedy: "raise it before a further service subscribes",
        effect: |s| {
            let limit = StreamConfig::limit(s.config.max_consumers)?;
            said(s.consumers >= limit, || format!("has all the {limit} consumers that it may have"))
        },
    },
    Row {
        setting: "deny_delete",
        verdict: Verdict::Note,
        remedy: "allow deletes, or let `quarantine replay --keep` leave the bodies",
        effect: |s| {
            said(s.config.deny_delete && !s.keeps_all, || {
                "keeps what `quarantine replay` has dealt with".to_owned()
            })
        },
    },
];

fn dropped_when_full(subject: &Subject<'_>, limit: i64, unit: &str) -> Option<String> {
    let limit = StreamConfig::limit(limit)?;
    said(subject.keeps_all && !subject.config.discards_new(), || {
        format!("drops the oldest message, read or not, beyond {limit} {unit}")
    })
}

/// What of a stream's settings concerns the promise; the worst first.
pub(super) fn judge(info: &StreamInfo, spec: &StreamSpec) -> Vec<Finding> {
    let subject = Subject {
        config: &info.config,
        consumers: info.state.consumer_count,
        keeps_all: spec.discard_new,
        holds: spec.holds,
        max_age: spec.max_age,
    };
    let found = TABLE.iter().filter_map(|row| {
        let &Row { setting, verdict, remedy, effect } = row;
        Some(Finding { setting, verdict, remedy, effect: effect(&subject)? })
    });
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|finding| finding.verdict);
    found
}

/// Each setting that is judged, with the verdicts that it can get, for the documentation.
#[must_use]
pub fn judged_settings() -> Vec<(&'static str, Verdict)> {
    TABLE.iter().map(|row| (row.setting, row.verdict)).collect()
}

impl Verdict {
    /// `unfit`, `weaker` or `note`: a label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unfit => "unfit",
            Self::Weaker => "weaker",
            Self::Note => "note",
        }
    }
}

impl Finding {
    /// The finding as a sentence about the stream.
    #[must_use]
    pub fn sentence(&self, stream: &str) -> String {
        format!("stream {stream} {} ({}): {}", self.effect, self.setting, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::stream_spec::Missing;

    fn spec(keeps_all: bool) -> StreamSpec {
        StreamSpec {
            name: "CI".into(),
            subjects: vec!["ci.>".into()],
            missing: Missing::Wait,
            in_memory: false,
            replicas: 1,
            duplicate_window: Duration::from_secs(7200),
            max_age: Duration::from_secs(7 * 86400),
            max_bytes: None,
            discard_new: keeps_all,
            holds: Holds::Messages,
            api_prefix: "$JS.API".into(),
        }
    }

    /// What is found in the usual configuration with some settings replaced.
    fn found(settings: &str, consumers: u64, keeps_all: bool) -> Vec<(&'static str, Verdict)> {
        let usual = r#"{"name":"CI","retention":"limits","storage":"file","max_age":604800000000000}"#;
        let object = |text: &str| serde_json::from_str::<serde_json::Map<_, _>>(text).unwrap();
        let mut config = object(usual);
        config.extend(object(&format!("{{{settings}}}")));
        let info = serde_json::json!({ "config": config, "state": { "consumer_count": consumers } });
        let info: StreamInfo = serde_json::from_value(info).unwrap();
        judge(&info, &spec(keeps_all)).into_iter().map(|finding| (finding.setting, finding.verdict)).collect()
    }

    /// Settings, consumers, and what is found.
    type Expected<'a> = (&'a str, u64, &'a [(&'a str, Verdict)]);

    #[test]
    fn each_setting_gets_its_verdict() {
        use Verdict::{Note, Unfit, Weaker};
        #[rustfmt::skip]
        let rows: &[Expected<'_>] = &[
            ("", 0, &[]),
            (r#""discard":"new","max_bytes":1000,"max_msgs":10"#, 0, &[]),
            (r#""no_ack":true"#, 0, &[("no_ack", Unfit)]),
            (r#""sealed":true"#, 0, &[("sealed", Unfit)]),
            (r#""mirror":{"name":"X"}"#, 0, &[("mirror", Unfit)]),
            (r#""allow_msg_counter":true"#, 0, &[("allow_msg_counter", Unfit)]),
            (r#""retention":"interest""#, 0, &[("retention", Unfit)]),
            (r#""retention":"interest""#, 1, &[("retention", Weaker)]),
            (r#""retention":"workqueue""#, 0, &[("retention", Note)]),
            (r#""persist_mode":"async""#, 0, &[("persist_mode", Weaker)]),
            (r#""storage":"memory""#, 0, &[("storage", Weaker)]),
            (r#""discard":"old","max_msgs":10"#, 0, &[("max_msgs", Weaker)]),
            (r#""discard":"old","max_bytes":10"#, 0, &[("max_bytes", Weaker)]),
            (r#""discard":"old","max_msgs_per_subject":1"#, 0, &[("max_msgs_per_subject", Weaker)]),
            (r#""max_msg_size":1000"#, 0, &[("max_msg_size", Weaker)]),
            (r#""max_age":60000000000"#, 0, &[("max_age", Weaker)]),
            (r#""max_age":0"#, 0, &[]),
            (r#""subject_transform":{"src":"ci.>","dest":"x.>"}"#, 0, &[("subject_transform", Weaker)]),
            (r#""allow_rollup_hdrs":true"#, 0, &[("allow_rollup_hdrs", Note)]),
            (r#""allow_msg_ttl":true,"subject_delete_marker_ttl":1000000000"#, 0, &[("allow_msg_ttl", Note), ("subject_delete_marker_ttl", Note)]),
            (r#""republish":{"src":">","dest":"y.>"}"#, 0, &[("republish", Note)]),
            (r#""max_consumers":2"#, 2, &[("max_consumers", Note)]),
            (r#""max_consumers":2"#, 1, &[]),
            (r#""republish":{},"storage":"memory","no_ack":true"#, 0, &[("no_ack", Unfit), ("storage", Weaker), ("republish", Note)]),
        ];
        for (settings, consumers, wanted) in rows {
            assert_eq!(found(settings, *consumers, true), *wanted, "{settings}");
        }
    }

    #[test]
    fn quarantine_is_bounded_on_purpose() {
        assert_eq!(found(r#""discard":"old","max_bytes":1000"#, 0, false), []);
        assert_eq!(found(r#""deny_delete":true"#, 0, false), [("deny_delete", Verdict::Note)]);
        assert_eq!(found(r#""deny_delete":true"#, 0, true), []);
    }
}
