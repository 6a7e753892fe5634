//! What the log says once the bridge takes callbacks: which program, with which configuration, between which addresses.

use std::path::Path;
use std::time::SystemTime;

use ci_bridge_publisher::Spool;
use tracing::info;

use crate::certificates::Certificate;
use crate::config::Settings;

/// What is known of it before the bridge takes its settings.
pub(crate) struct StartLine {
    file: Option<String>,
    /// Without credentials.
    servers: String,
    certificates: Option<String>,
}

impl StartLine {
    pub(crate) fn of(settings: &Settings, file: Option<&Path>) -> Self {
        let now = SystemTime::now();
        let sentences = Certificate::all(settings).into_iter().map(|shown| shown.sentence(now));
        let certificates = sentences.collect::<Vec<_>>().join("; ");
        Self {
            file: file.map(|file| file.display().to_string()),
            servers: settings.publisher.connection.servers_without_credentials(),
            certificates: (!certificates.is_empty()).then_some(certificates),
        }
    }

    /// Fields that have no value are left out: no file, no spool, no certificate.
    pub(crate) fn tell(self, callbacks: &str, admin: &str, spool: Option<&Spool>) {
        info!(
            version = env!("CARGO_PKG_VERSION"),
            file = self.file,
            servers = self.servers,
            callbacks,
            admin,
            spool = spool.map(|spool| spool.dir().display().to_string()),
            spool_messages = spool.map(Spool::len),
            spool_bytes = spool.map(Spool::bytes),
            spool_max_bytes = spool.map(Spool::max_bytes),
            certificates = self.certificates,
            "started"
        );
    }
}
