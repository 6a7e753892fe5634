//! What of the spool is not tried for the moment, so that it stops nothing else: a stream that refuses, a subject that
//! is forbidden, a message that nobody takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::health::{MAX_PAUSE, MAX_REFUSED_SUBJECTS};
use crate::held_back::{Held, HeldBack, Refusal};
use crate::nats::{Failure, Scope};
use crate::spooled::Spooled;

/// The first pause before what is held is tried again; it doubles each time.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause of a single message.
const MAX_MESSAGE_PAUSE: Duration = Duration::from_secs(60);
/// A message that was in flight so often when the connection ended may be the reason: it is tried alone.
const SUSPECT_AFTER: u32 = 2;
/// What is held one by one; of more, the stream is held.
const MAX_HELD: usize = 10_000;
/// Messages whose attempts are counted, and messages of a refused subject; those that have waited longest come first.
const MAX_COUNTED: usize = 4096;

/// When what is held is tried again.
#[derive(Debug)]
struct Hold {
    /// The first message that was passed over; those behind it are found when the hold ends.
    first: u64,
    /// Of a stream, the message that was tried last: another one is tried next. `None` begins with the first.
    tried: Option<u64>,
    next: Instant,
    pause: Duration,
    /// Nothing else may be in flight: it may end the connection.
    alone: bool,
    /// It is being tried, by somebody who says when that is over.
    busy: bool,
    /// It goes to the object store, and waits for room there: it need not be read before.
    large: bool,
    /// What came of the last attempt; `None` while it only waits for room.
    refusal: Option<Arc<Refusal>>,
    /// Of a subject, its messages.
    places: BTreeSet<u64>,
}

impl Hold {
    fn new(place: u64, now: Instant) -> Self {
        let (pause, next) = (MIN_PAUSE, now + MIN_PAUSE);
        Self {
            first: place,
            tried: Some(place),
            next,
            pause,
            alone: false,
            busy: false,
            large: false,
            refusal: None,
            places: BTreeSet::new(),
        }
    }

    /// One of its messages waits; returns whether that is news.
    fn counts(&mut self, place: u64) -> bool {
        self.places.len() < MAX_COUNTED && self.places.insert(place)
    }

    /// Whether it can be tried when its time has come.
    fn is_free(&self, has_room: bool) -> bool {
        !self.busy && (has_room || !self.large)
    }
}

/// A message of something held that is to be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) of: Held,
    /// The first place that comes into question.
    pub(crate) from: u64,
    pub(crate) alone: bool,
    /// It goes to the object store.
    pub(crate) large: bool,
}

/// Everything that is held.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    held: BTreeMap<Held, Hold>,
    /// How often a message was in flight when the connection ended.
    ended_with: BTreeMap<u64, u32>,
    /// No further large message can be sent on its way.
    is_crowded: bool,
    /// Since [`Holds::take_news`].
    has_news: bool,
}

impl Holds {
    /// Whether the message is held by itself or for its subject: of its stream another one is to be tried.
    pub(crate) fn holds_itself(&self, spooled: &Spooled) -> bool {
        let subject = || Held::Subject(spooled.message.subject.as_str().to_owned());
        self.held.contains_key(&Held::Message(spooled.place)) || self.held.contains_key(&subject())
    }

    /// Whether the message is held; if so, it is remembered that it was passed over.
    pub(crate) fn passes_over(&mut self, spooled: &Spooled) -> bool {
        if self.held.is_empty() {
            return false;
        }
        if self.held.contains_key(&Held::Message(spooled.place)) {
            return true;
        }
        let stream = Held::Stream(Arc::clone(&spooled.message.stream));
        let subject = || Held::Subject(spooled.message.subject.as_str().to_owned());
        let key = if self.held.contains_key(&stream) { stream } else { subject() };
        match self.held.get_mut(&key) {
            Some(hold) => {
                hold.first = hold.first.min(spooled.place);
                self.has_news |= matches!(key, Held::Subject(_)) && hold.counts(spooled.place);
                true
            }
            None => false,
        }
    }

