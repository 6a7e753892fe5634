//! TLS as a client: whom `send` and the exporter of traces trust, and which certificate they show.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// Whom to take for the bridge.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Whoever has a certificate of the system's authorities for the host.
    System,
    /// Whoever has one of this authority (PEM) for the host.
    Authority(&'a Path),
    /// Whoever has the first certificate of this file (PEM), for any host: the file is the bridge's own.
    Only(&'a Path),
}

/// Shakes hands with `host`, if it is trusted; `client` is the certificate and the key to show.
pub(crate) async fn connect(
    stream: TcpStream,
    host: &str,
    trust: Trust<'_>,
    client: Option<(&Path, &Path)>,
) -> io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(roots(None)?),
        Trust::Authority(ca) => {
            let named = certificates(ca)?;
            let roots = Arc::new(roots(Some(ca))?);
            let webpki = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            let accepted = Accepted::OfAuthority { webpki: webpki.map_err(|e| explain(ca, e))?, named };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { accepted, provider }))
        }
        Trust::Only(file) => {
            let accepted = Accepted::Only(certificates(file)?.swap_remove(0));
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { accepted, provider }))
        }
    };
    let config = match client {
        Some((cert, key)) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|e| explain(key, e))?;
            let used = builder.with_client_auth_cert(certificates(cert)?, private);
            used.map_err(|e| explain(cert, e))?
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// A failed handshake in words; `advice` is for one whose authority is not known.
pub(crate) fn explained(host: &str, error: &io::Error, advice: &str) -> io::Error {
    let advice = if is_unknown_issuer(error) { format!("; {advice}") } else { String::new() };
    io::Error::new(error.kind(), format!("TLS with {host}: {error}{advice}"))
}

/// Decides whose certificate is taken. What the handshake proves is as always: that the peer has its key.
#[derive(Debug)]
struct Verifier {
    accepted: Accepted,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Accepted {
    /// What an authority signed, and the authority's own certificate: what `openssl req -x509` makes for a server says that
    /// it is an authority, and as the certificate of a server webpki takes none of those.
    OfAuthority { webpki: Arc<WebPkiServerVerifier>, named: Vec<CertificateDer<'static>> },
    /// One certificate and no other.
    Only(CertificateDer<'static>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.accepted {
            Accepted::OfAuthority { webpki, named } => {
                // webpki looks at the dates first: an own certificate that has expired is refused as one.
                match webpki.verify_server_cert(shown, intermediates, name, ocsp, now) {
                    Err(error) if is_authority_as_server(&error) && named.contains(shown) => {
                        verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                        Ok(ServerCertVerified::assertion())
                    }
                    verified => verified,
                }
            }
            Accepted::Only(certificate) if shown == certificate => Ok(ServerCertVerified::assertion()),
            Accepted::Only(_) => {
                Err(rustls::Error::General("it shows another certificate than ingress.tls.cert".to_owned()))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// rustls has no name of its own for it, and passes webpki's on.
fn is_authority_as_server(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    format!("{:?}", other.0).contains("CaUsedAsEndEntity")
}

/// The server's certificate is of an authority that is not among the trusted; a bad signature is that of another
/// authority with the same name.
fn is_unknown_issuer(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(
        error,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature
        ))
    )
}

fn roots(ca: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| explain(path, e))?;
            }
        }
        // One that cannot be read is one authority less, and no reason to stop.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|e| explain(path, e))?.collect();
    match found.map_err(|e| explain(path, e))? {
        found if found.is_empty() => Err(explain(path, "holds no certificate")),
        found => Ok(found),
    }
}

fn explain(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
}
