//! When the certificates that the bridge shows begin and end to be valid: the listener's, and the one towards NATS.
//!
//! Authorities are not looked at: rustls takes those that a file names as trusted, whatever their dates say. Of a chain only
//! the first certificate counts, for a chain may well end in a cross-signature that is over while another path holds.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ci_bridge_ingress::{ShownCertificate, milliseconds_since_1970};
use ci_bridge_publisher::{Check, nats, timestamp};
use der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use der::{Decode, Reader, SliceReader, Tag};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tracing::warn;

use crate::config::Settings;

/// So long before its end a certificate is called for: renewal usually comes at a third of a certificate's life, which is
/// 15 days or more for those of 45.
pub(crate) const ENDS_SOON: Duration = Duration::from_secs(14 * DAY);
/// One that ends soon is called for again after this time.
const REMINDER: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 60 * 60;

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// Where a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    NotYet,
    Valid,
    EndsSoon,
    Expired,
}

/// A certificate that the bridge shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The label of its metrics.
    pub(crate) role: Role,
    pub(crate) file: PathBuf,
    pub(crate) validity: Validity,
}

/// To whom it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Listener,
    NatsClient,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    certificate: &'static str,
}

/// The certificates of a running bridge, as metrics, as a check of `/readyz`, and as lines of the log.
pub(crate) struct Watched {
    shown: Vec<Certificate>,
    not_before: Family<Label, Gauge>,
    not_after: Family<Label, Gauge>,
    /// What the log was told last, and when.
    told: Option<(String, SystemTime)>,
}

impl Validity {
    /// Reads the dates of a certificate in DER (RFC 5280, section 4.1): they are four steps into it, and the rest is
    /// rustls's to judge.
    pub(crate) fn of(certificate: &[u8]) -> Option<Self> {
        let whole = AnyRef::from_der(certificate).ok()?;
        let signed = SliceReader::new(whole.value()).ok()?.decode::<AnyRef<'_>>().ok()?;
        let mut fields = SliceReader::new(signed.value()).ok()?;
        let mut field = || fields.decode::<AnyRef<'_>>().ok();
        // The version, which version 1 leaves out, the serial number, the algorithm and the issuer come before.
        let before = if signed.value().first() == Some(&VERSION_TAG) { 4 } else { 3 };
        for _ in 0..before {
            field()?;
        }
        let dates = field()?;
        let mut dates = SliceReader::new(dates.value()).ok()?;
        Some(Self { not_before: time(&mut dates)?, not_after: time(&mut dates)? })
    }

    /// Of the first certificate of a PEM file.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        Self::of(&CertificateDer::from_pem_file(path).ok()?)
    }

    pub(crate) fn state(&self, now: SystemTime) -> State {
        match self.not_after.duration_since(now) {
            _ if now < self.not_before => State::NotYet,
            Err(_) => State::Expired,
            Ok(left) if left < ENDS_SOON => State::EndsSoon,
            Ok(_) => State::Valid,
        }
    }
}

/// The tag of the version, `[0] EXPLICIT`.
const VERSION_TAG: u8 = 0xA0;

fn time(reader: &mut SliceReader<'_>) -> Option<SystemTime> {
    let since_epoch = match reader.peek_tag().ok()? {
        Tag::UtcTime => reader.decode::<UtcTime>().ok()?.to_unix_duration(),
        _ => reader.decode::<GeneralizedTime>().ok()?.to_unix_duration(),
    };
    UNIX_EPOCH.checked_add(since_epoch)
}

impl Certificate {
    /// Those that this configuration shows; one whose dates cannot be read is left out.
    pub(crate) fn all(settings: &Settings) -> Vec<Self> {
        let listener = settings.tls.as_ref().and_then(|identity| {
            let validity = Validity::of(identity.certificate())?;
            Some(Self { role: Role::Listener, file: settings.tls_cert.clone(), validity })
        });
        listener.into_iter().chain(Self::for_nats(&settings.publisher.connection.tls)).collect()
    }

    /// The one towards NATS, as its file is now: it is read at each connect.
    pub(crate) fn for_nats(tls: &nats::Tls) -> Option<Self> {
        let (file, _) = tls.client.as_ref()?;
        Some(Self { role: Role::NatsClient, file: file.clone(), validity: Validity::of_file(file)? })
    }

    pub(crate) fn state(&self, now: SystemTime) -> State {
        self.validity.state(now)
    }

    /// What it comes to, and what to do.
    pub(crate) fn sentence(&self, now: SystemTime) -> String {
        let what = match self.role {
            Role::Listener => "the listener's certificate",
            Role::NatsClient => "the certificate for NATS",
        };
        let file = self.file.display();
        let Validity { not_before, not_after } = self.validity;
        let (begin, end) = (timestamp(not_before), timestamp(not_after));
        match self.state(now) {
            State::Valid => format!("{what} ({file}) is valid until {end}"),
            State::EndsSoon => {
                let left = match not_after.duration_since(now).unwrap_or_default().as_secs() / DAY {
                    0 => "within a day".to_owned(),
                    1 => "in 1 day".to_owned(),
                    days => format!("in {days} days"),
                };
                format!("{what} ({file}) ends at {end}, {left}: renew it")
            }
            State::Expired => format!("{what} ({file}) expired at {end}: put a new one in its place"),
            State::NotYet => {
                format!("{what} ({file}) is not valid before {begin}: look at the clock, or at the file")
            }
        }
    }
}

impl State {
    pub(crate) fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::EndsSoon)
    }
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::NatsClient => "nats_client",
        }
    }
}

