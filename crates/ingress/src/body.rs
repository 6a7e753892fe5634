//! Reading a body: bounded in bytes, alone and with all others, and bounded in time; and what is not read of one.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::answer::Answer;
use crate::budget::ByteReservation;
use crate::fault::Fault;
use crate::http2;

/// Behind an answer, this much more of a body is read and thrown away, for at most [`LINGER_TIME`]: closing a
/// connection while the sender still writes would reset it, and the sender would never read why.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_millis(250);

/// There is room for the whole of a body as soon as one part in so many has come: what a sender announces costs nothing
/// before it is sent.
const BELIEVED_FROM: usize = 8;

/// What one body may take.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) bytes: usize,
    /// Fields behind a body, chunked or of HTTP/2, which are not used.
    pub(crate) trailers: usize,
    pub(crate) within: Duration,
}

/// The body of a request, as far as it was read.
pub(crate) struct Incomplete {
    body: Incoming,
    /// The sender writes it without having been asked, and it has not ended.
    comes: bool,
    bytes: u64,
}

impl Incomplete {
    /// The body of a request whose sender waits for leave to write it (`Expect: 100-continue`), or does not. The first
    /// look at the body gives leave.
    pub(crate) fn new(body: Incoming, waits_for_leave: bool) -> Self {
        let comes = !waits_for_leave && !body.is_end_stream();
        Self { comes, bytes: body.size_hint().lower(), body }
    }

    /// How large it is, as far as that was announced or read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The whole body, or the answer to give instead. A sender that waits for leave is told no without being asked for
    /// a byte.
    pub(crate) async fn read(&mut self, limit: Limit, share: &mut ByteReservation) -> Result<Bytes, Answer> {
        if self.bytes > limit.bytes as u64 {
            return Err(Answer::BodyTooLarge { limit: limit.bytes });
        }
        self.comes = true;
        let mut read = 0;
        let collected = collect(&mut self.body, limit, share, &mut read);
        let result = timeout(limit.within, collected).await.unwrap_or(Err(Answer::BodyTooSlow));
        self.bytes = self.bytes.max(read as u64);
        self.comes = result.is_err();
        result
    }

    /// Reads on for a moment, so that the sender can read the answer, which goes out meanwhile.
    pub(crate) fn linger(self) {
        if self.comes {
            // Ends with its time at the latest, and before it with its connection.
            tokio::spawn(timeout(LINGER_TIME, throw_away(self.body)));
        }
    }
}

/// What is wrong with the fields behind a body, of which there may be `most`.
fn fault_of(trailers: &HeaderMap, most: usize) -> Option<Fault> {
    http2::marked(trailers).or((trailers.len() > most).then_some(Fault::TooManyHeaders))
}

async fn throw_away(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > LINGER_BYTES {
            break;
        }
    }
}

async fn collect(
    body: &mut Incoming,
    limit: Limit,
    share: &mut ByteReservation,
    read: &mut usize,
) -> Result<Bytes, Answer> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut collected = Collected::None;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            // Also for more fields behind a chunked body than hyper takes itself: max_headers and at least 100, in 16 KiB.
            return Err(Answer::BodyBroken);
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(other) => match other.trailers_ref().and_then(|fields| fault_of(fields, limit.trailers)) {
                Some(fault) => return Err(Answer::Malformed(fault)),
                None => continue,
            },
        };
        *read += data.len();
        if *read > limit.bytes {
            return Err(Answer::BodyTooLarge { limit: limit.bytes });
        }
        if !share.take(data.len()) {
            return Err(Answer::TooManyBytes { limit: share.most() });
        }
        collected.push(data, announced);
    }
    Ok(collected.into_bytes())
}

/// Most callbacks come in one frame, which is then used as it is.
enum Collected {
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Collected {
    /// Adds a piece of a body of which so many bytes are announced in all.
    fn push(&mut self, data: Bytes, announced: usize) {
        let mut bytes = match std::mem::replace(self, Self::None) {
            Self::None => {
                *self = Self::One(data);
                return;
            }
            Self::One(first) => BytesMut::from(first),
            Self::Many(bytes) => bytes,
        };
        let together = bytes.len() + data.len();
        if together > bytes.capacity() && together >= announced / BELIEVED_FROM {
            // At once: a buffer that grows leaves all of its smaller selves to the allocator.
            bytes.reserve(announced.saturating_sub(bytes.len()).max(data.len()));
        }
        bytes.extend_from_slice(&data);
        *self = Self::Many(bytes);
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}
