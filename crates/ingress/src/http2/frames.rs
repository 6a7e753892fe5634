//! The frames that a client sends, held to what hyper does not look at. Nothing here does I/O.

use std::collections::HashSet;

use super::hpack::{Broken, Hpack};
use super::mark;
use crate::fault::Fault;
use crate::guard::{Replace, Sieve};

/// What a client writes before its first frame (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
/// The largest frame that a client may send without being told otherwise.
const LARGEST_FRAME: usize = 16 * 1024;
/// Streams that were reset because the client broke a rule, or opened too many; after these the connection is given up.
/// Each counts once, however many frames come for it: h2 would count every one of them.
const MOST_RESETS: usize = 1024;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
/// Bytes that [`PRIORITY`] adds to a HEADERS frame.
const PRIORITY_BYTES: usize = 5;
/// `NO_ERROR` and `CANCEL`: the stream ended early, and nobody is to blame.
const BLAMELESS: [u32; 2] = [0, 8];

/// A frame that breaks every rule, HEADERS of no stream: hyper says goodbye to whoever sends it.
const GOODBYE: [u8; HEAD_BYTES] = [0, 0, 0, HEADERS, END_HEADERS, 0, 0, 0, 0];

/// How far the frames of one connection have been read.
#[derive(Debug)]
pub(crate) struct Frames {
    state: State,
    hpack: Hpack,
    /// What has come of a header block, and the most that may come of one, in bytes.
    block: Vec<u8>,
    largest_block: usize,
    newest_stream: u32,
    /// The block's stream has had another before it.
    is_trailers: bool,
    answers: Answers,
}

#[derive(Debug)]
enum State {
    Preface(usize),
    Head,
    /// This many bytes of a frame are still to come, which is passed as it is.
    Passing(usize),
    /// What comes next is the last that passes, and not as it is.
    Ending,
    /// Nothing passes any more.
    Ended,
}

struct Head {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = bytes.first_chunk::<HEAD_BYTES>()?;
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        Some(Self {
            length,
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(*stream) & (u32::MAX >> 1),
        })
    }

    /// The frame with another payload.
    fn write(&self, flags: u8, kind: u8, payload: &[&[u8]]) -> Vec<u8> {
        let length = payload.iter().map(|part| part.len()).sum::<usize>();
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &self.stream.to_be_bytes()].concat();
        [head, payload.concat()].concat()
    }
}

impl Frames {
    /// For heads of at most `max_header_bytes`; hyper answers those that are a little larger.
    pub(crate) fn new(max_header_bytes: usize) -> Self {
        Self {
            state: State::Preface(PREFACE_BYTES),
            hpack: Hpack::new(),
            block: Vec::new(),
            largest_block: max_header_bytes.saturating_mul(2),
            newest_stream: 0,
            is_trailers: false,
            answers: Answers::new(),
        }
    }

    /// One frame of a header block, whole; `None` when it passes as it is.
    fn headers(&mut self, head: &Head, payload: &[u8]) -> Option<Vec<u8>> {
        let Some((fragment, padding)) = fragment(head, payload) else {
            // hyper calls it an error of the connection.
            self.state = State::Ending;
            return None;
        };
        if head.kind == HEADERS {
            self.block.clear();
            self.is_trailers = head.stream <= self.newest_stream;
            self.newest_stream = self.newest_stream.max(head.stream);
        }
        self.block.extend_from_slice(&payload[fragment..padding]);
        if self.block.len() > self.largest_block {
            self.state = State::Ended;
            return Some(GOODBYE.to_vec());
        }
        if head.flags & END_HEADERS == 0 {
            return None;
        }
        let fault = match self.hpack.read(&std::mem::take(&mut self.block)) {
            Ok(seen) if self.is_trailers && seen.pseudo => Fault::PseudoTrailer,
            Ok(seen) if seen.fragment => Fault::Target,
            Ok(_) => return None,
            Err(Broken) => {
                self.state = State::Ending;
                return None;
            }
        };
        Some(marked(head, payload, padding, fault))
    }
}

