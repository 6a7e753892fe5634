//! What keeps a connection from being made, before anybody tries.

/// Something that no connection can be made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub part: Part,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// A part of [`Connection`](super::Connection).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// [`Connection::servers`](super::Connection::servers)
    Servers,
    /// [`Connection::authentication`](super::Connection::authentication)
    Authentication,
    /// [`Tls::ca`](super::Tls::ca)
    Ca,
    /// The certificate of [`Tls::client`](super::Tls::client).
    ClientCertificate,
    /// The key of [`Tls::client`](super::Tls::client).
    ClientKey,
    /// [`Connection::inbox_prefix`](super::Connection::inbox_prefix)
    InboxPrefix,
}
