//! `/api/v1/events`: what happens, as it happens, as server-sent events.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::Either;
use hyper::Response;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::time::sleep;

use super::listeners::{Cursor, TICK, Who, json};
use super::parameters::Parameters;
use super::problem::Problem;
use super::proof::Proof;
use super::{Api, Caller, View};

/// Writes between two looks at how it goes.
const LOOK_EVERY: u32 = 4;

/// The header with which a browser says what it had last.
const LAST_EVENT_ID: &str = "last-event-id";

const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

impl Api {
    pub(super) fn events(
        &self,
        view: &View,
        headers: &HeaderMap,
        caller: &Caller,
        mut parameters: Parameters,
        proof: Proof,
    ) -> Result<Response<super::Body>, Problem> {
        let asked = parameters.text("last");
        parameters.end()?;
        if asked.as_deref().is_some_and(|last| Cursor::read(last).is_none()) {
            return Err(Problem::bad_parameter("last: write the id of an event, <run>:<number>"));
        }
        let heard = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
        // What the browser says itself is the newer of both.
        let last = heard.and_then(Cursor::read).or_else(|| Cursor::read(&asked?));
        let status = json(&self.status(view));
        let who = Who { peer: caller.peer, hang_up: Arc::clone(&caller.hang_up), proof };
        let events = view.listeners.join(&view.recent, last.as_ref(), &status, who)?;
        let mut response = Response::new(Either::Right(events));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // nginx in front would collect some KB of events before it passes them on.
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
        Ok(response)
    }

    /// Writes to those who listen, and closes the steps of the series, for as long as it is polled.
    pub(crate) async fn keep_telling(&self) {
        let Some(view) = &self.view else { return std::future::pending().await };
        let (mut writes, mut looked) = (0_u32, None);
        loop {
            view.recent.note_spool(self.publisher.spooled());
            if view.listeners.is_empty() {
                // Whoever joins has been told everything up to now.
                tokio::select! {
                    () = sleep(view.recent.left_of_step()) => continue,
                    () = view.listeners.joined() => {}
                }
            }
            sleep(TICK).await;
            writes = writes.wrapping_add(1);
            let state = (self.draining.load(Ordering::Relaxed), self.publisher.readiness().borrow().ready);
            let is_news = looked.replace(state) != Some(state);
            let status = (is_news || writes.is_multiple_of(LOOK_EVERY)).then(|| json(&self.status(view)));
            if status.is_some() {
                view.listeners.keep(|proof| self.access.still_holds(proof));
            }
            view.listeners.write(&view.recent, status);
        }
    }

    /// Tells those who listen that it is over.
    pub(crate) fn stop_telling(&self) {
        if let Some(view) = &self.view {
            view.listeners.write(&view.recent, Some(json(&self.status(view))));
            view.listeners.end();
        }
    }
}
