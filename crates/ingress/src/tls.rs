//! TLS of the listener: the certificate that it shows, and the clients that it asks for one.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, server::danger::ClientCertVerifier};

/// What ALPN calls HTTP/2 over TLS.
pub(crate) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";
/// The first byte of a TLS connection: a record of the type handshake (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// A connection after its handshake.
pub(crate) type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// Certificate, key and, for mTLS, the authority of clients: read, and known to fit together.
#[derive(Clone)]
pub struct TlsIdentity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

/// What is wrong with PEM files; the caller knows which file it was.
#[derive(Debug, PartialEq, Eq)]
pub enum TlsProblem {
    /// Of the certificate.
    Certificate(String),
    /// Of the key.
    Key(String),
    /// Of the authority that signs clients' certificates.
    ClientCa(String),
}

/// The identity in use. It can be replaced: connections that are open keep what they were made with.
#[derive(Debug)]
pub struct Tls(RwLock<TlsIdentity>);

/// Why a handshake came to nothing; `as_str` is a label of a metric.
#[derive(Debug)]
pub(crate) enum HandshakeFailure {
    TooSlow,
    /// The first byte was no TLS: the stream, to say so.
    PlainText(TcpStream),
    Broken(io::Error),
}

impl TlsIdentity {
    /// Reads PEM texts: a certificate with its chain, its key, and with `client_ca` the authority that must have
    /// signed what a client shows.
    ///
    /// # Errors
    ///
    /// [`TlsProblem`] when one of them holds nothing of its kind, or they do not fit together.
    pub fn from_pem(cert: &[u8], key: &[u8], client_ca: Option<&[u8]>) -> Result<Self, TlsProblem> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(cert).map_err(TlsProblem::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
            TlsProblem::Key("holds no private key that can be used: PEM without a password is needed".into())
        })?;
        let certificate = chain.first().cloned().unwrap_or_else(|| Vec::new().into());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsProblem::Certificate(e.to_string()))?;
        let builder = match client_ca {
            Some(pem) => builder
                .with_client_cert_verifier(client_verifier(pem, provider).map_err(TlsProblem::ClientCa)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsProblem::Key("is not the key of the certificate".into()),
            rustls::Error::InvalidCertificate(_) => {
                TlsProblem::Certificate(format!("cannot be used: {error}"))
            }
            error => TlsProblem::Key(format!("cannot be used: {error}")),
        })?;
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(Self { config: Arc::new(config), certificate })
    }

    /// The certificate that is shown, without those that signed it, in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<certificate and key>")
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err("holds no certificate: PEM is needed".into()),
        Err(_) => Err("is cut off or is no PEM".into()),
    }
}

fn client_verifier(pem: &[u8], provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| format!("cannot be used: {error}"))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|error| format!("cannot be used: {error}"))
}

impl Tls {
    /// Starts with this identity.
    #[must_use]
    pub fn new(identity: TlsIdentity) -> Self {
        Self(RwLock::new(identity))
    }

    /// Handshakes from now on are made with this identity.
    pub fn replace(&self, identity: TlsIdentity) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Shakes hands with a client, within a limit of time.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        within: Duration,
    ) -> Result<Box<TlsStream>, HandshakeFailure> {
        let TlsIdentity { config, .. } = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let handshake = async {
            // Somebody who speaks HTTP here is told so, in HTTP, before TLS has answered with an alert.
            let mut first = [0];
            match stream.peek(&mut first).await {
                Ok(1) if first != [HANDSHAKE_RECORD] => return Err(HandshakeFailure::PlainText(stream)),
                Ok(_) => {}
                Err(error) => return Err(HandshakeFailure::Broken(error)),
            }
            TlsAcceptor::from(config).accept(stream).await.map(Box::new).map_err(HandshakeFailure::Broken)
        };
        timeout(within, handshake).await.unwrap_or(Err(HandshakeFailure::TooSlow))
    }
}

impl HandshakeFailure {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::TooSlow => "timeout",
            Self::PlainText(_) => "plain_text",
            Self::Broken(error) => match cause(error) {
                Some(rustls::Error::NoCertificatesPresented) => "no_client_certificate",
                Some(rustls::Error::InvalidCertificate(_)) => "client_certificate",
                // Usually a client that does not trust our certificate.
                Some(rustls::Error::AlertReceived(_)) => "refused_by_client",
                Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => {
                    "incompatible"
                }
                Some(_) => "protocol",
                None => "closed",
            },
        }
    }
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSlow => f.write_str("slower than handshake_timeout"),
            Self::PlainText(_) => f.write_str("the client does not speak TLS"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
