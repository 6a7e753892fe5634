//! A port that stays ours while nobody listens on it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of 127.0.0.1 that the system gives to nobody else, neither to a listener on port 0 nor to a connection,
/// until this is dropped. A server that is told the port can listen on it, and does so again after a crash; before
/// and between, connections are refused.
///
/// It is a socket that is bound and does not listen. Linux lets a second one with `SO_REUSEADDR`, which listeners
/// have in Go, std and tokio, bind to the same port when it asks for that very port. Other systems do not: there
/// the port is merely free at this moment.
#[derive(Debug)]
pub struct ReservedPort {
    address: SocketAddr,
    _socket: Option<TcpSocket>,
}

impl ReservedPort {
    /// # Errors
    ///
    /// When the system has no free port.
    pub fn new() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = socket.local_addr()?;
        Ok(Self { address, _socket: cfg!(target_os = "linux").then_some(socket) })
    }

    /// `127.0.0.1:<port>`
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Display for ReservedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::ReservedPort;

    #[test]
    fn a_server_listens_on_it_again_and_again_and_nobody_else() {
        let port = ReservedPort::new().unwrap();
        for _ in 0..3 {
            assert!(TcpStream::connect(port.address()).is_err(), "nobody listens");
            let listener = TcpListener::bind(port.address()).unwrap();
            assert!(TcpStream::connect(port.address()).is_ok());
            drop(listener);
        }
        #[cfg(target_os = "linux")]
        for _ in 0..50_000 {
            // More often than there are ports to give.
            let other = TcpListener::bind("127.0.0.1:0").unwrap();
            assert_ne!(other.local_addr().unwrap(), port.address());
        }
    }
}
