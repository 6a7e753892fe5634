//! Asking a contender whether it is ready: a request, and the status of its answer.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a whole request; the answer as text.
pub(crate) fn ask(host: &str, request: &[u8]) -> io::Result<String> {
    let mut socket = TcpStream::connect(host)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.write_all(request)?;
    let mut answer = Vec::new();
    // The other side may keep the connection: what one read brings holds the status.
    let mut chunk = [0; 64 * 1024];
    let count = socket.read(&mut chunk)?;
    answer.extend_from_slice(&chunk[..count]);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

pub(crate) fn is_ok(answer: &io::Result<String>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The body of a GET.
pub(crate) fn get(host: &str, path: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect(host)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
