//! Publishes and questions that wait for their answer.
//!
//! async-nats' own request machinery keeps some 350 bytes for every publish that is never answered, for the life of
//! a client (nats.rs#1617), and lets publishes in flight wait for their timeout when the connection ends. Here an
//! unanswered publish leaves nothing behind, and all of them fail the moment their connection does.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::acknowledgement::{self, Expected, Failure, Reply, Stored};

/// Who waits, by the number at the end of the reply subject.
#[derive(Default)]
pub(super) struct Pending {
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    entries: HashMap<u64, Entry, BuildHasherDefault<NumberHasher>>,
    /// The latest connection for which messages count that nobody waits for any more, and the size of the largest: those
    /// that were given up, and those of the connection before, which the client may send on this one.
    abandoned: (u64, usize),
}

/// One publish or question.
struct Entry {
    answer: oneshot::Sender<Result<Answer, Failure>>,
    wanted: Wanted,
    sent: Sent,
    /// What another than the expected stream has said of it.
    other: Option<Failure>,
}

/// What an answer must look like; all else that comes is ignored.
pub(super) enum Wanted {
    Acknowledgement(Expected),
    /// A JSON object.
    Api,
    /// Our own message.
    Echo,
}

/// What was sent, as far as news of it can name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Which connection carried it; the first is 1.
    pub(super) connection: u64,
    /// [`subject_hash`] of its subject.
    pub(super) subject: u64,
    /// Headers and payload.
    pub(super) bytes: usize,
}

/// What somebody waited for.
pub(super) enum Answer {
    Stored(Stored),
    Payload(Bytes),
    NoResponders,
}

/// One place among the pending; dropping it gives the place up.
pub(super) struct Waiter<'a> {
    pending: &'a Pending,
    pub(super) number: u64,
    answer: oneshot::Receiver<Result<Answer, Failure>>,
    answered: bool,
}

impl Pending {
    pub(super) fn wait(&self, wanted: Wanted, sent: Sent) -> Waiter<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.lock().entries.insert(number, Entry { answer: sender, wanted, sent, other: None });
        Waiter { pending: self, number, answer, answered: false }
    }

    /// Takes what came on a reply subject. Returns whether it was an answer.
    pub(super) fn answer(&self, number: u64, message: &async_nats::Message) -> bool {
        let mut waiting = self.lock();
        let Some(entry) = waiting.entries.get_mut(&number) else { return false };
        let answer = match entry.wanted.read(message) {
            Reading::Answer(answer) => answer,
            Reading::Other(other) => {
                entry.other = Some(other);
                return true;
            }
            Reading::Junk => return false,
        };
        let entry = waiting.entries.remove(&number);
        drop(waiting);
        if let Some(entry) = entry {
            // Whoever waited may have given up in this instant.
            let _ = entry.answer.send(answer);
        }
        true
    }

    /// A connection has ended, and all before it: nobody will answer what they carried.
    pub(super) fn connection_ended(&self, connection: u64) {
        let ended = |sent: &Sent| sent.connection <= connection;
        let largest = self.fail(ended, &Failure::Disconnected);
        let mut waiting = self.lock();
        if waiting.abandoned.0 <= connection {
            waiting.abandoned = (connection + 1, largest);
        } else {
            waiting.abandoned.1 = waiting.abandoned.1.max(largest);
        }
    }

    /// The server has said that a subject may not be published to.
    pub(super) fn forbidden(&self, subject: &str, what: &str) {
        let hash = subject_hash(subject);
        self.fail(|sent| sent.subject == hash, &Failure::Forbidden(what.to_owned()));
    }

    /// The size of the largest message that nobody has answered. When the server says that one is too large, this
    /// one is: the one that it means is at most as large.
    pub(super) fn largest_unanswered(&self) -> usize {
        let waiting = self.lock();
        let largest = waiting.entries.values().map(|entry| entry.sent.bytes).max();
        largest.unwrap_or(0).max(waiting.abandoned.1)
    }

    /// Returns the size of the largest message that has failed.
    fn fail(&self, of: impl Fn(&Sent) -> bool, failure: &Failure) -> usize {
        let failed: Vec<_> = self.lock().entries.extract_if(|_, entry| of(&entry.sent)).collect();
        let largest = failed.iter().map(|(_, entry)| entry.sent.bytes).max();
        for (_, entry) in failed {
            let _ = entry.answer.send(Err(failure.clone()));
        }
        largest.unwrap_or(0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        // Every critical section leaves whole entries: a panic leaves no half-done change behind.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Reading {
    Answer(Result<Answer, Failure>),
    Other(Failure),
    Junk,
}

impl Wanted {
    fn read(&self, message: &async_nats::Message) -> Reading {
        match self {
            Self::Acknowledgement(expected) => match acknowledgement::read(message, expected) {
                Reply::Answer(result) => Reading::Answer(result.map(Answer::Stored)),
                Reply::Other(other) => Reading::Other(other),
                Reply::Junk => Reading::Junk,
            },
            _ if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) => {
                Reading::Answer(Ok(Answer::NoResponders))
            }
            Self::Api if !message.payload.trim_ascii_start().starts_with(b"{") => Reading::Junk,
            Self::Api | Self::Echo => Reading::Answer(Ok(Answer::Payload(message.payload.clone()))),
        }
    }
}

