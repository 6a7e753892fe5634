//! Probes: another try for what is held back.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tracing::warn;

use super::attempt::{Outcome, publish};
use super::{Drain, UPLOADS, WINDOW};
use crate::held_back::Held;
use crate::hold::Probe;
use crate::spooled::Spooled;

impl Drain {
    /// Tries one message each of what is held back and due: all at once, but for those that must be alone.
    pub(super) async fn probe(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut in_flight = FuturesUnordered::new();
        for probe in self.holds.due(Instant::now()) {
            if !shared.may_probe() {
                break;
            }
            if probe.large && self.uploads.len() >= UPLOADS {
                continue;
            }
            let Some(spooled) = self.find(&probe).await else { continue };
            let place = spooled.place;
            let Some(spooled) = self.upload(spooled) else { continue };
            self.holds.tries(&probe.of, place, Instant::now());
            if probe.alone {
                warn!(id = %spooled.message.id, subject = %spooled.message.subject,
                    "the connection ended twice with this message in flight: it is tried alone");
                // Those before it first.
                self.take_probes(&mut in_flight).await;
                in_flight.push(publish(&shared, spooled));
                self.take_probes(&mut in_flight).await;
            } else {
                in_flight.push(publish(&shared, spooled));
            }
        }
        self.take_probes(&mut in_flight).await;
    }

    async fn take_probes(&mut self, in_flight: &mut FuturesUnordered<impl Future<Output = Outcome>>) {
        while let Some(outcome) = in_flight.next().await {
            match outcome {
                Outcome::Done(spooled) => self.done(spooled).await,
                Outcome::Missed(spooled, missed) => {
                    self.missed(&spooled, &missed);
                }
            }
        }
    }

    /// The message to try of what is held back. What nothing waits for any more is held back no longer.
    async fn find(&mut self, probe: &Probe) -> Option<Spooled> {
        let is_of = |spooled: &Spooled| match &probe.of {
            Held::Stream(stream) => spooled.message.stream == *stream && !self.holds.holds_itself(spooled),
            Held::Subject(subject) => spooled.message.subject.as_str() == subject,
            Held::Message(place) => spooled.place == *place,
        };
        let mut after = probe.from.checked_sub(1);
        loop {
            let messages = self.spool.read(after, WINDOW).await;
            let Some(last) = messages.last().map(|spooled| spooled.place) else { break };
            after = Some(last);
            let is_past = matches!(probe.of, Held::Message(place) if last >= place);
            if let Some(found) = messages.into_iter().find(is_of) {
                return Some(found);
            }
            if is_past {
                break;
            }
        }
        if self.spool.trouble().is_some() {
            // The disk does not give them: they are there all the same.
            self.after = None;
            return None;
        }
        match &probe.of {
            // Its last message was tried before: from the first again, the next time.
            Held::Stream(_) if self.holds.starts_over(&probe.of) => {}
            of => self.holds.release(of),
        }
        None
    }
}
