//! One connection: a request out, an answer in, one after the other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use ci_bridge_bench::template::Template;

use crate::response::{self, Response};

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    request: Vec<u8>,
    written: usize,
    /// The beginning of an answer that has not come whole.
    partial: Vec<u8>,
    /// When the request should have been sent.
    pub(crate) intended: Instant,
}

/// What a readable connection has to say.
pub(crate) enum Progress {
    /// Nothing yet, or not all.
    Waiting,
    /// A whole answer: its status, and its bytes.
    Answered(u16, Vec<u8>),
    Failed(String),
}

impl Connection {
    pub(crate) fn open(host: &str, template: &Template) -> io::Result<Self> {
        let socket = TcpStream::connect(host)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let request = template.request();
        Ok(Self { socket, written: request.len(), request, partial: Vec::new(), intended: Instant::now() })
    }

    /// Starts on the next request, and says whether all of it is on its way.
    pub(crate) fn send(&mut self, template: &Template, number: u64, intended: Instant) -> io::Result<bool> {
        template.stamp(&mut self.request, number);
        (self.written, self.intended) = (0, intended);
        self.write()
    }

    /// Goes on with a request that the socket did not take whole.
    pub(crate) fn write(&mut self) -> io::Result<bool> {
        while self.written < self.request.len() {
            match self.socket.write(&self.request[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads what is there. An answer that comes whole, as nearly all do, is looked at where it was read.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> Progress {
        let count = match self.socket.read(scratch) {
            Ok(0) => return Progress::Failed("the connection was closed instead of an answer".to_owned()),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Progress::Waiting;
            }
            Err(error) => return Progress::Failed(error.to_string()),
        };
        if self.partial.is_empty() {
            return match response::parse(&scratch[..count]) {
                Ok(None) => {
                    self.partial.extend_from_slice(&scratch[..count]);
                    Progress::Waiting
                }
                found => whole(found, &scratch[..count]),
            };
        }
        self.partial.extend_from_slice(&scratch[..count]);
        match response::parse(&self.partial) {
            Ok(None) => Progress::Waiting,
            found => {
                let bytes = std::mem::take(&mut self.partial);
                whole(found, &bytes)
            }
        }
    }
}

/// One request at a time is out, so nothing may follow its answer.
fn whole(found: Result<Option<Response>, String>, bytes: &[u8]) -> Progress {
    match found {
        Ok(Some(response)) if response.length == bytes.len() => {
            // The bytes are only ever shown when something is wrong.
            let shown = if response.status == 200 { Vec::new() } else { bytes.to_vec() };
            Progress::Answered(response.status, shown)
        }
        Ok(_) => Progress::Failed("more than one answer to one request".to_owned()),
        Err(error) => Progress::Failed(error),
    }
}
