//! HTTP down to its bytes: what a test sends is what goes over the wire.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

/// A connection over which a test writes what it likes.
pub(crate) struct Connection(TcpStream);

/// One request over one connection.
pub(crate) fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut connection = Connection::open(to);
    connection.write(format!("{head}Connection: close\r\n\r\n").as_bytes());
    connection.write(body);
    connection.read_answer()
}

impl Connection {
    pub(crate) fn open(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("the bridge accepts connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self(stream)
    }

    /// Writes; a peer that has closed already is seen by what it answered.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    pub(crate) fn close_write(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Reads one answer with its announced length.
    pub(crate) fn read_answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            if let Some(answer) = Answer::parse(&bytes) {
                return answer;
            }
            match self.0.read(&mut buffer) {
                Ok(0) => panic!("the connection ended after {:?}", String::from_utf8_lossy(&bytes)),
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(e) => panic!("{e} after {:?}", String::from_utf8_lossy(&bytes)),
            }
        }
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let answer = Self { status, head, body: bytes[end + 4..].to_vec() };
        let length: usize = answer.header("content-length").unwrap_or("0").parse().ok()?;
        (answer.body.len() >= length).then_some(answer)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}
