//! HTTP down to its bytes: what a test sends is what goes over the wire.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::PATIENCE;

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

/// A connection over which a test writes what it likes.
pub(crate) struct Connection(Wire);

trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

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
        Self(Wire::Plain(stream))
    }

    /// Over TLS; the handshake happens with the first bytes.
    pub(crate) fn open_tls(to: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let Self(Wire::Plain(stream)) = Self::open(to) else { unreachable!() };
        let client = ClientConnection::new(config, to.ip().into()).expect("a client");
        Self(Wire::Tls(Box::new(StreamOwned::new(client, stream))))
    }

    /// The certificate that the bridge has shown.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        let Wire::Tls(stream) = &self.0 else { panic!("this one is plain") };
        stream.conn.peer_certificates().expect("after the handshake")[0].clone()
    }

    /// Posts a callback over this connection, which stays open; `None` when it ends instead.
    pub(crate) fn post(&mut self, body: &str) -> Option<Answer> {
        let length = body.len();
        let head = format!("POST /ci/callback HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        self.write(format!("{head}{body}").as_bytes());
        self.try_read_answer().ok()
    }

    fn wire(&mut self) -> &mut dyn ReadWrite {
        match &mut self.0 {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream,
        }
    }

    /// Writes; a peer that has closed already is seen by what it answered.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.wire().write_all(bytes);
    }

    /// Whether all of it could be written within this time.
    pub(crate) fn write_within(&mut self, bytes: &[u8], time: Duration) -> bool {
        let stream = match &self.0 {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        };
        stream.set_write_timeout(Some(time)).expect("a timeout can be set");
        self.wire().write_all(bytes).is_ok()
    }

    pub(crate) fn close_write(&mut self) {
        let stream = match &self.0 {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        };
        let _ = stream.shutdown(Shutdown::Write);
    }

    /// All that comes until the other side closes, or resets.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match self.wire().read(&mut buffer) {
                Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("still open after {PATIENCE:?}")
                }
                _ => return bytes,
            }
        }
    }

    /// Reads one answer with its announced length.
    pub(crate) fn read_answer(&mut self) -> Answer {
        self.try_read_answer().unwrap_or_else(|ended| panic!("{ended}"))
    }

    fn try_read_answer(&mut self) -> Result<Answer, String> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            if let Some(answer) = Answer::parse(&bytes) {
                return Ok(answer);
            }
            match self.wire().read(&mut buffer) {
                Ok(0) => {
                    return Err(format!("the connection ended after {:?}", String::from_utf8_lossy(&bytes)));
                }
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(e) => return Err(format!("{e} after {:?}", String::from_utf8_lossy(&bytes))),
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
