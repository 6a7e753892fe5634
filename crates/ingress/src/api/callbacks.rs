//! What has come lately: facts of single callbacks, and ten minutes in steps.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;

use super::parameters::Parameters;
use super::{Api, Reply, View};
use crate::answer::json;
use crate::recent::{Fact, KEPT, Point, STEP};

#[derive(Serialize)]
struct Callbacks<'a> {
    run: &'a str,
    #[serde(serialize_with = "each")]
    callbacks: Vec<Arc<Fact>>,
}

#[derive(Serialize)]
struct Series {
    step_seconds: u64,
    points: Vec<Point>,
}

/// Facts that are shared, one after the other.
pub(super) fn each<S: serde::Serializer>(facts: &[Arc<Fact>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(facts.iter().map(|fact| &**fact))
}

impl Api {
    pub(super) fn callbacks(view: &View, mut parameters: Parameters) -> Reply {
        let limit =
            parameters.number("limit", 1..=KEPT as u64)?.and_then(|limit| usize::try_from(limit).ok());
        let after = parameters.number("after", 0..=u64::MAX)?.unwrap_or(0);
        parameters.end()?;
        let (callbacks, _) = view.recent.after(after, limit.unwrap_or(KEPT));
        Ok(json(StatusCode::OK, "application/json", &Callbacks { run: view.recent.run(), callbacks }))
    }

    pub(super) fn series(view: &View, parameters: Parameters) -> Reply {
        parameters.end()?;
        let series = Series { step_seconds: STEP.as_secs(), points: view.recent.points(None) };
        Ok(json(StatusCode::OK, "application/json", &series))
    }
}
