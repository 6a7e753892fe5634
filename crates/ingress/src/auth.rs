//! Who may send: secrets and addresses. Both fail closed.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::header::{self, HeaderMap};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret, kept as its hash: it can be compared in constant time, and cannot be printed.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// The secrets that an endpoint accepts; two at once while one replaces the other.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<Secret>);

/// The addresses that may send.
#[derive(Debug, Clone, Default)]
pub struct AllowFrom {
    /// None means all.
    pub ranges: Vec<IpNet>,
    /// How many proxies in front add to `X-Forwarded-For`; 0 means that the header is a stranger's word.
    pub trusted_proxies: usize,
}

impl Secret {
    /// Takes a secret as it is configured.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl ConstantTimeEq for Secret {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.ct_eq(&other.0)
    }
}

impl Secrets {
    /// Whether no secret is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of the `presented` values is one of the secrets. Every value is compared with every secret, so
    /// that the time taken tells nothing.
    pub(crate) fn accept(&self, presented: &[Cow<'_, str>]) -> bool {
        let mut accepted = subtle::Choice::from(0);
        for value in presented {
            accepted |= self.holds(&Secret::new(value));
        }
        accepted.into()
    }

    /// Whether this is one of them.
    pub(crate) fn holds(&self, presented: &Secret) -> subtle::Choice {
        self.0.iter().fold(subtle::Choice::from(0), |held, secret| held | secret.ct_eq(presented))
    }
}

impl FromIterator<Secret> for Secrets {
    fn from_iter<I: IntoIterator<Item = Secret>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

impl AllowFrom {
    /// Whether a request from `peer` with these headers may be sent.
    pub(crate) fn allows(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        self.ranges.is_empty()
            || self
                .sender(peer, headers)
                .is_some_and(|sender| self.ranges.iter().any(|range| range.contains(&sender)))
    }

    /// The sender's address as the outermost trusted proxy saw it: each appends to `X-Forwarded-For`, so it is the
    /// N-th from the right. What a sender wrote itself stands further left and is never looked at.
    fn sender(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let Some(hops) = self.trusted_proxies.checked_sub(1) else {
            return Some(peer.to_canonical());
        };
        let mut seen = Vec::new();
        for value in headers.get_all("x-forwarded-for") {
            seen.extend(value.to_str().ok()?.split(',').map(str::trim));
        }
        let address = seen.iter().rev().nth(hops)?;
        address.parse().ok().map(|address: IpAddr| address.to_canonical())
    }
}

/// Every value that a request presents as its secret: last path segment, `?token=`, bearer, basic password.
pub(crate) fn presented<'r>(
    path_token: Option<&'r str>,
    query: Option<&'r str>,
    headers: &'r HeaderMap,
) -> Vec<Cow<'r, str>> {
    let mut values = Vec::new();
    values.extend(path_token.map(percent_decoded));
    for pair in query.unwrap_or_default().split('&') {
        values.extend(pair.strip_prefix("token=").map(percent_decoded));
    }
    if let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok())
        && let Some((scheme, credentials)) = value.split_once(' ')
    {
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            values.push(credentials.into());
        } else if scheme.eq_ignore_ascii_case("basic") {
            values.extend(basic_password(credentials).map(Cow::from));
        }
    }
    values
}

/// RFC 7617 says base64; some senders leave out its padding.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn basic_password(credentials: &str) -> Option<String> {
    let decoded = String::from_utf8(BASIC.decode(credentials).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// Undoes a URL's escapes; `+` is itself, in paths and here in queries as well.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    match text.contains('%') {
        true => percent_decode_str(text).decode_utf8_lossy(),
        // Most tokens are letters and digits: there is nothing to undo, or to look for.
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in rows {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_secret_is_found_wherever_a_sender_can_put_one() {
        let secrets: Secrets = [Secret::new("old"), Secret::new("n/w ü")].into_iter().collect();
        let rows = [
            (Some("old"), None, vec![], true),
            (Some("n%2Fw%20%C3%BC"), None, vec![], true),
            (None, Some("x=1&token=old"), vec![], true),
            (None, None, vec![("authorization", "Bearer old")], true),
            (None, None, vec![("authorization", "bearer  old")], true),
            (None, None, vec![("authorization", "Basic Y2k6b2xk")], true),
            (None, None, vec![("authorization", "Basic b2xk")], false),
            (Some("wrong"), Some("token="), vec![("authorization", "Bearer OLD")], false),
            (None, None, vec![], false),
        ];
        for (path, query, sent, accepted) in rows {
            let sent = headers(&sent);
            let values = presented(path, query, &sent);
            assert_eq!(secrets.accept(&values), accepted, "{path:?} {query:?} {sent:?}");
        }
    }

    #[test]
    fn forwarded_addresses_count_from_the_proxy_we_trust() {
        let allow =
            |trusted_proxies| AllowFrom { ranges: vec!["10.0.0.0/8".parse().unwrap()], trusted_proxies };
        let rows = [
            (0, "10.1.2.3", vec![], true),
            (0, "::ffff:10.1.2.3", vec![], true),
            (0, "192.0.2.1", vec![("x-forwarded-for", "10.1.2.3")], false),
            (1, "192.0.2.1", vec![("x-forwarded-for", "10.1.2.3")], true),
            (1, "192.0.2.1", vec![("x-forwarded-for", "10.1.2.3, 198.51.100.7")], false),
            (
                2,
                "192.0.2.1",
                vec![("x-forwarded-for", "10.1.2.3"), ("x-forwarded-for", "198.51.100.7")],
                true,
            ),
            (2, "10.1.2.3", vec![("x-forwarded-for", "10.1.2.3")], false),
            (1, "10.1.2.3", vec![], false),
        ];
        for (hops, peer, sent, allowed) in rows {
            assert_eq!(
                allow(hops).allows(peer.parse().unwrap(), &headers(&sent)),
                allowed,
                "{hops} {peer} {sent:?}"
            );
        }
    }
}
