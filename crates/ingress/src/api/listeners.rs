//! Who listens to events, what they are sent, and when they are cut: at most so many, in small pieces, and never waited for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde::Serialize;
use tokio::sync::{Notify, mpsc};
use tracing::debug;

use super::callbacks::each;
use super::problem::Problem;
use super::proof::Proof;
use crate::recent::{Fact, KEPT, Point, Recent};
use crate::slot::RequestGuard;

/// Pages that may listen at once.
pub(super) const MAX_LISTENERS: usize = 8;
/// Between two writes to one listener.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// Writes that may wait for one that does not read; behind them it is cut, and may come back.
const BACKLOG: usize = 8;
/// After how many milliseconds a browser comes back.
const RETRY: &str = "retry: 2000\n\n";

/// All who listen.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    listening: Mutex<Listening>,
    /// Somebody has come.
    joined: Notify,
}

#[derive(Debug, Default)]
struct Listening {
    all: Vec<Listener>,
    /// Everybody has been sent the facts up to this number,
    facts: u64,
    /// the step that began then,
    points: Option<u64>,
    /// and this status.
    status: String,
    is_over: bool,
}

#[derive(Debug)]
struct Listener {
    frames: mpsc::Sender<Bytes>,
    who: Who,
}

/// Who listens.
#[derive(Debug)]
pub(super) struct Who {
    pub(super) peer: SocketAddr,
    /// Ends the connection: what was not read would be in the way of saying so.
    pub(super) hang_up: Arc<Notify>,
    /// By what they were let in.
    pub(super) proof: Proof,
}

/// The body of an answer that goes on.
pub(crate) struct Events {
    frames: mpsc::Receiver<Bytes>,
    /// The connection is busy for as long.
    in_progress: Option<RequestGuard>,
}

/// Where a listener was cut.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cursor {
    pub(super) run: String,
    pub(super) number: u64,
}

#[derive(Serialize)]
struct Callbacks<'a> {
    run: &'a str,
    /// So many came since the last, and are no longer kept.
    skipped: u64,
    #[serde(serialize_with = "each")]
    callbacks: Vec<Arc<Fact>>,
}

#[derive(Serialize)]
struct Points {
    points: Vec<Point>,
}

impl Listeners {
    /// Another one, that has had everything up to this place.
    pub(super) fn join(
        &self,
        recent: &Recent,
        last: Option<&Cursor>,
        status: &str,
        who: Who,
    ) -> Result<Events, Problem> {
        let mut listening = self.listening();
        listening.all.retain(|listener| !listener.frames.is_closed());
        if listening.all.len() >= MAX_LISTENERS || listening.is_over {
            return Err(Problem::too_many_listeners());
        }
        let mut points = recent.points(None);
        if listening.all.is_empty() {
            let (_, newest) = recent.after(u64::MAX, 0);
            listening.facts = newest;
            listening.points = points.last().map(Point::at);
            status.clone_into(&mut listening.status);
        }
        let from = last.filter(|place| place.run == recent.run()).map_or(0, |place| place.number);
        let mut text = RETRY.to_owned();
        push(&mut text, "status", None, status);
        // The others are sent what lies behind with the next write, and so is this one.
        points.retain(|point| listening.points.is_some_and(|last| point.at() <= last));
        push(&mut text, "points", None, &json(&Points { points }));
        let (mut callbacks, _) = recent.after(from, KEPT);
        callbacks.retain(|fact| fact.number() <= listening.facts);
        push_callbacks(&mut text, recent, callbacks, from, listening.facts);
        let (frames, body) = mpsc::channel(BACKLOG);
        // There is room for the first.
        let _ = frames.try_send(text.into());
        listening.all.push(Listener { frames, who });
        drop(listening);
        self.joined.notify_one();
        Ok(Events { frames: body, in_progress: None })
    }

    pub(super) async fn joined(&self) {
        self.joined.notified().await;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listening().all.is_empty()
    }

    /// Ends those who would not be let in any more.
    pub(super) fn keep(&self, may: impl Fn(&Proof) -> bool) {
        self.listening().all.retain(|listener| may(&listener.who.proof));
    }

    /// Writes to everybody what has come since the last write; `status` is how it goes now, where that was looked at.
    pub(super) fn write(&self, recent: &Recent, status: Option<String>) {
        let mut listening = self.listening();
        listening.all.retain(|listener| !listener.frames.is_closed());
        if listening.all.is_empty() {
            return;
        }
        let mut text = String::new();
        if let Some(status) = status.filter(|status| *status != listening.status) {
            push(&mut text, "status", None, &status);
            listening.status = status;
        }
        let points = recent.points(listening.points);
        if let Some(last) = points.last() {
            listening.points = Some(last.at());
            push(&mut text, "points", None, &json(&Points { points }));
        }
        let (callbacks, newest) = recent.after(listening.facts, KEPT);
        let before = std::mem::replace(&mut listening.facts, newest);
        push_callbacks(&mut text, recent, callbacks, before, newest);
        // Each step's end is one: whoever hears nothing for longer than that has lost us.
        if text.is_empty() {
            return;
        }
        let frame = Bytes::from(text);
        listening.all.retain(|listener| match listener.frames.try_send(frame.clone()) {
            Ok(()) => true,
            Err(_) => {
                debug!(peer = %listener.who.peer, "a page does not read its events: cut, and may come back");
                listener.who.hang_up.notify_one();
                false
            }
        });
    }