/// A frame whose header block says of itself that it is `fault`.
fn marked(head: &Head, payload: &[u8], padding: usize, fault: Fault) -> Vec<u8> {
    let mark = mark(fault);
    if payload.len() + mark.len() <= LARGEST_FRAME {
        return head.write(head.flags, head.kind, &[&payload[..padding], &mark, &payload[padding..]]);
    }
    let mut frames = head.write(head.flags & !END_HEADERS, head.kind, &[payload]);
    frames.extend(head.write(END_HEADERS, CONTINUATION, &[&mark]));
    frames
}

/// Where in a frame its part of the header block begins and ends.
fn fragment(head: &Head, payload: &[u8]) -> Option<(usize, usize)> {
    let has = |flag: u8| head.kind == HEADERS && head.flags & flag != 0;
    let padding = if has(PADDED) { usize::from(*payload.first()?) } else { 0 };
    let start = usize::from(has(PADDED)) + if has(PRIORITY) { PRIORITY_BYTES } else { 0 };
    let end = payload.len().checked_sub(padding)?;
    (start <= end).then_some((start, end))
}

impl Sieve for Frames {
    fn read(&mut self, bytes: &[u8]) -> Result<usize, Replace> {
        let mut passed = 0;
        while passed < bytes.len() {
            let rest = &bytes[passed..];
            match &mut self.state {
                State::Ending => {
                    self.state = State::Ended;
                    return Err(Replace { passed, removed: rest.len(), by: GOODBYE.to_vec() });
                }
                State::Ended => return Err(Replace { passed, removed: rest.len(), by: Vec::new() }),
                State::Preface(left) | State::Passing(left) => {
                    let here = (*left).min(rest.len());
                    *left -= here;
                    passed += here;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Head if self.answers.are_too_many() => self.state = State::Ending,
                State::Head => {
                    let Some(head) = Head::read(rest) else { return Ok(passed) };
                    let is_block = matches!(head.kind, HEADERS | CONTINUATION);
                    if !is_block || head.length > LARGEST_FRAME {
                        self.state = State::Passing(HEAD_BYTES + head.length);
                        continue;
                    }
                    let end = HEAD_BYTES + head.length;
                    let Some(frame) = rest.get(..end) else { return Ok(passed) };
                    if let Some(by) = self.headers(&head, &frame[HEAD_BYTES..]) {
                        return Err(Replace { passed, removed: end, by });
                    }
                    passed += end;
                }
            }
        }
        Ok(passed)
    }

    fn written(&mut self, bytes: &[u8]) {
        self.answers.read(bytes);
    }
}

/// What the bridge writes, read for the streams that it resets.
#[derive(Debug)]
struct Answers {
    /// The beginning of a frame: its head, and of RST_STREAM its code.
    begun: Vec<u8>,
    /// This many bytes of a frame are still to come that say nothing.
    skipped: usize,
    reset: HashSet<u32>,
}

impl Answers {
    fn new() -> Self {
        Self { begun: Vec::new(), skipped: 0, reset: HashSet::new() }
    }

    fn are_too_many(&self) -> bool {
        self.reset.len() > MOST_RESETS
    }

    fn read(&mut self, mut bytes: &[u8]) {
        const CODE_BYTES: usize = 4;
        while !bytes.is_empty() {
            let skipped = self.skipped.min(bytes.len());
            self.skipped -= skipped;
            bytes = &bytes[skipped..];
            let is_reset = Head::read(&self.begun).is_some_and(|head| head.kind == RST_STREAM);
            let wanted = if is_reset { HEAD_BYTES + CODE_BYTES } else { HEAD_BYTES };
            let (taken, rest) = bytes.split_at((wanted - self.begun.len()).min(bytes.len()));
            self.begun.extend_from_slice(taken);
            bytes = rest;
            let Some(head) = Head::read(&self.begun) else { continue };
            match (head.kind, self.begun[HEAD_BYTES..].first_chunk()) {
                (RST_STREAM, None) if head.length == CODE_BYTES => continue,
                (RST_STREAM, Some(code)) if !BLAMELESS.contains(&u32::from_be_bytes(*code)) => {
                    self.reset.insert(head.stream);
                }
                (RST_STREAM, Some(_)) => {}
                _ => self.skipped = head.length,
            }
            self.begun.clear();
        }
    }
}

#[cfg(test)]
mod tests;
