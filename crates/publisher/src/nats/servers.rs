//! The servers of a connection: whose turn it is, with which credentials, and why the last attempts failed.
//! Shared by the callbacks that async-nats makes and whoever wants to know.

use std::collections::HashMap;
use std::fmt;
use std::hash::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_nats::client::Statistics;
use async_nats::{Auth, Server, ServerAddr, ServerInfo};

use super::connect_failure::{Circumstances, in_words, unresolved};
use super::connection::Connection;
use super::credentials::Authentication;
use super::server_choice::{Outcome, ServerChoice};
use super::server_url::{self, ServerUrl, host_and_port};
use super::tls::Tls;

/// Reasons that are given at once; a large cluster that is away would else fill the log.
const MAX_REASONS: usize = 3;

/// Where a connection may lead, and what came of it.
pub struct Servers {
    named: Vec<ServerUrl>,
    authentication: Option<Authentication>,
    tls: Tls,
    uses_tls: bool,
    connection: Connection,
    state: Mutex<State>,
    /// async-nats' own count of connections: events of them may be late, or lost.
    statistics: OnceLock<Arc<Statistics>>,
}

#[derive(Default)]
struct State {
    choice: ServerChoice,
    /// In the order of async-nats' list: server and reason.
    reasons: Vec<(String, String)>,
    /// Servers that the list has.
    servers: usize,
    greeted: bool,
    unreadable: Option<String>,
    /// What the files of credentials held when they were last used.
    fingerprint: Option<u64>,
    has_warned: bool,
}

/// The server whose turn it is.
pub(super) struct Turn {
    pub(super) server: ServerAddr,
    pub(super) delay: Duration,
    /// Why the attempt before failed, if it did.
    pub(super) news: Option<String>,
}

impl Servers {
    pub(super) fn new(connection: &Connection) -> Result<Self, String> {
        let named = server_url::parse(&connection.servers)?;
        let uses_tls = connection.tls.is_asked_for() || named.iter().any(|server| server.tls);
        Ok(Self {
            // NATS servers of one list are one cluster: what one URL gives serves where nothing else is said.
            authentication: connection
                .authentication
                .clone()
                .or_else(|| named.iter().find_map(|server| server.authentication.clone())),
            named,
            tls: connection.tls.clone(),
            uses_tls,
            connection: connection.clone(),
            state: Mutex::default(),
            statistics: OnceLock::new(),
        })
    }

    pub(super) fn addresses(&self) -> Vec<ServerAddr> {
        self.named.iter().map(|server| server.address.clone()).collect()
    }

    /// Whether every connection must be encrypted. One `tls://` is enough: to fail over to a server that was
    /// discovered, and has no scheme, must not mean plain text.
    pub(super) fn uses_tls(&self) -> bool {
        self.uses_tls
    }

    pub(super) fn count_connections_with(&self, statistics: Arc<Statistics>) {
        // Set once, by whoever has made the client.
        let _ = self.statistics.set(statistics);
    }

    /// Chooses the next server, and learns how the attempt before went. Reads files if TLS failed.
    pub(super) fn next(&self, pool: &[Server]) -> Option<Turn> {
        let connects = self.connects();
        // Files are read without the lock: nobody else chooses meanwhile.
        let failure = self.failure(pool, connects);
        let mut state = self.state();
        match &failure {
            Some((server, reason)) => state.remember(server.clone(), reason.clone(), pool),
            None => state.reasons.clear(),
        }
        state.servers = pool.len();
        (state.greeted, state.unreadable) = (false, None);
        let (server, delay) = state.choice.next(pool, connects, Instant::now(), random)?;
        Some(Turn { server, delay, news: failure.map(|(_, reason)| reason) })
    }

    /// The server of the last attempt and why it failed, if it did.
    fn failure(&self, pool: &[Server], connects: u64) -> Option<(String, String)> {
        let (outcome, server, greeted, unreadable) = {
            let state = self.state();
            let server = state.choice.current()?.clone();
            (state.choice.outcome(pool, connects)?, server, state.greeted, state.unreadable.clone())
        };
        let name = host_and_port(&server);
        let reason = match outcome {
            Outcome::Connected => return None,
            Outcome::Unresolved => unresolved(server.host()),
            Outcome::Failed(error) => {
                let seen = Circumstances {
                    server: &name,
                    discovered: pool.iter().any(|entry| entry.is_discovered && entry.addr == server),
                    greeted,
                    unreadable: unreadable.as_deref(),
                    authentication: self.authentication_for(Some(&server)),
                    tls: &self.tls,
                    uses_tls: self.uses_tls,
                };
                in_words(&error, &seen)
            }
        };
        Some((name, reason))
    }

