//! Where a request of HTTP/1.1 ends and the next begins, read more strictly than a parser must.
//!
//! A proxy in front and the bridge must agree on that, or a sender can hide a request in the body of another (request
//! smuggling). So whatever two readers could read differently is a [`Fault`]: RFC 9112 lets a server refuse all of it.
//! `guard.rs` holds connections to it; nothing here does I/O.

mod chunks;

use hyper::{Request, Uri, Version};
use memchr::memchr;

use crate::authority::is_authority;
use crate::characters::table;
use crate::fault::Fault;
use crate::guard::{Replace, Sieve};
use chunks::Chunks;

/// The largest body that can be announced: more than any limit, and no number overflows.
const LARGEST: u64 = 1 << 62;

/// What a head may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    /// Header fields.
    pub(crate) fields: usize,
    /// Bytes, from the request line to the empty line.
    pub(crate) bytes: usize,
}

/// How far the requests of one connection have been read.
#[derive(Debug)]
pub(crate) struct Framing {
    limits: HeadLimits,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(Head),
    /// This many bytes of a body are still to come.
    Body(u64),
    /// Of the connection's last request, as whatever follows.
    Chunks(Chunks),
    /// Whatever comes belongs to the connection's last request, which is faulty.
    Last,
}

/// Where reading ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A head is faulty.
    Head(Fault),
    /// A chunked body is.
    Body,
}

/// Neither a chunk's size, nor the end of its data, nor a field behind the last: hyper refuses the body.
const NO_CHUNK: &str = "!\r\n\r\n";

impl Stop {
    /// What hyper gets in the place of the faulty bytes.
    pub(crate) fn replacement(self) -> String {
        match self {
            Self::Head(fault) => mark(fault),
            Self::Body => NO_CHUNK.to_owned(),
        }
    }
}

/// What is known of a head that is not complete. Offsets count from its first byte.
#[derive(Debug, Default)]
struct Head {
    /// Where the line begins that is being read.
    line: usize,
    /// How far that line has been searched for its end.
    searched: usize,
    /// An empty line has come before the request line; RFC 9112, section 2.2, wants one to be forgiven.
    forgiven: bool,
    begun: bool,
    http_1_0: bool,
    fields: usize,
    host: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Head(Head::default()) }
    }

    /// How many of `bytes` may be passed on: whole heads, and bodies, of chunked ones whole lines. The rest is to be
    /// shown again, with what follows it.
    ///
    /// # Errors
    ///
    /// A fault, and how many bytes before it may be passed on. Nothing that follows is a request.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<usize, (usize, Stop)> {
        let mut passed = 0;
        while passed < bytes.len() {
            let rest = &bytes[passed..];
            match &mut self.state {
                State::Last => return Ok(bytes.len()),
                State::Chunks(chunks) => match chunks.read(rest) {
                    Ok(here) => return Ok(passed + here),
                    Err((here, _)) => {
                        self.state = State::Last;
                        return Err((passed + here, Stop::Body));
                    }
                },
                State::Body(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= here as u64;
                    passed += here;
                    if *left == 0 {
                        self.state = State::Head(Head::default());
                    }
                }
                State::Head(head) => match head.read(rest, self.limits) {
                    Ok(None) => return Ok(passed),
                    Ok(Some(end)) => {
                        passed += end;
                        self.state = match (head.chunked, head.length.unwrap_or(0)) {
                            (true, _) => State::Chunks(Chunks::Size),
                            (false, 0) => State::Head(Head::default()),
                            (false, length) => State::Body(length),
                        };
                    }
                    Err(fault) => {
                        self.state = State::Last;
                        return Err((passed, Stop::Head(fault)));
                    }
                },
            }
        }
        Ok(passed)
    }
}

impl Sieve for Framing {
    fn read(&mut self, bytes: &[u8]) -> Result<usize, Replace> {
        Self::read(self, bytes).map_err(|(passed, stop)| {
            // What follows is for hyper the body of what stands in its place.
            Replace { passed, removed: 0, by: stop.replacement().into_bytes() }
        })
    }
}

