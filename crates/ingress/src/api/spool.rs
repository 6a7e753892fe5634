//! The spool as a resource: how full it is, what waits and why, and giving a message up.

use std::future::Future;
use std::sync::Arc;

use ci_bridge_publisher::{Spool, SpoolEntry, SpoolError, SpoolStatus, Waiting};
use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use super::access::Permit;
use super::parameters::Parameters;
use super::problem::Problem;
use super::{Api, Reply};
use crate::answer::json;

/// Messages of an answer, unless it is told otherwise, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: u64 = 1000;
/// Messages that one request looks at for those it asks for.
const MAX_LOOKED_AT: usize = 10_000;
/// Bytes of bodies in one answer; the message that goes beyond is its last.
const MAX_BODIES: usize = 8 << 20;
/// Messages that are read at a time while a few of them are wanted.
const BATCH: usize = 1000;

#[derive(Serialize)]
struct Level<'a> {
    dir: String,
    messages: u64,
    bytes: u64,
    max_bytes: u64,
    oldest_seconds: u64,
    refused: u64,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Page<'a> {
    messages: Vec<SpoolEntry<'a>>,
    /// What `after` must be for those behind; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    /// Why nothing at all is published at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

#[derive(Serialize)]
struct GivenUp<'a> {
    dropped: Vec<SpoolEntry<'a>>,
}

#[derive(Serialize)]
struct AllGivenUp {
    dropped: u64,
}

impl Api {
    pub(super) fn spool_status(&self, parameters: Parameters) -> Reply {
        parameters.end()?;
        let spool = self.spool()?;
        let SpoolStatus { messages, bytes, max_bytes, oldest_age, refused, trouble } = spool.status();
        let level = Level {
            dir: folder(spool),
            messages,
            bytes,
            max_bytes,
            oldest_seconds: oldest_age.as_secs(),
            refused,
            ok: trouble.is_none(),
            detail: trouble.as_deref(),
        };
        Ok(json(StatusCode::OK, "application/json", &level))
    }

    pub(super) async fn messages(&self, mut parameters: Parameters, permit: Permit) -> Reply {
        let limit = parameters.number("limit", 1..=MAX_LIMIT)?.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(LIMIT);
        let after = parameters.number("after", 0..=u64::MAX)?;
        let (only_refused, whole) = (parameters.flag("refused")?, parameters.flag("whole")?);
        parameters.end()?;
        if whole && !permit.bodies {
            return Err(Problem::bodies_need_a_token());
        }
        let _turn = self.turn()?;
        let (found, next) = page(self.spool()?, after, limit, only_refused).await;
        let messages = found.iter().map(|waiting| SpoolEntry::of(waiting, whole)).collect();
        let page = Page { messages, next, trouble: self.trouble() };
        Ok(json(StatusCode::OK, "application/json", &page))
    }

    pub(super) async fn message(&self, id: &str, parameters: Parameters, permit: Permit) -> Reply {
        parameters.end()?;
        let _turn = self.turn()?;
        let found = self.spool()?.find(id).await.ok_or_else(|| Problem::no_such_message(id))?;
        Ok(json(StatusCode::OK, "application/json", &SpoolEntry::of(&found, permit.bodies)))
    }

    pub(super) async fn give_up(&self, id: &str, parameters: Parameters) -> Reply {
        parameters.end()?;
        let (spool, wanted) = (self.spool()?.clone(), id.to_owned());
        let given_up = to_its_end(self.turn()?, async move { give_up(&spool, &wanted).await }).await?;
        if given_up.is_empty() {
            return Err(Problem::no_such_message(id));
        }
        let dropped = given_up.iter().map(|waiting| SpoolEntry::of(waiting, false)).collect();
        Ok(json(StatusCode::OK, "application/json", &GivenUp { dropped }))
    }

    /// Everything that waits when it is asked for; what comes meanwhile stays.
    pub(super) async fn give_up_all(&self, mut parameters: Parameters) -> Reply {
        let all = parameters.flag("all")?;
        parameters.end()?;
        if !all {
            return Err(Problem::bad_parameter("which? DELETE /api/v1/spool/messages/ID, or ?all=true"));
        }
        let spool = self.spool()?.clone();
        let work = async move { spool.give_up_before(spool.end().await?, tell).await };
        let dropped = to_its_end(self.turn()?, work).await?;
        Ok(json(StatusCode::OK, "application/json", &AllGivenUp { dropped }))
    }

    fn trouble(&self) -> Option<String> {
        let readiness = self.publisher.readiness();
        let readiness = readiness.borrow();
        let nats = readiness.checks.iter().find(|check| check.name == "nats" && !check.ok)?;
        Some(nats.detail.clone())
    }

    fn spool(&self) -> Result<&Spool, Problem> {
        self.publisher.spool().ok_or_else(Problem::no_spool)
    }

    pub(super) fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.looks).try_acquire_owned().map_err(|_| Problem::busy())
    }
}

/// Does what cannot be undone in a task of its own: whoever asked may hang up, and what is given up by then must still
/// leave its line in the log.
async fn to_its_end<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl Future<Output = Result<T, SpoolError>> + Send + 'static,
) -> Result<T, Problem> {
    let working = tokio::spawn(async move {
        let _turn = turn;
        work.await
    });
    let done = working.await.map_err(|_| Problem::internal())?;
    done.map_err(|error| Problem::of_spool(&error))
}

/// The messages after a place, and where those behind begin.
async fn page(
    spool: &Spool,
    mut after: Option<u64>,
    limit: usize,
    only_refused: bool,
) -> (Vec<Waiting>, Option<u64>) {
    let (mut found, mut looked_at, mut bytes) = (Vec::new(), 0, 0);
    while found.len() < limit && looked_at < MAX_LOOKED_AT && bytes < MAX_BODIES {
        let batch = spool.list(after, if only_refused { BATCH } else { limit - found.len() }).await;
        if batch.is_empty() {
            return (found, None);
        }
        for waiting in batch {
            if found.len() == limit || bytes >= MAX_BODIES {
                return (found, after);
            }
            (after, looked_at) = (Some(waiting.place), looked_at + 1);
            if !only_refused || waiting.is_refused {
                bytes += waiting.message.payload.len();
                found.push(waiting);
            }
        }
    }
    (found, after)
}

async fn give_up(spool: &Spool, id: &str) -> Result<Vec<Waiting>, SpoolError> {
    let end = spool.end().await?;
    let mut messages = spool.with_id(id).await;
    messages.retain(|waiting| waiting.place < end);
    let given_up = spool.give_up(messages).await?;
    tell(&given_up);
    Ok(given_up)
}

fn tell(given_up: &[Waiting]) {
    for Waiting { message, .. } in given_up {
        warn!(id = %message.id, subject = %message.subject, stream = %message.stream,
            "dropped from the spool by an operator: the message is published nowhere");
    }
}

/// Where it is, so that a command can tell whether it is the one that it means.
fn folder(spool: &Spool) -> String {
    spool.dir().canonicalize().unwrap_or_else(|_| spool.dir().to_owned()).display().to_string()
}
