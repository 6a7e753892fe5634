//! What is counted of requests for jobs.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With the job's message.
    Ended,
    /// The job has not ended in time.
    Late,
    /// Too many wait already.
    Full,
    /// The id or the time is not written as one, or there is no reply subject that may be answered.
    Invalid,
    /// The bucket could not be read.
    Unreadable,
    /// The bridge stops.
    Stopping,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

#[derive(Debug)]
pub(super) struct Counts {
    pub(super) waiting: Gauge,
    /// In the order of [`Outcome::ALL`].
    answered: [Counter; Outcome::ALL.len()],
}

impl Counts {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Counter>::default();
        let of = |outcome: Outcome| family.get_or_create_owned(&Labels { outcome: outcome.as_str() });
        let counts = Self { waiting: Gauge::default(), answered: Outcome::ALL.map(of) };
        registry.register(
            "job_requests_waiting",
            "Requests that wait for a job to end; jobs.max_waiting is the most",
            counts.waiting.clone(),
        );
        registry.register("job_requests", "Requests for jobs by how they were answered", family);
        counts
    }

    pub(super) fn answered(&self, outcome: Outcome) {
        self.answered[outcome as usize].inc();
    }
}

impl Outcome {
    const ALL: [Self; 6] =
        [Self::Ended, Self::Late, Self::Full, Self::Invalid, Self::Unreadable, Self::Stopping];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Late => "late",
            Self::Full => "full",
            Self::Invalid => "invalid",
            Self::Unreadable => "unreadable",
            Self::Stopping => "stopping",
        }
    }

    /// HTTP's codes, as micro services give them.
    pub(super) fn code(self) -> usize {
        match self {
            Self::Ended => 200,
            Self::Invalid => 400,
            Self::Late => 408,
            Self::Full | Self::Unreadable | Self::Stopping => 503,
        }
    }
}