    /// Ends all of it.
    pub(super) fn end(&self) {
        let mut listening = self.listening();
        listening.is_over = true;
        listening.all.clear();
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        // Whoever panicked in there left complete listeners.
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cursor {
    /// As it stands in the id of an event: `<run>:<number>`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (run, number) = text.trim().rsplit_once(':')?;
        Some(Self { run: run.to_owned(), number: number.parse().ok()? })
    }
}

/// Facts after `before` up to `newest`, and how many of these are no longer there.
fn push_callbacks(text: &mut String, recent: &Recent, callbacks: Vec<Arc<Fact>>, before: u64, newest: u64) {
    if newest <= before {
        return;
    }
    let skipped = if before == 0 { 0 } else { newest - before - callbacks.len() as u64 };
    let run = recent.run();
    let id = format!("{run}:{newest}");
    push(text, "callbacks", Some(&id), &json(&Callbacks { run, skipped, callbacks }));
}

/// JSON has no line breaks of its own.
fn push(text: &mut String, event: &str, id: Option<&str>, data: &str) {
    text.push_str("event: ");
    text.push_str(event);
    if let Some(id) = id {
        text.push_str("\nid: ");
        text.push_str(id);
    }
    text.push_str("\ndata: ");
    text.push_str(data);
    text.push_str("\n\n");
}

pub(super) fn json(value: &impl Serialize) -> String {
    // Our own types always serialise.
    serde_json::to_string(value).unwrap_or_default()
}

impl Events {
    /// Keeps the request in progress until its end.
    pub(crate) fn hold(&mut self, in_progress: RequestGuard) {
        self.in_progress = Some(in_progress);
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.frames.poll_recv(context).map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(hang_up: Arc<Notify>) -> Who {
        Who { peer: SocketAddr::from(([127, 0, 0, 1], 1)), hang_up, proof: Proof::None }
    }

    fn join(listeners: &Listeners, recent: &Recent) -> Result<(Events, Arc<Notify>), Problem> {
        let hang_up = Arc::new(Notify::new());
        let events = listeners.join(recent, None, "{}", who(Arc::clone(&hang_up)))?;
        Ok((events, hang_up))
    }

    #[test]
    fn there_is_room_for_eight_and_a_place_is_free_when_one_leaves() {
        let (listeners, recent) = (Listeners::default(), Recent::new());
        let mut there: Vec<_> =
            (0..MAX_LISTENERS).map(|_| join(&listeners, &recent).map_err(|_| "no room").unwrap()).collect();
        assert_eq!(join(&listeners, &recent).err().map(|problem| problem.status()), Some(503));
        there.pop();
        assert!(join(&listeners, &recent).is_ok());
    }

    #[tokio::test]
    async fn one_that_does_not_read_is_cut_and_the_others_are_not() {
        let (listeners, recent) = (Listeners::default(), Recent::new());
        let (_slow, hang_up) = join(&listeners, &recent).map_err(|_| "no room").unwrap();
        let (mut quick, _) = join(&listeners, &recent).map_err(|_| "no room").unwrap();
        for n in 0..=BACKLOG {
            listeners.write(&recent, Some(n.to_string()));
            assert!(quick.frames.try_recv().is_ok());
        }
        hang_up.notified().await;
        assert_eq!(listeners.listening().all.len(), 1);
    }

    /// The events of everything that has been written to a listener.
    fn written(events: &mut Events) -> String {
        std::iter::from_fn(|| events.frames.try_recv().ok())
            .map(|frame| String::from_utf8(frame.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn one_who_joins_between_two_writes_takes_no_news_from_the_others() {
        let (listeners, recent) = (Listeners::default(), Recent::new());
        let (mut first, _) = join(&listeners, &recent).map_err(|_| "no room").unwrap();
        let second = listeners.join(&recent, None, "{\"changed\":1}", who(Arc::default()));
        let mut second = second.map_err(|_| "no room").unwrap();
        listeners.write(&recent, Some("{\"changed\":1}".to_owned()));
        for events in [&mut first, &mut second] {
            let text = written(events);
            assert!(text.ends_with("event: status\ndata: {\"changed\":1}\n\n"), "{text}");
        }
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = |run: &str, number| Some(Cursor { run: run.to_owned(), number });
        for (text, expected) in [
            ("1a-2:17", place("1a-2", 17)),
            (" 1a:0 ", place("1a", 0)),
            (":5", place("", 5)),
            ("", None),
            ("1a", None),
            ("1a:-1", None),
            ("1a:x", None),
            ("1a:99999999999999999999999", None),
        ] {
            assert_eq!(Cursor::read(text), expected, "{text}");
        }
    }
}
