//! Why a server could not be connected to, in a sentence that tells the causes apart: async-nats' own text names a
//! step of its work, or an error of rustls as Rust would print it.

use std::time::Duration;

use super::credentials::Authentication;
use super::tls::Tls;

/// A server that accepts but says nothing is given up after this.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What is known of an attempt beside async-nats' word.
pub(super) struct Circumstances<'a> {
    /// Host and port.
    pub(super) server: &'a str,
    /// The server was discovered, not named by the operator.
    pub(super) discovered: bool,
    /// It has said INFO: the attempt has come as far as the credentials.
    pub(super) greeted: bool,
    /// Why the credentials could not be read.
    pub(super) unreadable: Option<&'a str>,
    pub(super) authentication: Option<&'a Authentication>,
    pub(super) tls: &'a Tls,
    pub(super) uses_tls: bool,
}

/// What only TLS says, so that its errors are known among those of the connection.
const TLS_ERRORS: [&str; 8] = [
    "peer certificate",
    "received fatal alert",
    "received corrupt message",
    "received unexpected",
    "peer is incompatible",
    "peer misbehaved",
    "tls handshake eof",
    "excess record size",
];

/// The sentence for `error`, async-nats' own text.
pub(super) fn in_words(error: &str, seen: &Circumstances<'_>) -> String {
    if let Some(why) = seen.unreadable {
        return why.to_owned();
    }
    if error.starts_with("authorization violation") {
        return match seen.authentication {
            Some(how) => how.why_refused(),
            None => "authorization violation: NATS asks for credentials, and none are configured".to_owned(),
        };
    }
    if error == "timed out" {
        let within = format!("timed out: within {} s", CONNECT_TIMEOUT.as_secs());
        return match (seen.greeted, seen.tls.first) {
            (true, _) => format!("{within}, the server does not answer the login"),
            (false, true) => {
                format!("{within}, no TLS handshake came about; nats.tls_first suits handshake_first only")
            }
            (false, false) => format!(
                "{within}, the server says nothing: it is frozen or cut off, or it waits for TLS first \
                 (nats.tls_first)"
            ),
        };
    }
    let kind_is_tls = error.starts_with("TLS error");
    let error =
        error.strip_prefix("IO error: ").or_else(|| error.strip_prefix("TLS error: ")).unwrap_or(error);
    if kind_is_tls || TLS_ERRORS.iter().any(|sign| error.contains(sign)) {
        return tls_in_words(error, seen);
    }
    let closed = ["Broken pipe", "broken pipe", "Connection reset", "connection reset", "got nothing"];
    if closed.iter().any(|sign| error.contains(sign)) {
        let wants = match (seen.uses_tls, &seen.tls.client) {
            (true, None) => "; it may want a client certificate (nats.tls.cert and nats.tls.key)",
            (true, Some(_)) => "; it may refuse the client certificate",
            (false, _) if !seen.greeted => "; it may want TLS first (nats.tls_first)",
            (false, _) => "",
        };
        return format!("the server closed the connection before the login was done{wants}");
    }
    plain(error)
}

/// The sentence for a name that leads to no address.
pub(super) fn unresolved(server: &str) -> String {
    format!("the name {server} leads to no address (DNS)")
}

fn tls_in_words(error: &str, seen: &Circumstances<'_>) -> String {
    let failed = format!("TLS with {} failed", seen.server);
    if let Some(problem) = seen.tls.problems().into_iter().next() {
        return format!("{failed}: {}", problem.what);
    }
    let error = words_apart(error);
    let advice = if error.contains("unknown issuer") || error.contains("bad signature") {
        "; nats.tls.ca must name the authority of its certificate"
    } else if error.contains("not valid for name") && seen.discovered {
        "; the cluster told this address: name every server in nats.servers as its certificate does"
    } else if error.contains("not valid for name") {
        "; name the server in nats.servers as its certificate does"
    } else if error.contains("corrupt message") {
        "; the server does not speak TLS here (see nats.tls_first), and plain text is not fallen back to"
    } else if error.contains("fatal alert") && seen.tls.client.is_none() {
        "; the server wants a client certificate: set nats.tls.cert and nats.tls.key"
    } else if error.contains("fatal alert") {
        "; the server refuses the client certificate in nats.tls.cert"
    } else {
        ""
    };
    format!("{failed}: {error}{advice}")
}

