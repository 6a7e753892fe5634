//! Holds a connection to a [`Sieve`]: hyper gets what is beyond doubt, and bodies as they come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A head that does not come in one piece is collected in pieces of at most this size.
const PIECE: usize = 1024;

/// What decides which bytes of a connection hyper gets.
pub(crate) trait Sieve {
    /// How many of `bytes` may be passed on. The rest is to be shown again, with what follows it.
    ///
    /// # Errors
    ///
    /// Bytes that may not, and what hyper gets in their place.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, Replace>;

    /// Takes note of what is written to the sender.
    fn written(&mut self, _bytes: &[u8]) {}
}

/// Behind the `passed` bytes, `removed` ones go and `by` takes their place. What follows is to be shown.
#[derive(Debug)]
pub(crate) struct Replace {
    pub(crate) passed: usize,
    pub(crate) removed: usize,
    pub(crate) by: Vec<u8>,
}

/// A connection that is guarded.
///
/// A usual request is read into hyper's own buffer and looked at there. What is faulty never reaches hyper: in its place
/// comes what says so, which is answered in its turn like any other request.
#[derive(Debug)]
pub(crate) struct Guard<IO, S> {
    io: IO,
    sieve: S,
    /// What hyper has not got yet: the beginning of a head, after the first `ready` bytes, which may go.
    held: Vec<u8>,
    ready: usize,
}

impl<IO, S: Sieve> Guard<IO, S> {
    pub(crate) fn new(io: IO, sieve: S) -> Self {
        Self { io, sieve, held: Vec::new(), ready: 0 }
    }

    /// Looks at bytes that hyper has been given; gives back how many it may keep.
    fn look(&mut self, bytes: &[u8]) -> usize {
        match self.sieve.read(bytes) {
            Ok(passed) => {
                self.held.extend_from_slice(&bytes[passed..]);
                passed
            }
            Err(Replace { passed, removed, by }) => {
                self.held.extend_from_slice(&by);
                self.ready = by.len();
                self.held.extend_from_slice(&bytes[passed + removed..]);
                self.rescan();
                passed
            }
        }
    }

    /// Looks at what is held and not ready, after more has come.
    fn rescan(&mut self) {
        loop {
            match self.sieve.read(&self.held[self.ready..]) {
                Ok(passed) => {
                    self.ready += passed;
                    return;
                }
                Err(Replace { passed, removed, by }) => {
                    let at = self.ready + passed;
                    self.ready = at + by.len();
                    self.held.splice(at..at + removed, by);
                }
            }
        }
    }

    fn replay_into(&mut self, buffer: &mut ReadBuf<'_>) {
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

impl<IO: AsyncRead + Unpin, S: Sieve + Unpin> AsyncRead for Guard<IO, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                this.replay_into(buffer);
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
                this.rescan();
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin, S: Sieve + Unpin> AsyncWrite for Guard<IO, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, bytes))?;
        this.sieve.written(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, bytes))?;
        let mut left = written;
        for bytes in bytes {
            let here = left.min(bytes.len());
            this.sieve.written(&bytes[..here]);
            left -= here;
        }
        Poll::Ready(Ok(written))
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
