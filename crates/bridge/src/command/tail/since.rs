//! `--since`: a span before now, or a time.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// From when on stored messages are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Since {
    Ago(Duration),
    At(OffsetDateTime),
}

impl Since {
    /// # Errors
    /// Neither a span nor a time; the words are for the command line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(span) = humantime::parse_duration(text) {
            return Ok(Self::Ago(span));
        }
        OffsetDateTime::parse(text, &Rfc3339).map(Self::At).map_err(|_| {
            "write a span such as 10m, 2h or 3d, or a time such as 2026-03-02T09:14:19+08:00".to_owned()
        })
    }

    pub(super) fn before(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            // Longer than there has been time to store anything: the very beginning.
            Self::Ago(span) => {
                let span = time::Duration::try_from(span).unwrap_or(time::Duration::MAX);
                now.checked_sub(span).unwrap_or(OffsetDateTime::UNIX_EPOCH)
            }
            Self::At(time) => time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_or_a_time() {
        let now = OffsetDateTime::parse("2026-03-02T10:00:00Z", &Rfc3339).unwrap();
        for (text, expect) in [
            ("10m", "2026-03-02T09:50:00Z"),
            ("1h 30m", "2026-03-02T08:30:00Z"),
            ("2026-03-02T09:14:19+08:00", "2026-03-02T09:14:19+08:00"),
            ("100000years", "1970-01-01T00:00:00Z"),
        ] {
            let start = Since::parse(text).unwrap().before(now);
            assert_eq!(start.format(&Rfc3339).unwrap(), expect, "{text}");
        }
        for text in ["", "yesterday", "10", "2026-03-02"] {
            assert!(Since::parse(text).is_err(), "{text}");
        }
    }
}