impl Waiter<'_> {
    pub(super) async fn answer(&mut self) -> Result<Answer, Failure> {
        let answer = (&mut self.answer).await;
        // Whoever answers, or fails it, has taken it off the list.
        self.answered = true;
        answer.unwrap_or(Err(Failure::Disconnected))
    }

    /// Why it is given up: nobody answered, or somebody else did.
    pub(super) fn given_up(self) -> Failure {
        let waiting = self.pending.lock();
        let other = waiting.entries.get(&self.number).and_then(|entry| entry.other.clone());
        other.unwrap_or(Failure::Unanswered)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut waiting = self.pending.lock();
        if let Some(Entry { sent, .. }) = waiting.entries.remove(&self.number) {
            let (connection, bytes) = waiting.abandoned;
            waiting.abandoned = (connection.max(sent.connection), bytes.max(sent.bytes));
        }
    }
}

/// Names a subject in few bytes (FNV-1a). Two that share a hash share a failure, and are tried again.
pub(super) fn subject_hash(subject: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    subject.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// Spreads numbers that are handed out in sequence. Nobody outside chooses them, so nothing stronger is needed.
#[derive(Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u64(self.0 ^ u64::from(b)));
    }

    fn write_u64(&mut self, number: u64) {
        /// 2^64 over the golden ratio: neighbours land far apart.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        self.0 = number.wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::reply_with as message;

    fn publish<'a>(pending: &'a Pending, connection: u64, subject: &str, bytes: usize) -> Waiter<'a> {
        let expected = Expected { stream: "CI".into(), domain: None };
        let sent = Sent { connection, subject: subject_hash(subject), bytes };
        pending.wait(Wanted::Acknowledgement(expected), sent)
    }

    /// What has come, without waiting.
    fn outcome(waiter: &mut Waiter<'_>) -> Option<Result<u64, Failure>> {
        let answer = waiter.answer.try_recv().ok()?;
        waiter.answered = true;
        Some(answer.map(|answer| match answer {
            Answer::Stored(stored) => stored.sequence,
            _ => 0,
        }))
    }

    #[test]
    fn junk_is_no_answer_and_the_answer_behind_it_counts() {
        let pending = Pending::default();
        let mut waiter = publish(&pending, 1, "ci.a", 10);
        for junk in ["", "+ACK", "{}", "[1]", "{\"stream\":1}"] {
            assert!(!pending.answer(waiter.number, &message(junk)), "{junk}");
        }
        assert!(outcome(&mut waiter).is_none());
        assert!(pending.answer(waiter.number, &message("{\"stream\":\"CI\",\"seq\":5}")));
        assert_eq!(outcome(&mut waiter), Some(Ok(5)));
    }

    #[test]
    fn another_streams_acknowledgement_is_named_when_the_expected_one_does_not_come() {
        let pending = Pending::default();
        let waiter = publish(&pending, 1, "ci.a", 10);
        assert!(pending.answer(waiter.number, &message("{\"stream\":\"X\",\"seq\":5}")));
        let Failure::OtherStream(why) = waiter.given_up() else { panic!("another stream has it") };
        assert!(why.contains("stream X stored it"), "{why}");
        assert_eq!(publish(&pending, 1, "ci.a", 10).given_up(), Failure::Unanswered);
    }

    #[test]
    fn news_of_an_old_connection_ends_nobody_on_the_new_one() {
        let pending = Pending::default();
        let (mut old, mut new) = (publish(&pending, 1, "ci.a", 1), publish(&pending, 2, "ci.a", 1));
        pending.connection_ended(1);
        assert_eq!(outcome(&mut old), Some(Err(Failure::Disconnected)));
        assert_eq!(outcome(&mut new), None);
        pending.connection_ended(2);
        assert_eq!(outcome(&mut new), Some(Err(Failure::Disconnected)));
    }

    #[test]
    fn a_forbidden_subject_ends_its_own_waiters_only() {
        let pending = Pending::default();
        let (mut forbidden, mut other) = (publish(&pending, 1, "ci.a", 1), publish(&pending, 1, "ci.b", 1));
        pending.forbidden("ci.a", "no");
        assert_eq!(outcome(&mut forbidden), Some(Err(Failure::Forbidden("no".into()))));
        assert_eq!(outcome(&mut other), None);
    }

    #[test]
    fn the_largest_unanswered_message_is_remembered_while_its_connection_stands() {
        let pending = Pending::default();
        let _small = publish(&pending, 1, "ci.a", 100);
        drop(publish(&pending, 1, "ci.a", 5000));
        assert_eq!(pending.largest_unanswered(), 5000, "given up, but not answered");
        let mut answered = publish(&pending, 1, "ci.a", 9000);
        assert!(pending.answer(answered.number, &message("{\"stream\":\"CI\",\"seq\":5}")));
        assert_eq!(outcome(&mut answered), Some(Ok(5)));
        assert_eq!(pending.largest_unanswered(), 5000, "what was answered was not too large");
        let _small = publish(&pending, 1, "ci.a", 7000);
        pending.connection_ended(1);
        assert_eq!(pending.largest_unanswered(), 7000, "the client may send it on the next connection");
        pending.connection_ended(2);
        assert_eq!(pending.largest_unanswered(), 0);
    }
}
