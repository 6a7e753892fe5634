//! What a connection needs, and what can be wrong with it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use super::credentials::Authentication;
use super::problem::{Part, Problem};
use super::server_url;
use super::tls::Tls;

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