/// The check of `/readyz`; none where no certificate is shown.
pub(crate) fn check(shown: &[Certificate], now: SystemTime) -> Option<Check> {
    let invalid: Vec<_> = shown.iter().filter(|certificate| !certificate.state(now).is_valid()).collect();
    let told = if invalid.is_empty() { shown.iter().collect() } else { invalid };
    let is_valid = told.iter().all(|certificate| certificate.state(now).is_valid());
    let detail = told.iter().map(|certificate| certificate.sentence(now)).collect::<Vec<_>>().join("; ");
    match (shown.is_empty(), is_valid) {
        (true, _) => None,
        (_, true) => Some(Check::passed("certificates", detail)),
        (_, false) => Some(Check::failed("certificates", detail)),
    }
}

impl Watched {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let (not_before, not_after) = (Family::default(), Family::default());
        let text = "When the certificate begins to be valid, in Unix time";
        registry.register_with_unit("certificate_not_before", text, Unit::Seconds, not_before.clone());
        let text = "When the certificate ends to be valid, in Unix time";
        registry.register_with_unit("certificate_not_after", text, Unit::Seconds, not_after.clone());
        Self { shown: Vec::new(), not_before, not_after, told: None }
    }

    /// These are shown from now on.
    pub(crate) fn replace(&mut self, shown: Vec<Certificate>) {
        for role in [Role::Listener, Role::NatsClient] {
            let label = Label { certificate: role.as_str() };
            let Some(found) = shown.iter().find(|certificate| certificate.role == role) else {
                self.not_before.remove(&label);
                self.not_after.remove(&label);
                continue;
            };
            self.not_before.get_or_create(&label).set(unix_seconds(found.validity.not_before));
            self.not_after.get_or_create(&label).set(unix_seconds(found.validity.not_after));
        }
        self.shown = shown;
    }

    /// This is shown to NATS from now on; the listener's stays as it is.
    pub(crate) fn renew_for_nats(&mut self, shown: Option<Certificate>) {
        let others = self.shown.iter().filter(|certificate| certificate.role != Role::NatsClient).cloned();
        self.replace(others.chain(shown).collect());
    }

    /// Each as it is now, for people.
    pub(crate) fn shown_at(&self, now: SystemTime) -> Vec<ShownCertificate> {
        let shown = |certificate: &Certificate| ShownCertificate {
            name: certificate.role.as_str(),
            not_after: milliseconds_since_1970(certificate.validity.not_after),
            ok: certificate.state(now).is_valid(),
            detail: certificate.sentence(now),
        };
        self.shown.iter().map(shown).collect()
    }

    /// What `/readyz` is to say now. An end that comes near is said in the log: when it begins to be near, and once a day.
    pub(crate) fn look(&mut self, now: SystemTime) -> Option<Check> {
        let near: Vec<_> =
            self.shown.iter().filter(|certificate| certificate.state(now) == State::EndsSoon).collect();
        let files = near.iter().map(|certificate| certificate.file.display().to_string()).collect::<String>();
        let is_told = self.told.as_ref().is_some_and(|(told, at)| {
            *told == files && now.duration_since(*at).is_ok_and(|since| since < REMINDER)
        });
        if !is_told {
            for certificate in near {
                warn!(reason = certificate.sentence(now), "a certificate ends soon");
            }
            self.told = Some((files, now));
        }
        check(&self.shown, now)
    }
}

fn unix_seconds(time: SystemTime) -> i64 {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn validity(from: i32, to: i32) -> Validity {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 2, 3), date_time_ymd(to, 5, 6));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Validity::of(certificate.der()).unwrap()
    }

    #[test]
    fn dates_are_read_in_both_of_their_forms() {
        // Up to 2049 with two digits of the year, from then on with four (RFC 5280, section 4.1.2.5).
        for (from, to) in [(1999, 2026), (2024, 2051), (2055, 2060)] {
            let validity = validity(from, to);
            assert_eq!(timestamp(validity.not_before), format!("{from}-02-03T00:00:00Z"));
            assert_eq!(timestamp(validity.not_after), format!("{to}-05-06T00:00:00Z"));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        let certificate = {
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
        };
        for end in 0..certificate.len() {
            assert_eq!(Validity::of(&certificate[..end]), None, "{end}");
        }
        assert_eq!(Validity::of(b"\x30\x03\x02\x01\x01"), None);
    }

    #[test]
    fn each_state_has_its_sentence() {
        let at = |year| SystemTime::from(date_time_ymd(year, 5, 1));
        let certificate = |role| Certificate { role, file: "x.pem".into(), validity: validity(2026, 2030) };
        let listener = certificate(Role::Listener);
        for (now, state, ok, sentence) in [
            (
                at(2025),
                State::NotYet,
                false,
                "the listener's certificate (x.pem) is not valid before 2026-02-03T00:00:00Z: look at the clock, or at the file",
            ),
            (
                at(2027),
                State::Valid,
                true,
                "the listener's certificate (x.pem) is valid until 2030-05-06T00:00:00Z",
            ),
            (
                at(2030),
                State::EndsSoon,
                true,
                "the listener's certificate (x.pem) ends at 2030-05-06T00:00:00Z, in 5 days: renew it",
            ),
            (
                at(2031),
                State::Expired,
                false,
                "the listener's certificate (x.pem) expired at 2030-05-06T00:00:00Z: put a new one in its place",
            ),
        ] {
            assert_eq!((listener.state(now), &*listener.sentence(now)), (state, sentence));
            let check = check(std::slice::from_ref(&listener), now).unwrap();
            assert_eq!((check.ok, &*check.detail), (ok, sentence));
        }
        assert_eq!(check(&[], at(2027)), None);
    }
}
