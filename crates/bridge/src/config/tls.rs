//! TLS of the callback listener: files that are read, and what is wrong with them.

use std::path::Path;

use ci_bridge_ingress::{TlsIdentity, TlsProblem};

use super::IngressTls;
use super::problems::Problems;

impl IngressTls {
    /// Whether the listener speaks TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Whether a client must show a certificate.
    #[must_use]
    pub fn asks_clients(&self) -> bool {
        !self.client_ca.as_os_str().is_empty()
    }
}

impl Problems {
    /// The identity of the listener, if it speaks TLS and its files are good.
    pub(super) fn tls(&mut self, tls: &IngressTls) -> Option<TlsIdentity> {
        if !tls.is_on() {
            return None;
        }
        let missing = |path: &Path| path.as_os_str().is_empty();
        match (missing(&tls.cert), missing(&tls.key)) {
            (false, false) => {}
            (true, true) => {
                self.add("ingress.tls.client_ca", "needs ingress.tls.cert and ingress.tls.key: set them too");
                return None;
            }
            (true, false) => {
                self.add(
                    "ingress.tls.key",
                    "needs ingress.tls.cert beside it: name the certificate's file there",
                );
                return None;
            }
            (false, true) => {
                self.add("ingress.tls.cert", "needs ingress.tls.key beside it: name the key's file there");
                return None;
            }
        }
        let cert = self.pem("ingress.tls.cert", &tls.cert);
        let key = self.pem("ingress.tls.key", &tls.key);
        let client_ca = match tls.asks_clients() {
            true => Some(self.pem("ingress.tls.client_ca", &tls.client_ca)?),
            false => None,
        };
        match TlsIdentity::from_pem(&cert?, &key?, client_ca.as_deref()) {
            Ok(identity) => Some(identity),
            Err(problem) => {
                let (key, path, what, make) = match problem {
                    TlsProblem::Certificate(what) => {
                        ("cert", &tls.cert, what, "the certificate, then those that signed it")
                    }
                    TlsProblem::Key(what) => ("key", &tls.key, what, "the private key of the certificate"),
                    TlsProblem::ClientCa(what) => {
                        ("client_ca", &tls.client_ca, what, "the certificates that sign clients'")
                    }
                };
                let message = format!("{} {what}; the file must hold {make}", path.display());
                self.add(format!("ingress.tls.{key}"), message);
                None
            }
        }
    }

    fn pem(&mut self, key: &str, path: &Path) -> Option<Vec<u8>> {
        let problem = match std::fs::read(path) {
            Ok(bytes) if bytes.is_empty() => format!("{} is empty; a PEM file is needed", path.display()),
            Ok(bytes) => return Some(bytes),
            Err(e) => {
                format!("cannot read {}: {e}; name a PEM file that the bridge may read", path.display())
            }
        };
        self.add(key, problem);
        None
    }
}
