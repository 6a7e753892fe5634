//! Holds a connection to [`Framing`]: hyper gets whole heads that are beyond doubt, and bodies as they come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::framing::{Framing, HeadLimits};

/// A head that does not come in one piece is collected in pieces of at most this size.
const PIECE: usize = 1024;

/// A connection of HTTP/1.1 whose read side is guarded.
///
/// A usual request is read into hyper's own buffer and looked at there. A head that is faulty never reaches hyper: in its
/// place comes a request that says so ([`Stop::replacement`](crate::framing::Stop)), which is answered in its turn like
/// any other.
#[derive(Debug)]
pub(crate) struct Guard<IO> {
    io: IO,
    framing: Framing,
    /// What hyper has not got yet: the beginning of a head, after the first `ready` bytes, which may go.
    held: Vec<u8>,
    ready: usize,
}

impl<IO> Guard<IO> {
    pub(crate) fn new(io: IO, limits: HeadLimits) -> Self {
        Self { io, framing: Framing::new(limits), held: Vec::new(), ready: 0 }
    }

    /// Looks at bytes that hyper has been given; gives back how many it may keep.
    fn look(&mut self, bytes: &[u8]) -> usize {
        match self.framing.read(bytes) {
            Ok(passed) => {
                self.held.extend_from_slice(&bytes[passed..]);
                passed
            }
            Err((passed, stop)) => {
                self.held.extend_from_slice(stop.replacement().as_bytes());
                self.held.extend_from_slice(&bytes[passed..]);
                self.ready = self.held.len();
                passed
            }
        }
    }

    /// Looks at what is held, after more has come.
    fn look_again(&mut self) {
        match self.framing.read(&self.held) {
            Ok(passed) => self.ready = passed,
            Err((passed, stop)) => {
                self.held.splice(passed..passed, stop.replacement().into_bytes());
                self.ready = self.held.len();
            }
        }
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.ready.min(buffer.remaining());
        buffer.put_slice(&self.held[..count]);
        self.ready -= count;
        self.held.drain(..count);
        if self.held.is_empty() {
            // Most heads come in one piece: the memory is not needed for the next.
            self.held = Vec::new();
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guard<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                this.give(buffer);
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
                let ended = buffer.filled().len() == before;
                let passed = this.look(&buffer.filled()[before..]);
                buffer.set_filled(before + passed);
                // Nothing, without an end, is for hyper the end.
                if ended || passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut piece = [0; PIECE];
                let mut piece = ReadBuf::new(&mut piece);
                ready!(Pin::new(&mut this.io).poll_read(cx, &mut piece))?;
                if piece.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.held.extend_from_slice(piece.filled());
                this.look_again();
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guard<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