impl Head {
    /// Where the head ends, once it is complete.
    fn read(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, Fault> {
        // Binary protocols need no line end to be recognised.
        if !self.begun && !matches!(bytes.first(), None | Some(b'\r' | b'\n' | b'A'..=b'Z' | b'a'..=b'z')) {
            return Err(Fault::RequestLine);
        }
        while let Some(at) = memchr(b'\n', &bytes[self.searched..]) {
            let end = self.searched + at;
            if end >= limits.bytes {
                return Err(Fault::HeadTooLarge);
            }
            let line = bytes[self.line..end].strip_suffix(b"\r").ok_or(Fault::BareLineFeed)?;
            (self.line, self.searched) = (end + 1, end + 1);
            if self.line(line, limits)? {
                return self.complete().map(|()| Some(end + 1));
            }
        }
        self.searched = bytes.len();
        if bytes.len() >= limits.bytes { Err(Fault::HeadTooLarge) } else { Ok(None) }
    }

    /// Reads a line; true when it ends the head.
    fn line(&mut self, line: &[u8], limits: HeadLimits) -> Result<bool, Fault> {
        if line.is_empty() {
            let ends = self.begun;
            if !ends && std::mem::replace(&mut self.forgiven, true) {
                return Err(Fault::RequestLine);
            }
            return Ok(ends);
        }
        // Without a branch for each byte, the compiler looks at many at once.
        if line.iter().fold(false, |found, byte| found | is_control(*byte)) {
            let is_return = memchr(b'\r', line).is_some();
            return Err(if is_return { Fault::BareCarriageReturn } else { Fault::ControlCharacter });
        }
        if !self.begun {
            self.begun = true;
            self.http_1_0 = request_line(line)?;
            return Ok(false);
        }
        self.fields += 1;
        if self.fields > limits.fields {
            return Err(Fault::TooManyHeaders);
        }
        self.field(line).map(|()| false)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(Fault::FoldedHeader);
        }
        let colon = memchr(b':', line).ok_or(Fault::HeaderName)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().all(|byte| TOKEN[usize::from(*byte)]) {
            return Err(Fault::HeaderName);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.replace(length(value)?).is_some() {
                return Err(Fault::TwoLengths);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::TransferEncoding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"host")
            && (std::mem::replace(&mut self.host, true) || !is_authority(value))
        {
            return Err(Fault::Host);
        }
        Ok(())
    }

    /// What can be said only of a whole head.
    fn complete(&self) -> Result<(), Fault> {
        match self {
            Self { chunked: true, length: Some(_), .. } => Err(Fault::LengthAndEncoding),
            Self { chunked: true, http_1_0: true, .. } => Err(Fault::TransferEncoding),
            Self { http_1_0: false, host: false, .. } => Err(Fault::Host),
            _ => Ok(()),
        }
    }
}

/// Whether the line is one of HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Fault> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Fault::RequestLine);
    };
    if !is_method(method) {
        return Err(Fault::RequestLine);
    }
    if !is_target(target) {
        return Err(Fault::Target);
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        _ if version.starts_with(b"HTTP/") => Err(Fault::Version),
        _ => Err(Fault::RequestLine),
    }
}

/// Every method there is; [`MARK`] stands for requests that are none.
pub(crate) fn is_method(method: &[u8]) -> bool {
    !method.is_empty() && method.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'-')
}

/// A path, or a whole URL as proxies are sent; also `*`, which no endpoint has.
pub(crate) fn is_target(target: &[u8]) -> bool {
    let is_readable = target.iter().all(|byte| TARGET[usize::from(*byte)]);
    let is_known = match target {
        [b'/', ..] | b"*" => true,
        other => is_url(other) && Uri::try_from(other).is_ok(),
    };
    is_readable && is_known
}

/// `http://` or `https://`, in any case, and a host.
fn is_url(target: &[u8]) -> bool {
    let has_scheme =
        |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
    let Some(scheme) = [&b"http://"[..], b"https://"].into_iter().find(|scheme| has_scheme(scheme)) else {
        return false;
    };
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    end > 0 && rest[0] != b':' && is_authority(&rest[..end])
}

/// A control character other than a tab.
fn is_control(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\t') | (byte == 0x7f)
}

/// Digits and nothing else: some readers take `+5`, `5, 5` or `0x5` for a number.
fn length(value: &[u8]) -> Result<u64, Fault> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault::Length);
    }
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.filter(|number| *number <= LARGEST).ok_or(Fault::Length)
}

/// The bytes of names, RFC 9110, section 5.6.2.
const TOKEN: [bool; 256] = table(b"-_!#$%&'*+.^`|~0123456789");
/// The bytes of targets: all that is printable, but what hyper cannot read, which it refuses without a word.
const TARGET: [bool; 256] = table(b"!$%&'()*+,-./0123456789:;=?@[\\]^_{|}~");

/// The method of the request that stands in the place of a faulty one; [`request_line`] lets nobody else use it.
const MARK: &str = "!";

/// A request that says of itself that it is `fault`, with whatever the sender still writes for its body.
pub(crate) fn mark(fault: Fault) -> String {
    format!("{MARK} /{} HTTP/1.1\r\nContent-Length: {LARGEST}\r\n\r\n", fault.as_str())
}

/// The fault that a request stands for.
pub(crate) fn marked<B>(request: &Request<B>) -> Option<Fault> {
    if request.version() != Version::HTTP_11 || request.method().as_str() != MARK {
        return None;
    }
    Fault::ALL.into_iter().find(|fault| request.uri().path().strip_prefix('/') == Some(fault.as_str()))
}

#[cfg(test)]
mod tests;