    /// The message was not taken: holds back what is to blame. Returns whether that is held for the first time.
    pub(crate) fn missed(
        &mut self,
        spooled: &Spooled,
        failure: &Failure,
        scope: Scope,
        now: Instant,
    ) -> bool {
        let place = spooled.place;
        let held = match scope {
            Scope::Connection => {
                return failure == &Failure::Disconnected && self.connection_ended_with(place, now);
            }
            Scope::Stream => Held::Stream(Arc::clone(&spooled.message.stream)),
            Scope::Subject => self.subject_of(spooled),
            Scope::Message => self.message_of(spooled),
        };
        let is_new = self.hold(held.clone(), place, now);
        // A copy on its way is not the message's fault, and soon over.
        if scope == Scope::Message && failure == &Failure::InFlight {
            return false;
        }
        self.explain(&held, spooled, failure);
        is_new
    }

    /// Remembers why something is held back.
    fn explain(&mut self, held: &Held, spooled: &Spooled, failure: &Failure) {
        if let Some(hold) = self.held.get_mut(held) {
            let before = hold.refusal.as_deref();
            hold.refusal = Some(Arc::new(Refusal::after(before, spooled, failure.to_string())));
            if matches!(held, Held::Subject(_)) {
                hold.counts(spooled.place);
            }
            self.has_news = true;
        }
    }

    /// These messages were given up. Returns where to go on from, if a subject is held no longer: not all that was passed
    /// over for it need be among them.
    pub(crate) fn forget(&mut self, places: &[u64]) -> Option<u64> {
        for place in places {
            self.has_news |= self.held.remove(&Held::Message(*place)).is_some();
            self.ended_with.remove(place);
        }
        for hold in self.held.values_mut() {
            for place in places {
                self.has_news |= hold.places.remove(place);
            }
        }
        let mut from: Option<u64> = None;
        self.held.retain(|held, hold| {
            let is_over = matches!(held, Held::Subject(_)) && hold.places.is_empty();
            if is_over {
                from = from.into_iter().chain([hold.first]).min();
            }
            !is_over
        });
        from
    }

