//! TLS towards NATS. async-nats reads the files at each connect; here they are looked at, for a reason that a person
//! can use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore};

use super::problem::{Part, Problem};

/// TLS towards NATS.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// PEM file of the certificate authority; the system's authorities if there is none.
    pub ca: Option<PathBuf>,
    /// PEM files of the client certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The handshake comes before the server says anything (nats-server's `handshake_first`).
    pub first: bool,
}

impl Tls {
    /// Whether these settings ask for TLS, whatever a URL says.
    pub(super) fn is_asked_for(&self) -> bool {
        self.first || self.ca.is_some() || self.client.is_some()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let client = self.client.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(client)
    }

    /// Whether the files hold what they should, as async-nats reads them.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca {
            let added = certificates(path).and_then(|found| {
                found.into_iter().try_for_each(|certificate| {
                    roots.add(certificate).map_err(|e| format!("{}: {e}", path.display()))
                })
            });
            problems.extend(added.err().map(|what| Problem { part: Part::Ca, what }));
        }
        if let Some((certificate, key)) = &self.client {
            problems.extend(client_problem(certificate, key, roots));
        }
        problems
    }
}

fn client_problem(certificate: &Path, key: &Path, roots: RootCertStore) -> Option<Problem> {
    let chain = match certificates(certificate) {
        Ok(chain) => chain,
        Err(what) => return Some(Problem { part: Part::ClientCertificate, what }),
    };
    let bad_key = |what| Some(Problem { part: Part::ClientKey, what });
    let bytes = match read(key) {
        Ok(bytes) => bytes,
        Err(what) => return bad_key(what),
    };
    let Ok(private) = PrivateKeyDer::from_pem_slice(&bytes) else {
        return bad_key(format!(
            "{} holds no private key that can be used: it must be PEM, without a password",
            key.display()
        ));
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots);
    match builder.with_client_auth_cert(chain, private) {
        Ok(_) => None,
        Err(_) => bad_key(format!(
            "{} is not the key of the certificate in {}",
            key.display(),
            certificate.display()
        )),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{} holds no certificate: it must be PEM", path.display())),
        Err(_) => Err(format!("{} is cut off or is no PEM", path.display())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|e| format!("cannot read {}: {e}; name a file that the bridge may read", path.display()))
}
