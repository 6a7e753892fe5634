//! How a connection is made: what it needs, what can be wrong with it, and reconnecting for ever.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{AuthError, Client, ClientError, ConnectOptions, Event, ReconnectToServer};
use tokio::task::spawn_blocking;

use super::credentials::Authentication;
use super::server_url;
use super::servers::Servers;
use super::tls::Tls;

/// An idle connection is asked for a sign of life this often; it counts as lost after three unanswered times.
/// The client's own default of a minute would leave a half-open connection unnoticed for three.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A server that accepts but says nothing is given up after this.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where NATS is and how the bridge proves who it is. Files are read when a connection is made.
#[derive(Clone, Default)]
pub struct Connection {
    /// `nats://host:port`, `tls://…`; credentials in a URL are for its server. Tried in turn.
    pub servers: Vec<String>,
    /// How the bridge authenticates where the URL does not say.
    pub authentication: Option<Authentication>,
    /// TLS material; `tls://` URLs need none for a server with a public certificate.
    pub tls: Tls,
    /// The name that `/connz` and server logs show.
    pub name: String,
    /// A prefix for reply subjects, for users who may not subscribe to `_INBOX.>`.
    pub inbox_prefix: Option<String>,
}

/// Something that no connection can be made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub part: Part,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// A part of [`Connection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// [`Connection::servers`]
    Servers,
    /// [`Connection::authentication`]
    Authentication,
    /// [`Tls::ca`]
    Ca,
    /// The certificate of [`Tls::client`].
    ClientCertificate,
    /// The key of [`Tls::client`].
    ClientKey,
    /// [`Connection::inbox_prefix`]
    InboxPrefix,
}

impl Connection {
    /// What is wrong with it, without connecting. Reads the files; what becomes of them later is a reason not to be
    /// ready, and no reason to stop.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |part, found: Result<(), String>| {
            problems.extend(found.err().map(|what| Problem { part, what }));
        };
        add(Part::Servers, server_url::parse(&self.servers).map(drop));
        if let Some(how) = &self.authentication {
            add(Part::Authentication, how.answer(b"").map(drop));
        }
        if let Some(prefix) = &self.inbox_prefix {
            add(Part::InboxPrefix, check_inbox_prefix(prefix));
        }
        problems.extend(self.tls.problems());
        problems
    }

    /// The files that every connect reads.
    #[must_use]
    pub fn credential_files(&self) -> Vec<PathBuf> {
        let own = self.authentication.iter().filter_map(Authentication::file);
        own.map(PathBuf::from).chain(self.tls.files().cloned()).collect()
    }

    /// Bytes of the largest message that the user's JWT allows. The server tells so only after the login, and
    /// async-nats does not listen any more by then.
    #[must_use]
    pub fn payload_limit(&self) -> Option<usize> {
        self.authentication.as_ref()?.payload_limit()
    }

    /// Tells one content of the files from another.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for path in self.credential_files() {
            std::fs::read(path).ok().hash(&mut hasher);
        }
        hasher.finish()
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
/// change; a failed attempt is a [`ClientError::Other`] that says why.
///
/// # Errors
///
/// When a server is no URL, or none is named.
pub async fn connect<F>(connection: &Connection, on_event: F) -> io::Result<Client>
where
    F: Fn(Event) + Send + Sync + 'static,
{
    open(connection, on_event).await.map(|(client, _)| client)
}

/// As [`connect`], with what is known of the servers.
///
/// # Errors
///
/// As [`connect`].
pub async fn open<F>(connection: &Connection, on_event: F) -> io::Result<(Client, Arc<Servers>)>
where
    F: Fn(Event) + Send + Sync + 'static,
{
    let servers = Servers::new(connection).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let servers = Arc::new(servers);
    let client = options(connection, &servers, Arc::new(on_event))
        .connect(servers.addresses())
        .await
        .map_err(io::Error::other)?;
    servers.count_connections_with(client.statistics());
    Ok((client, servers))
}

fn options<F>(connection: &Connection, servers: &Arc<Servers>, on_event: Arc<F>) -> ConnectOptions
where
    F: Fn(Event) + Send + Sync + 'static,
{
    let (choosing, answering) = (Arc::clone(servers), Arc::clone(servers));
    let on_failure = Arc::clone(&on_event);
    let mut options = ConnectOptions::with_auth_callback(move |nonce| {
        let servers = Arc::clone(&answering);
        async move {
            let answer = spawn_blocking(move || servers.answer(&nonce)).await;
            answer.unwrap_or_else(|e| Err(e.to_string())).map_err(AuthError::new)
        }
    });
    options = options
        .reconnect_to_server_callback(move |pool, _| {
            let (servers, on_failure) = (Arc::clone(&choosing), Arc::clone(&on_failure));
            async move {
                let turn = spawn_blocking(move || servers.next(&pool)).await.ok()??;
                if let Some(reason) = turn.news {
                    on_failure(Event::ClientError(ClientError::Other(reason)));
                }
                Some(ReconnectToServer { addr: turn.server, delay: Some(turn.delay) })
            }
        })
        .event_callback(move |event| {
            // Says the kind of a failure only: the reason is passed on above.
            if !matches!(event, Event::ClientError(ClientError::Other(_))) {
                on_event(event);
            }
            std::future::ready(())
        })
        .name(&connection.name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .require_tls(servers.uses_tls());
    if let Some(prefix) = &connection.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    if let Some(ca) = &connection.tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &connection.tls.client {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    if connection.tls.first { options.tls_first() } else { options }
}

/// Replies are subscribed to at `PREFIX.…`: it must be the begin of a subject that a user may have.
fn check_inbox_prefix(prefix: &str) -> Result<(), String> {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
    if prefix.split('.').any(|token| token.is_empty() || token.contains(is_bad)) || prefix.starts_with('$') {
        return Err(format!(
            "{prefix:?} cannot begin a subject: write words and dots between, such as _INBOX_ci, without wildcards, \
             blanks, empty words or a leading '$'"
        ));
    }
    Ok(())
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
    fn an_inbox_prefix_begins_a_subject() {
        for good in ["_INBOX", "_INBOX_ci", "my.inbox", "收件箱"] {
            assert_eq!(check_inbox_prefix(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "a\tb", "$SYS", "a\u{7f}"] {
            assert!(check_inbox_prefix(bad).is_err(), "{bad}");
        }
    }
}