    /// What is held back and why, if that has changed.
    pub(crate) fn take_news(&mut self) -> Option<HeldBack> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        let explained =
            self.held.iter().filter_map(|(held, hold)| Some((held, hold, hold.refusal.as_ref()?)));
        let mut news = HeldBack::default();
        for (held, hold, refusal) in explained {
            news.refused += match held {
                Held::Stream(_) => 0,
                Held::Subject(_) => hold.places.len() as u64,
                Held::Message(_) => 1,
            };
            news.why.insert(held.clone(), Arc::clone(refusal));
        }
        Some(news)
    }

    /// The message was taken: what it was held for is over. Returns where to go on from, if messages were passed over.
    pub(crate) fn taken(&mut self, spooled: &Spooled) -> Option<u64> {
        self.ended_with.remove(&spooled.place);
        if self.held.is_empty() {
            return None;
        }
        self.has_news = true;
        self.held.remove(&Held::Message(spooled.place));
        let stream = self.held.remove(&Held::Stream(Arc::clone(&spooled.message.stream)));
        let subject = self.held.remove(&Held::Subject(spooled.message.subject.as_str().to_owned()));
        stream.into_iter().chain(subject).map(|hold| hold.first).min()
    }

    /// No message of it is in the spool any more.
    pub(crate) fn release(&mut self, held: &Held) {
        self.has_news |= self.held.remove(held).is_some();
    }

    /// Whether something held is to be tried now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.held.values().any(|hold| hold.next <= now && hold.is_free(!self.is_crowded))
    }

    /// What is to be tried now.
    pub(crate) fn due(&self, now: Instant) -> Vec<Probe> {
        let due = self.held.iter().filter(|(_, hold)| hold.next <= now && hold.is_free(!self.is_crowded));
        due.map(|(of, hold)| {
            // Of a stream another message each time: the one that was tried may be refused for its subject.
            let from = match of {
                Held::Stream(_) => hold.tried.map_or(hold.first, |tried| tried.saturating_add(1)),
                Held::Subject(_) | Held::Message(_) => hold.first,
            };
            Probe { of: of.clone(), from, alone: hold.alone, large: hold.large }
        })
        .collect()
    }

    /// A message of it is being tried: whatever comes of it, the next attempt comes after a longer pause.
    pub(crate) fn tries(&mut self, held: &Held, place: u64, now: Instant) {
        let most = if matches!(held, Held::Message(_)) { MAX_MESSAGE_PAUSE } else { MAX_PAUSE };
        if let Some(hold) = self.held.get_mut(held) {
            hold.tried = Some(place);
            hold.pause = (hold.pause * 2).min(most);
            hold.next = now + hold.pause;
        }
    }

    /// A message is tried beside all others, for as long as that takes.
    pub(crate) fn begins(&mut self, place: u64, now: Instant) {
        self.hold(Held::Message(place), place, now);
        if let Some(hold) = self.held.get_mut(&Held::Message(place)) {
            (hold.busy, hold.large) = (true, true);
        }
    }

    /// A large message has to wait for room, and for nothing else.
    pub(crate) fn waits(&mut self, place: u64, now: Instant) {
        self.held.insert(Held::Message(place), Hold { next: now, large: true, ..Hold::new(place, now) });
    }

    /// Whether there is room for a further large message.
    pub(crate) fn set_room(&mut self, has_room: bool) {
        self.is_crowded = !has_room;
    }

    /// The message that was tried beside all others was not taken. Returns whether that is said for the first time.
    pub(crate) fn missed_aside(&mut self, spooled: &Spooled, failure: &Failure, now: Instant) -> bool {
        let is_first = self.ended(spooled.place, now);
        self.explain(&Held::Message(spooled.place), spooled, failure);
        is_first
    }

    /// That attempt is over; if the message is still there, the next one comes after a pause. Returns whether it was
    /// the first.
    pub(crate) fn ended(&mut self, place: u64, now: Instant) -> bool {
        let Some(hold) = self.held.get_mut(&Held::Message(place)) else { return false };
        hold.busy = false;
        let is_first = hold.pause == MIN_PAUSE;
        self.tries(&Held::Message(place), place, now);
        is_first
    }

    /// Nothing is held back.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Behind the last message of a stream, its first comes next. Returns whether there were messages before.
    pub(crate) fn starts_over(&mut self, held: &Held) -> bool {
        self.held.get_mut(held).is_some_and(|hold| hold.tried.take().is_some())
    }

    /// How long nothing held needs to be tried.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        let waiting = self.held.values().filter(|hold| hold.is_free(!self.is_crowded));
        waiting.map(|hold| hold.next.saturating_duration_since(now)).min()
    }

    /// There is a new connection: its user may have other rights, its server other streams.
    pub(crate) fn try_all(&mut self, now: Instant) {
        for hold in self.held.values_mut().filter(|hold| !hold.alone) {
            (hold.next, hold.pause) = (now, MIN_PAUSE);
        }
    }

    /// The spool is empty.
    pub(crate) fn clear(&mut self) {
        *self = Self { has_news: self.has_news || !self.held.is_empty(), ..Self::default() };
    }

    fn subject_of(&self, spooled: &Spooled) -> Held {
        let message = &spooled.message;
        let subjects = self.held.keys().filter(|held| matches!(held, Held::Subject(_))).count();
        let subject = Held::Subject(message.subject.as_str().to_owned());
        if subjects < MAX_REFUSED_SUBJECTS || self.held.contains_key(&subject) {
            subject
        } else {
            // Its stream takes other subjects, and those must not wait.
            self.message_of(spooled)
        }
    }

    /// The message alone, while there is room to hold messages one by one.
    fn message_of(&self, spooled: &Spooled) -> Held {
        let message = Held::Message(spooled.place);
        match self.held.len() < MAX_HELD || self.held.contains_key(&message) {
            true => message,
            false => Held::Stream(Arc::clone(&spooled.message.stream)),
        }
    }

    fn hold(&mut self, held: Held, place: u64, now: Instant) -> bool {
        if let Some(hold) = self.held.get_mut(&held) {
            hold.first = hold.first.min(place);
            return false;
        }
        self.held.insert(held, Hold::new(place, now));
        true
    }

    fn connection_ended_with(&mut self, place: u64, now: Instant) -> bool {
        let times = self.ended_with.entry(place).and_modify(|times| *times += 1).or_insert(1);
        let is_suspect = *times >= SUSPECT_AFTER;
        while self.ended_with.len() > MAX_COUNTED {
            self.ended_with.pop_last();
        }
        if !is_suspect {
            return false;
        }
        let is_new = self.hold(Held::Message(place), place, now);
        if let Some(hold) = self.held.get_mut(&Held::Message(place)) {
            hold.alone = true;
        }
        is_new
    }
}

#[cfg(test)]
mod tests;
