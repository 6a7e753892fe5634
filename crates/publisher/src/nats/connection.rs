//! How a connection is made: servers, authentication, TLS, reconnecting for ever.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

/// An idle connection is asked for a sign of life this often; it counts as lost after three unanswered times.
/// The client's own default of a minute would leave a half-open connection unnoticed for three.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A server that accepts but says nothing is given up after this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The first wait before reconnecting; doubles with every attempt.
const FIRST_RECONNECT_DELAY: Duration = Duration::from_millis(50);
/// The longest wait before reconnecting: a broker that returns is found within twice this.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Where NATS is and how the bridge proves who it is.
#[derive(Clone, Default)]
pub struct Connection {
    /// `nats://host:port`, `tls://…`; credentials in a URL are honoured. Tried in order, then at random.
    pub servers: Vec<String>,
    /// How the bridge authenticates, when not by a URL.
    pub authentication: Option<Authentication>,
    /// TLS material; `tls://` URLs need none for a server with a public certificate.
    pub tls: Tls,
    /// The name that `/connz` and server logs show.
    pub name: String,
    /// A prefix for reply subjects, for users who may not subscribe to `_INBOX.>`.
    pub inbox_prefix: Option<String>,
}

/// One of the ways to authenticate that NATS has. Files are read when the connection is made.
#[derive(Clone)]
pub enum Authentication {
    /// User and password.
    UserPassword(String, String),
    /// A token.
    Token(String),
    /// A `.creds` file (JWT and NKey).
    Credentials(PathBuf),
    /// A file that holds an NKey seed.
    NKey(PathBuf),
}

/// TLS towards NATS.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// PEM file of the certificate authority.
    pub ca: Option<PathBuf>,
    /// PEM files of the client certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Connection {
    /// Reads what a connection would need, without connecting.
    ///
    /// # Errors
    ///
    /// When it cannot lead to a connection: a server that is no URL, a file that cannot be read.
    pub fn check(&self) -> io::Result<()> {
        self.options().map(|_| ())
    }

    fn options(&self) -> io::Result<(ConnectOptions, Vec<ServerAddr>)> {
        let mut options = ConnectOptions::new()
            .name(&self.name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(reconnect_delay)
            .ping_interval(PING_INTERVAL)
            .connection_timeout(CONNECT_TIMEOUT);
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        let (servers, from_url) = servers(&self.servers)?;
        options = authenticate(options, self.authentication.as_ref().or(from_url.as_ref()))?;
        if let Some(ca) = &self.tls.ca {
            options = options.add_root_certificates(readable(ca)?).require_tls(true);
        }
        if let Some((certificate, key)) = &self.tls.client {
            options =
                options.add_client_certificate(readable(certificate)?, readable(key)?).require_tls(true);
        }
        Ok((options, servers))
    }

    /// The servers, for people to read.
    #[must_use]
    pub fn servers_without_credentials(&self) -> String {
        let servers = self.servers.iter().flat_map(|text| text.split(','));
        let hosts = servers.map(|server| {
            let host = server.split_once("://").map_or(server, |(_, rest)| rest);
            host.rsplit_once('@').map_or(host, |(_, host)| host).trim()
        });
        hosts.collect::<Vec<_>>().join(", ")
    }
}

/// Connects, in the background if the server is not there yet; reconnects for ever. `on_event` learns of every
/// change.
///
/// # Errors
///
/// As [`Connection::check`].
pub async fn connect<F>(connection: &Connection, on_event: F) -> io::Result<Client>
where
    F: Fn(async_nats::Event) + Send + Sync + 'static,
{
    let (options, servers) = connection.options()?;
    let options = options.event_callback(move |event| {
        on_event(event);
        std::future::ready(())
    });
    options.connect(servers).await.map_err(io::Error::other)
}

