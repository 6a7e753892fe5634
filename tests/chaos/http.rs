//! Posting over a connection that is kept, with what there is to know when no answer comes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::PATIENCE;

/// Posts to the bridge, over the connection of the last answer while it stands.
pub(crate) struct Client {
    to: SocketAddr,
    connection: Option<TcpStream>,
}

/// What became of one request.
pub(crate) enum Exchange {
    Answered {
        answer: Answer,
        took: Duration,
    },
    /// It was not written whole: nobody has received it.
    Refused,
    /// It was written whole, and the connection ended.
    Reset {
        written: Instant,
        ended: Instant,
    },
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Value,
}

impl Client {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self { to, connection: None }
    }

    pub(crate) fn post(&mut self, body: &str) -> Exchange {
        let Ok(mut connection) = self.connection() else {
            return Exchange::Refused;
        };
        let request = format!(
            "POST /ci/callback HTTP/1.1\r\nHost: ci\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if connection.write_all(request.as_bytes()).is_err() {
            return Exchange::Refused;
        }
        let written = Instant::now();
        match Answer::read(&mut connection) {
            Ok((answer, keep)) => {
                self.connection = keep.then_some(connection);
                let took = written.elapsed();
                Exchange::Answered { answer, took }
            }
            Err(_) => Exchange::Reset { written, ended: Instant::now() },
        }
    }

    /// The connection that stands, or a new one.
    fn connection(&mut self) -> io::Result<TcpStream> {
        if let Some(connection) = self.connection.take().filter(stands) {
            return Ok(connection);
        }
        let connection = TcpStream::connect(self.to)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        Ok(connection)
    }
}

/// Whether the other side has not closed it since the last answer.
fn stands(connection: &TcpStream) -> bool {
    let look = || {
        connection.set_nonblocking(true)?;
        let seen = connection.peek(&mut [0]);
        connection.set_nonblocking(false)?;
        seen
    };
    look().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl Answer {
    /// Reads an answer with its announced length; says whether the connection stays.
    fn read(connection: &mut TcpStream) -> io::Result<(Self, bool)> {
        let mut bytes = Vec::with_capacity(1024);
        let mut buffer = [0; 8192];
        loop {
            match connection.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
            if let Some(answer) = Self::parse(&bytes) {
                return Ok(answer);
            }
        }
    }

    fn parse(bytes: &[u8]) -> Option<(Self, bool)> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let field = |name| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length: usize = field("content-length:")?.parse().ok()?;
        let body = bytes[end + 4..].get(..length)?;
        let body = serde_json::from_slice(body).unwrap_or_default();
        let keep = field("connection:") != Some("close");
        Some((Self { status, body }, keep))
    }

    /// `published`, `spooled` or `probe`; empty for a problem.
    pub(crate) fn outcome(&self) -> &str {
        self.body["outcome"].as_str().unwrap_or_default()
    }

    /// Status and outcome.
    pub(crate) fn kind(&self) -> String {
        format!("{} {}", self.status, self.outcome()).trim_end().to_owned()
    }

    /// Subject and id of each message.
    pub(crate) fn messages(&self) -> Vec<(String, String)> {
        let text = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let messages = self.body["messages"].as_array().into_iter().flatten();
        messages.map(|message| (text(message, "subject"), text(message, "id"))).collect()
    }
}
