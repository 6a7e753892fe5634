//! The table of what can be asked for.

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::PREFIX;

/// What can be asked for.
#[derive(Debug, PartialEq)]
pub(super) enum Resource {
    /// How it goes.
    Status,
    /// Ten minutes of it.
    Series,
    /// What has come lately.
    Callbacks,
    /// The same as it happens.
    Events,
    /// One message of a stream.
    Stored { stream: String, sequence: u64 },
    /// The last message of a job.
    Job(String),
    /// What is in quarantine,
    Quarantine,
    /// one of it,
    Quarantined(u64),
    /// its body as it came,
    QuarantinedBody(u64),
    /// and posting it again.
    Replay(u64),
    /// The configuration in effect.
    Settings,
    /// Logging in on the page.
    Session,
    /// How full the spool is.
    Spool,
    /// What waits in it.
    Messages,
    /// The messages under one id.
    Message(String),
}

impl Resource {
    /// The resource at a path; an id may have any character, percent-encoded.
    pub(super) fn at(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.strip_prefix(PREFIX)?.split('/').collect();
        let text = |segment: &str| {
            let text = percent_decode_str(segment).decode_utf8().ok()?;
            (!text.is_empty()).then(|| text.into_owned())
        };
        // As it is written in answers, and in no other way.
        let sequence = |segment: &str| {
            let sequence = segment.parse().ok().filter(|sequence: &u64| *sequence > 0)?;
            (segment == sequence.to_string()).then_some(sequence)
        };
        match segments[..] {
            ["status"] => Some(Self::Status),
            ["series"] => Some(Self::Series),
            ["callbacks"] => Some(Self::Callbacks),
            ["events"] => Some(Self::Events),
            ["streams", stream, "messages", seq] => {
                Some(Self::Stored { stream: text(stream)?, sequence: sequence(seq)? })
            }
            ["jobs", id] => text(id).map(Self::Job),
            ["quarantine"] => Some(Self::Quarantine),
            ["quarantine", seq] => sequence(seq).map(Self::Quarantined),
            ["quarantine", seq, "body"] => sequence(seq).map(Self::QuarantinedBody),
            ["quarantine", seq, "replay"] => sequence(seq).map(Self::Replay),
            ["settings"] => Some(Self::Settings),
            ["session"] => Some(Self::Session),
            ["spool"] => Some(Self::Spool),
            ["spool", "messages"] => Some(Self::Messages),
            ["spool", "messages", id] => text(id).map(Self::Message),
            _ => None,
        }
    }

    pub(super) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Replay(_) => &[Method::POST],
            Self::Session => &[Method::POST, Method::DELETE],
            Self::Messages | Self::Message(_) => &[Method::GET, Method::DELETE],
            _ => &[Method::GET],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_resource_or_none() {
        let message = |id: &str| Some(Resource::Message(id.to_owned()));
        for (path, expected) in [
            ("/api/v1/status", Some(Resource::Status)),
            ("/api/v1/status/", None),
            ("/api/v1/series", Some(Resource::Series)),
            ("/api/v1/callbacks", Some(Resource::Callbacks)),
            ("/api/v1/events", Some(Resource::Events)),
            ("/api/v1/Events", None),
            (
                "/api/v1/streams/CI%2FX/messages/7",
                Some(Resource::Stored { stream: "CI/X".to_owned(), sequence: 7 }),
            ),
            ("/api/v1/streams/CI/messages/0", None),
            ("/api/v1/streams/CI/messages/-1", None),
            ("/api/v1/streams/CI/messages/+1", None),
            ("/api/v1/streams/CI/messages/01", None),
            ("/api/v1/streams/CI/messages/1e3", None),
            ("/api/v1/streams/CI/messages/99999999999999999999999", None),
            ("/api/v1/streams//messages/1", None),
            ("/api/v1/jobs/j1", Some(Resource::Job("j1".to_owned()))),
            ("/api/v1/jobs/", None),
            ("/api/v1/quarantine", Some(Resource::Quarantine)),
            ("/api/v1/quarantine/3", Some(Resource::Quarantined(3))),
            ("/api/v1/quarantine/3/body", Some(Resource::QuarantinedBody(3))),
            ("/api/v1/quarantine/3/replay", Some(Resource::Replay(3))),
            ("/api/v1/quarantine/x", None),
            ("/api/v1/settings", Some(Resource::Settings)),
            ("/api/v1/session", Some(Resource::Session)),
            ("/api/v1/spool", Some(Resource::Spool)),
            ("/api/v1/spool/messages", Some(Resource::Messages)),
            ("/api/v1/spool/messages/task:j1:Success", message("task:j1:Success")),
            ("/api/v1/spool/messages/task%3Aj1%2F..%3ASuccess@ci.x", message("task:j1/..:Success@ci.x")),
            ("/api/v1/spool/messages/a%2", message("a%2")),
            ("/api/v1/spool/messages/", None),
            ("/api/v1/spool/messages/%ff", None),
            ("/api/v1/spool/messages/a/b", None),
            ("/api/v1/spool/", None),
            ("/api/v1//spool", None),
            ("/api/v1/../v1/spool", None),
            ("/api/v2/spool", None),
            ("/api/v1/", None),
        ] {
            assert_eq!(Resource::at(path), expected, "{path}");
        }
    }
}
