//! Where the servers are: lists of URLs, and the credentials in them. async-nats reads one URL a text and ignores
//! its user.

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

use super::credentials::{Authentication, Secret};

/// A server that the operator has named.
#[derive(Debug, Clone)]
pub(super) struct ServerUrl {
    /// Scheme, host and port alone: a server that is discovered as well is then one and the same to async-nats.
    pub(super) address: ServerAddr,
    /// Of this server alone, from its URL.
    pub(super) authentication: Option<Authentication>,
    /// `tls://`
    pub(super) tls: bool,
}

/// Reads lists of URLs. The error says which is wrong by its place: the text may hold a password.
pub(super) fn parse(texts: &[String]) -> Result<Vec<ServerUrl>, String> {
    let texts = texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty());
    let servers: Vec<_> = texts
        .enumerate()
        .map(|(at, text)| one(text).map_err(|why| format!("server {} {why}", at + 1)))
        .collect::<Result<_, _>>()?;
    match servers.is_empty() {
        true => Err("no NATS server is configured: name one, such as nats://127.0.0.1:4222".to_owned()),
        false => Ok(servers),
    }
}

fn one(text: &str) -> Result<ServerUrl, String> {
    const NO_URL: &str = "is not a NATS URL, such as nats://127.0.0.1:4222";
    let url: ServerAddr = text.parse().map_err(|_| NO_URL.to_owned())?;
    if url.is_websocket() {
        let scheme = url.scheme();
        return Err(format!(
            "is a WebSocket address ({scheme}://), which the bridge does not speak: use nats:// or tls:// and the \
             port for clients"
        ));
    }
    let authentication = match (url.username(), url.password()) {
        (Some(user), Some(password)) => {
            Some(Authentication::UserPassword(decoded(user), Secret::Text(decoded(password))))
        }
        (Some(token), None) => Some(Authentication::Token(Secret::Text(decoded(token)))),
        (None, _) => None,
    };
    let address = format!("nats://{}", host_and_port(&url));
    match url.host() {
        "" => Err(NO_URL.to_owned()),
        _ => Ok(ServerUrl {
            address: address.parse().map_err(|_| NO_URL.to_owned())?,
            authentication,
            tls: url.tls_required(),
        }),
    }
}

/// For people, and to tell servers apart.
pub(super) fn host_and_port(server: &ServerAddr) -> String {
    match server.host() {
        host if host.contains(':') => format!("[{host}]:{}", server.port()),
        host => format!("{host}:{}", server.port()),
    }
}

/// Undoes the percent-encoding of URL credentials.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_as_lists_and_bring_their_own_credentials() {
        let list = parse(&["nats://me:p%40ss@a:1, b".to_owned(), "tls://s3cret@[::1]:2".to_owned()]).unwrap();
        let addresses: Vec<_> = list.iter().map(|server| server.address.as_url_str()).collect();
        assert_eq!(addresses, ["nats://a:1", "nats://b:4222", "nats://[::1]:2"]);
        let [a, b, c] = &list[..] else { panic!("three") };
        assert!(
            matches!(&a.authentication, Some(Authentication::UserPassword(u, Secret::Text(p))) if u == "me" && p == "p@ss")
        );
        assert!(b.authentication.is_none());
        assert!(matches!(&c.authentication, Some(Authentication::Token(Secret::Text(t))) if t == "s3cret"));
        assert_eq!([a.tls, b.tls, c.tls], [false, false, true]);
    }

    #[test]
    fn a_bad_server_is_refused_by_its_place_without_repeating_its_password() {
        for (text, expected) in [
            ("nats://a,nats://me:s3cret@a:notaport", "server 2 is not a NATS URL"),
            ("http://me:s3cret@a", "server 1 is not a NATS URL"),
            ("nats://me:s3cret@", "server 1 is not a NATS URL"),
            ("ws://me:s3cret@a", "server 1 is a WebSocket address (ws://)"),
            ("wss://a", "use nats:// or tls://"),
            (" , ", "no NATS server is configured"),
        ] {
            let error = parse(&[text.to_owned()]).unwrap_err();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