/// `UnknownIssuer` is `unknown issuer`: rustls prints some of its causes as they stand in its code.
fn words_apart(text: &str) -> String {
    let is_name = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_alphabetic())
            && word.chars().skip(1).any(|c| c.is_ascii_uppercase())
            && word.chars().any(|c| c.is_ascii_lowercase())
    };
    let apart = |word: &str| {
        let mut words = String::new();
        for c in word.chars() {
            if c.is_ascii_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.push(c.to_ascii_lowercase());
        }
        words
    };
    text.split(' ')
        .map(|word| if is_name(word) { apart(word) } else { word.to_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}

/// `Connection refused (os error 111)` is `connection refused`.
fn plain(error: &str) -> String {
    let error = error.split(" (os error ").next().unwrap_or(error);
    let error = error.strip_prefix("nats: ").unwrap_or(error);
    let mut letters = error.chars();
    match letters.next() {
        Some(first) if letters.as_str().starts_with(|c: char| c.is_ascii_lowercase()) => {
            first.to_ascii_lowercase().to_string() + letters.as_str()
        }
        _ => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: &str, change: impl FnOnce(&mut Circumstances<'_>)) -> String {
        let tls = Tls::default();
        let mut seen = Circumstances {
            server: "a:4222",
            discovered: false,
            greeted: false,
            unreadable: None,
            authentication: None,
            tls: &tls,
            uses_tls: false,
        };
        change(&mut seen);
        in_words(error, &seen)
    }

    #[test]
    fn causes_are_told_apart() {
        let rows = [
            ("IO error: Connection refused (os error 111)", "connection refused"),
            ("IO error: No route to host (os error 113)", "no route to host"),
            ("IO error: nats: maximum connections exceeded", "maximum connections exceeded"),
            (
                "IO error: invalid peer certificate: UnknownIssuer",
                "TLS with a:4222 failed: invalid peer certificate: unknown issuer; nats.tls.ca must name the \
                 authority of its certificate",
            ),
            (
                "IO error: invalid peer certificate: certificate not valid for name \"a\"; certificate is only valid \
                 for DnsName(\"n1\")",
                "TLS with a:4222 failed: invalid peer certificate: certificate not valid for name \"a\"; certificate \
                 is only valid for DnsName(\"n1\"); name the server in nats.servers as its certificate does",
            ),
            (
                "IO error: received fatal alert: CertificateRequired",
                "TLS with a:4222 failed: received fatal alert: certificate required; the server wants a client \
                 certificate: set nats.tls.cert and nats.tls.key",
            ),
            (
                "IO error: received corrupt message of type InvalidContentType",
                "TLS with a:4222 failed: received corrupt message of type invalid content type; the server does not \
                 speak TLS here (see nats.tls_first), and plain text is not fallen back to",
            ),
            (
                "authorization violation: nats: authorization violation",
                "authorization violation: NATS asks for credentials, and none are configured",
            ),
            (
                "timed out",
                "timed out: within 2 s, the server says nothing: it is frozen or cut off, or it waits for TLS first \
                 (nats.tls_first)",
            ),
            (
                "IO error: expected INFO, got nothing",
                "the server closed the connection before the login was done; it may want TLS first (nats.tls_first)",
            ),
        ];
        for (error, expected) in rows {
            assert_eq!(said(error, |_| ()), expected);
        }
        assert_eq!(
            said("timed out", |seen| seen.greeted = true),
            "timed out: within 2 s, the server does not answer the login"
        );
        assert!(
            said("IO error: broken pipe", |seen| (seen.greeted, seen.uses_tls) = (true, true))
                .ends_with("(nats.tls.cert and nats.tls.key)")
        );
        let unread = "cannot read /x";
        assert_eq!(said("failed signing nonce: AuthError(x)", |seen| seen.unreadable = Some(unread)), unread);
    }
}