    /// The answer to the nonce of the server whose turn it is. Reads files.
    pub(super) fn answer(&self, nonce: &[u8]) -> Result<Auth, String> {
        let how = {
            let mut state = self.state();
            state.greeted = true;
            self.authentication_for(state.choice.current()).cloned()
        };
        let fingerprint = self.connection.fingerprint();
        let answer = how.map_or_else(|| Ok(Auth::new()), |how| how.answer(nonce));
        let mut state = self.state();
        state.fingerprint = Some(fingerprint);
        state.unreadable = answer.as_ref().err().cloned();
        answer
    }

    /// A server's own, from its URL, before what is configured for all.
    fn authentication_for(&self, server: Option<&ServerAddr>) -> Option<&Authentication> {
        let own = self.named.iter().find(|named| Some(&named.address) == server);
        own.and_then(|named| named.authentication.as_ref()).or(self.authentication.as_ref())
    }

    /// Why there is no connection: what the last attempt at each server came to. `None` before the first attempt
    /// has failed, and while there is a connection.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        let state = self.state();
        if state.reasons.is_empty() || state.choice.has_connected(self.connects()) {
            return None;
        }
        let alone = state.servers == 1;
        let sentence = |(server, reason): &(String, String)| match alone || reason.contains(server.as_str()) {
            true => reason.clone(),
            false => format!("{server}: {reason}"),
        };
        let mut sentences: Vec<_> = state.reasons.iter().take(MAX_REASONS).map(sentence).collect();
        if state.reasons.len() > MAX_REASONS {
            sentences.push(format!("and {} servers more", state.reasons.len() - MAX_REASONS));
        }
        Some(sentences.join("; "))
    }

    /// Whether there is another server than the present one. `info` is the present one's: a server that does not
    /// announce the others (`no_advertise`) leaves those that the operator has named.
    #[must_use]
    pub fn has_other(&self, info: &ServerInfo) -> bool {
        self.named.len() > 1 || info.connect_urls.len() > 1
    }

    /// Has the next attempt go to another server than the present one, if there is one.
    pub fn avoid_current(&self) {
        self.state().choice.avoid_current();
    }

    /// Whether the files of credentials hold something else than the connection was made with, and it can be used:
    /// a file that is half written is no reason to give up a connection that stands. Reads them.
    #[must_use]
    pub fn has_new_credentials(&self) -> bool {
        let used = self.state().fingerprint;
        used.is_some_and(|used| used != self.connection.fingerprint())
            && self.connection.problems().is_empty()
    }

    /// Warns once if a failover would fail: async-nats holds a certificate to the address that the cluster announces.
    /// `info` is the present server's.
    pub fn warn_of_announced_addresses(&self, info: &ServerInfo) {
        let mut state = self.state();
        if state.has_warned {
            return;
        }
        let found = self.announced_addresses(&state, info);
        if !found.is_empty() {
            state.has_warned = true;
            drop(state);
            tracing::warn!(
                announced = found.join(" "),
                "the cluster announces servers by address: over TLS, the bridge can move to one only if its certificate \
                 carries the address; name every server in nats.servers as its certificate does"
            );
        }
    }

    fn announced_addresses(&self, state: &State, info: &ServerInfo) -> Vec<String> {
        let is_address = |host: &str| host.parse::<IpAddr>().is_ok();
        // To a server by its address, the certificate carries that one: it will carry the others'.
        let by_name = state.choice.current().is_some_and(|current| !is_address(current.host()));
        if !(by_name && (self.uses_tls || info.tls_required)) || self.named.len() >= info.connect_urls.len() {
            return Vec::new();
        }
        let announced = info.connect_urls.iter().filter_map(|url| url.parse::<ServerAddr>().ok());
        announced
            .filter(|server| is_address(server.host()))
            .map(|server| host_and_port(&server))
            .take(MAX_REASONS)
            .collect()
    }

    fn connects(&self) -> u64 {
        self.statistics.get().map_or(0, |statistics| statistics.connects.load(Ordering::Relaxed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every critical section sets whole fields: a panic leaves no half-done change behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Keeps one reason a server, in the order of the list, so that the whole does not change with every attempt.
    fn remember(&mut self, server: String, reason: String, pool: &[Server]) {
        let mut reasons: HashMap<_, _> = self.reasons.drain(..).collect();
        reasons.insert(server, reason);
        let in_order = pool.iter().filter_map(|server| reasons.remove_entry(&host_and_port(&server.addr)));
        self.reasons = in_order.collect();
    }
}

/// A fresh RandomState is the standard library's source of randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").field("last_error", &self.last_error()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(urls: &str) -> Servers {
        Servers::new(&Connection { servers: vec![urls.to_owned()], ..Connection::default() }).unwrap()
    }

    fn server(name: &str, failures: usize, error: &str) -> Server {
        Server {
            addr: name.parse().unwrap(),
            failed_attempts: failures,
            did_connect: false,
            is_discovered: false,
            last_error: (failures > 0).then(|| error.to_owned()),
        }
    }

    #[test]
    fn each_server_gets_its_own_credentials_and_others_the_first() {
        let servers = servers("nats://u:p@a,nats://t@b,nats://c");
        let user = |name: &str| {
            let how = servers.authentication_for(Some(&name.parse().unwrap())).unwrap();
            let auth = how.answer(b"").unwrap();
            auth.username.or(auth.token).unwrap()
        };
        assert_eq!(["a:4222", "b:4222", "c:4222", "found:1"].map(user), ["u", "t", "u", "u"]);
        let configured = Connection {
            servers: vec!["nats://u:p@a,nats://b".to_owned()],
            authentication: Some(Authentication::Token(super::super::credentials::Secret::Text(
                "t".to_owned(),
            ))),
            ..Connection::default()
        };
        let servers = Servers::new(&configured).unwrap();
        let has_user = |name: &str| {
            let how = servers.authentication_for(Some(&name.parse().unwrap())).unwrap();
            how.answer(b"").unwrap().username.is_some()
        };
        assert_eq!(["a:4222", "b:4222", "found:1"].map(has_user), [true, false, false]);
    }

    #[test]
    fn the_reasons_of_all_servers_are_said_once_each_in_their_order() {
        let servers = servers("nats://a,nats://b");
        let refused = "IO error: Connection refused (os error 111)";
        assert!(servers.next(&[server("a", 0, ""), server("b", 0, "")]).unwrap().news.is_none());
        assert_eq!(servers.last_error(), None);
        let first = servers.state().choice.current().unwrap().host().to_owned();
        let pool = |error_of_b, failures| match first.as_str() {
            "a" => [server("a", failures, refused), server("b", failures - 1, error_of_b)],
            _ => [server("a", failures - 1, refused), server("b", failures, error_of_b)],
        };
        assert!(servers.next(&pool("timed out", 1)).unwrap().news.is_some());
        let both = [server("a", 1, refused), server("b", 1, "timed out")];
        servers.next(&both).unwrap();
        let said = servers.last_error().unwrap();
        assert!(said.starts_with("a:4222: connection refused; b:4222: timed out"), "{said}");
        servers.next(&pool("timed out", 2)).unwrap();
        assert_eq!(servers.last_error().unwrap(), said);
    }

    #[test]
    fn tls_is_for_all_servers_or_none() {
        assert!(!servers("nats://a,b").uses_tls());
        assert!(servers("nats://a,tls://b").uses_tls());
        let first = Tls { first: true, ..Tls::default() };
        let first = Connection { servers: vec!["a".to_owned()], tls: first, ..Connection::default() };
        assert!(Servers::new(&first).unwrap().uses_tls());
    }

    #[test]
    fn addresses_that_a_certificate_may_not_carry_are_warned_of() {
        let info = |urls: &[&str]| ServerInfo {
            connect_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            ..ServerInfo::default()
        };
        for (url, announced, expected) in [
            ("tls://n1", &["10.0.0.1:4222", "10.0.0.2:4222"][..], 2),
            ("tls://n1,tls://n2", &["10.0.0.1:4222", "10.0.0.2:4222"], 0),
            ("tls://10.0.0.1", &["10.0.0.1:4222", "10.0.0.2:4222"], 0),
            ("nats://n1", &["10.0.0.1:4222", "10.0.0.2:4222"], 0),
            ("tls://n1", &["n1:4222", "n2:4222"], 0),
            ("tls://n1", &["10.0.0.1:4222"], 0),
        ] {
            let servers = servers(url);
            let pool: Vec<_> =
                servers.addresses().iter().map(|addr| server(addr.as_url_str(), 0, "")).collect();
            servers.next(&pool).unwrap();
            let found = servers.announced_addresses(&servers.state(), &info(announced));
            assert_eq!(found.len(), expected, "{url} {announced:?}");
        }
    }
}
