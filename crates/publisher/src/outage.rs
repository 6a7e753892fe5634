//! What the log says while the bridge is not ready: when it begins, each other reason, again and again while it lasts, and
//! how long it took.

use std::time::{Duration, Instant};

use crate::readiness::Readiness;

/// While it lasts, the log says so again this often: whoever looks at the log of the last minutes finds it.
const REMINDER_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// What there is to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Not ready, or for another reason than before.
    NotReady,
    /// For so long, and nothing about it is new.
    StillNotReady(Duration),
    /// With how long it was not, if the log was told of that.
    Ready(Option<Duration>),
}

/// Since when the bridge is not ready, and what the log was told of it.
#[derive(Debug)]
pub(crate) struct Outage {
    since: Instant,
    kind: String,
    /// When the log was last told; `None` before the first time.
    told: Option<Instant>,
    is_over: bool,
}

impl Outage {
    /// A bridge that starts is not ready: no news until the first look.
    pub(crate) fn starting(now: Instant) -> Self {
        Self { since: now, kind: Readiness::starting().kind(), told: None, is_over: false }
    }

    pub(crate) fn look(&mut self, readiness: &Readiness, now: Instant) -> Option<News> {
        if readiness.ready {
            let lasted = self.told.take().map(|_| now.duration_since(self.since));
            let is_news = !std::mem::replace(&mut self.is_over, true);
            return is_news.then_some(News::Ready(lasted));
        }
        let kind = readiness.kind();
        if std::mem::take(&mut self.is_over) {
            self.since = now;
        } else if self.kind == kind {
            let is_due = self.told.is_some_and(|told| now.duration_since(told) >= REMINDER_INTERVAL);
            return is_due.then(|| {
                self.told = Some(now);
                News::StillNotReady(now.duration_since(self.since))
            });
        }
        (self.kind, self.told) = (kind, Some(now));
        Some(News::NotReady)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Check;

    #[test]
    fn an_outage_is_told_of_when_it_begins_while_it_lasts_and_when_it_is_over() {
        let ready = Readiness::of(vec![Check::passed("nats", "connected")]);
        let not_ready = |why: &str| Readiness::of(vec![Check::failed("nats", why)]);
        let start = Instant::now();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let mut outage = Outage::starting(start);
        let steps = [
            (0, Readiness::starting(), None),
            (0, ready.clone(), Some(News::Ready(None))),
            (1, ready.clone(), None),
            (2, not_ready("gone"), Some(News::NotReady)),
            (3, not_ready("gone"), None),
            (7, not_ready("gone"), Some(News::StillNotReady(minutes(5)))),
            (8, not_ready("gone"), None),
            // News is a line of its own, and the next reminder counts from it.
            (9, not_ready("refused"), Some(News::NotReady)),
            (13, not_ready("refused"), None),
            (14, not_ready("refused"), Some(News::StillNotReady(minutes(12)))),
            (15, ready.clone(), Some(News::Ready(Some(minutes(13))))),
            (16, not_ready("refused"), Some(News::NotReady)),
            (17, ready, Some(News::Ready(Some(minutes(1))))),
        ];
        for (at, readiness, news) in steps {
            assert_eq!(outage.look(&readiness, start + minutes(at)), news, "minute {at}");
        }
    }
}