/// async-nats ignores credentials in URLs and reads one server a text: both are for us to do.
fn servers(texts: &[String]) -> io::Result<(Vec<ServerAddr>, Option<Authentication>)> {
    let mut servers = Vec::with_capacity(texts.len());
    let mut authentication = None;
    for text in texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty()) {
        // The text itself may hold a password, and stays out of the message.
        let server: ServerAddr = text.parse().map_err(|_| {
            invalid(format!("server {} is not a NATS URL, such as nats://127.0.0.1:4222", servers.len() + 1))
        })?;
        if authentication.is_none() {
            authentication = match (server.username(), server.password()) {
                (Some(user), Some(password)) => {
                    Some(Authentication::UserPassword(decoded(user), decoded(password)))
                }
                (Some(token), None) => Some(Authentication::Token(decoded(token))),
                (None, _) => None,
            };
        }
        servers.push(server);
    }
    match servers.is_empty() {
        true => Err(invalid("no NATS server is configured".to_owned())),
        false => Ok((servers, authentication)),
    }
}

fn authenticate(options: ConnectOptions, how: Option<&Authentication>) -> io::Result<ConnectOptions> {
    Ok(match how {
        None => options,
        Some(Authentication::UserPassword(user, password)) => {
            options.user_and_password(user.clone(), password.clone())
        }
        Some(Authentication::Token(token)) => options.token(token.clone()),
        Some(Authentication::Credentials(path)) => {
            let credentials = std::fs::read_to_string(readable(path)?)?;
            options.credentials(&credentials).map_err(|e| invalid(format!("{}: {e}", path.display())))?
        }
        Some(Authentication::NKey(path)) => {
            let seed = std::fs::read_to_string(readable(path)?)?;
            options.nkey(seed.trim().to_owned())
        }
    })
}

/// At once the first time; then exponential with jitter of half its length, so that many bridges do not come back
/// at the same instant (ADR-40).
fn reconnect_delay(attempts: usize) -> Duration {
    let Some(failures) = attempts.checked_sub(1).filter(|failures| *failures > 0) else {
        return Duration::ZERO;
    };
    let doublings = u32::try_from(failures - 1).unwrap_or(u32::MAX).min(10);
    let full = FIRST_RECONNECT_DELAY.saturating_mul(1 << doublings).min(MAX_RECONNECT_DELAY);
    // A fresh RandomState is the standard library's source of randomness.
    let random = RandomState::new().build_hasher().finish() % 512;
    let jitter = full.mul_f64(f64::from(u32::try_from(random).unwrap_or(0)) / 1024.0);
    full / 2 + jitter
}

fn readable(path: &PathBuf) -> io::Result<PathBuf> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(path.clone()),
        Err(e) => Err(io::Error::new(e.kind(), format!("cannot read {}: {e}", path.display()))),
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Undoes the percent-encoding of URL credentials.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserPassword(..) => "user and password",
            Self::Token(_) => "token",
            Self::Credentials(_) => "credentials file",
            Self::NKey(_) => "NKey file",
        })
    }
}

impl fmt::Debug for Connection {
    /// Servers are left out: a URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_as_lists_and_bring_their_credentials() {
        let (list, none) = servers(&["nats://a:1, b".to_owned(), "tls://c:2".to_owned()]).unwrap();
        assert_eq!(list.len(), 3);
        assert!(none.is_none());
        let (_, user) = servers(&["nats://me:p%40ss@a:1".to_owned()]).unwrap();
        assert!(matches!(user, Some(Authentication::UserPassword(u, p)) if u == "me" && p == "p@ss"));
        let (_, token) = servers(&["nats://s3cret@a:1".to_owned()]).unwrap();
        assert!(matches!(token, Some(Authentication::Token(t)) if t == "s3cret"));
    }

    #[test]
    fn a_bad_server_is_refused_without_repeating_its_password() {
        let error = servers(&["nats://me:s3cret@a:notaport".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("server 1 is not a NATS URL") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn reconnecting_backs_off_to_a_second_and_not_beyond() {
        assert_eq!((reconnect_delay(0), reconnect_delay(1)), (Duration::ZERO, Duration::ZERO));
        for attempts in [2, 5, 100, usize::MAX] {
            let delay = reconnect_delay(attempts);
            assert!(
                delay >= FIRST_RECONNECT_DELAY / 2 && delay <= MAX_RECONNECT_DELAY,
                "{attempts}: {delay:?}"
            );
        }
    }
}
