//! What the admin listener's page shows of the operator's own: settings, certificates, the last reload, the last account
//! with CI. Whoever knows it puts it here; nothing of it is a secret.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// What there is to show; each part is replaced as a whole.
#[derive(Debug, Default)]
pub struct Shown {
    settings: RwLock<Settings>,
    certificates: RwLock<Vec<ShownCertificate>>,
    reload: RwLock<Option<Reload>>,
    reconcile: RwLock<Option<Reconcile>>,
}

/// The configuration in effect.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Settings {
    /// The file that it was read from, where there is one.
    pub file: Option<String>,
    /// Every key.
    pub settings: Vec<Setting>,
}

/// A key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name, with those of its sections in front.
    pub key: String,
    /// Its value as TOML writes it; of a secret, that it is one.
    pub value: String,
    /// Who set it.
    pub source: String,
}

/// A certificate that the bridge shows to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownCertificate {
    /// To whom: `listener` or `nats_client`.
    pub name: &'static str,
    /// When it ends, in milliseconds since 1970.
    pub not_after: u64,
    /// Whether it is valid now.
    pub ok: bool,
    /// What it comes to, in a sentence.
    pub detail: String,
}

/// A reload, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reload {
    /// In milliseconds since 1970.
    pub time: u64,
    /// Whether what was read is in effect.
    pub applied: bool,
    /// What has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Accounts with CI, and the last one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reconcile {
    /// Between two of them.
    pub every_seconds: u64,
    /// The last one of this bridge; others may make them in its place.
    pub last: Option<Reconciled>,
}

/// An account with CI.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reconciled {
    /// When it was made, in milliseconds since 1970.
    pub time: u64,
    /// How long that took.
    pub seconds: f64,
    /// Jobs by what was found.
    pub results: BTreeMap<&'static str, u64>,
    /// Those whose callback never came, the first of them.
    pub recovered: Vec<Recovered>,
    /// Why it is not whole.
    pub trouble: Option<String>,
}

/// A job whose callback never came, and that was published all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Of its message.
    pub id: String,
    /// Where it was published.
    pub subject: String,
}

/// A moment as the page's API has it: milliseconds since 1970.
#[must_use]
pub fn milliseconds_since_1970(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

impl Shown {
    /// These are in effect from now on.
    pub fn set_settings(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// The certificates as they are now.
    pub fn set_certificates(&self, certificates: Vec<ShownCertificate>) {
        *self.certificates.write().unwrap_or_else(PoisonError::into_inner) = certificates;
    }

    /// The configuration was read again.
    pub fn set_reload(&self, reload: Reload) {
        *self.reload.write().unwrap_or_else(PoisonError::into_inner) = Some(reload);
    }

    /// Accounts with CI are made.
    pub fn set_reconcile(&self, reconcile: Reconcile) {
        *self.reconcile.write().unwrap_or_else(PoisonError::into_inner) = Some(reconcile);
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn certificates(&self) -> Vec<ShownCertificate> {
        self.certificates.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reload(&self) -> Option<Reload> {
        self.reload.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reconcile(&self) -> Option<Reconcile> {
        self.reconcile.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
