//! Who may use the API: by the name that a request is for, and by a token.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use hyper::header::{self, HeaderMap};
use hyper::http::uri::Authority;
use hyper::{Method, Request};

use super::problem::Problem;
use crate::auth::Secrets;

/// Who may use the API of an admin listener.
#[derive(Debug)]
pub struct Access {
    /// No other machine reaches the listener.
    is_loopback: bool,
    /// Names that it may be called by, beside its own address and `localhost`; without a port.
    hosts: Vec<String>,
    /// None: reading needs none, and nothing can be written. Replaced as a whole.
    tokens: RwLock<Arc<Secrets>>,
}

/// What whoever asks may see and do.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Permit {
    /// Bodies and headers of messages: what senders wrote.
    pub(super) bodies: bool,
    /// Whether anything may be changed.
    pub(super) write: bool,
}

impl Access {
    /// To a listener at this address.
    #[must_use]
    pub fn new(listen: SocketAddr, hosts: Vec<String>, tokens: Secrets) -> Self {
        let is_loopback = listen.ip().to_canonical().is_loopback();
        Self { is_loopback, hosts, tokens: RwLock::new(Arc::new(tokens)) }
    }

    /// From now on these are accepted.
    pub fn replace_tokens(&self, tokens: Secrets) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }

    /// Whether the request is for this listener by a name of its own. A page of a stranger can make its own name lead to
    /// our address (DNS rebinding), and then the browser lets it read what it gets; it cannot make the browser send
    /// another name, and an address is no name.
    pub(super) fn check_host<B>(&self, request: &Request<B>, local: IpAddr) -> Result<(), Problem> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
            _ => None,
        };
        let is_ours = |authority: &Authority| self.is_ours(authority, local);
        // A target that is a whole URL has a name of its own.
        let target = request.uri().authority().is_none_or(is_ours);
        if target && host.as_ref().is_some_and(is_ours) { Ok(()) } else { Err(Problem::foreign_host()) }
    }

    fn is_ours(&self, authority: &Authority, local: IpAddr) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        match literal.parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                // The loopback's addresses lead nowhere else, as through a port that is forwarded.
                address.is_loopback() || address == local.to_canonical()
            }
            Err(_) => {
                let is_host = |name: &str| name.eq_ignore_ascii_case(host);
                is_host("localhost") || self.hosts.iter().any(|name| is_host(name))
            }
        }
    }

    /// Whether there are tokens.
    pub(super) fn has_tokens(&self) -> bool {
        !self.tokens.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What the request may do. Writing always needs the token; reading does where there is one.
    pub(super) fn permit(&self, headers: &HeaderMap, method: &Method) -> Result<Permit, Problem> {
        let tokens = Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner));
        if tokens.is_empty() {
            return match *method {
                Method::GET => Ok(Permit { bodies: self.is_loopback, write: false }),
                _ => Err(Problem::no_token_configured()),
            };
        }
        let presented: Vec<_> = bearer(headers).into_iter().collect();
        match tokens.accept(&presented) {
            true => Ok(Permit { bodies: true, write: true }),
            false => Err(Problem::unauthenticated(!presented.is_empty())),
        }
    }
}

/// In a header alone: a URL stands in logs and histories, and a form of another page can send it.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;

    fn access(listen: &str, tokens: &[&str]) -> Access {
        let tokens = tokens.iter().map(|token| Secret::new(token)).collect();
        Access::new(listen.parse().unwrap(), vec!["bridge.example".to_owned()], tokens)
    }

    #[test]
    fn a_request_is_for_us_by_our_address_or_a_name_that_we_know() {
        let access = access("0.0.0.0:9090", &[]);
        let local: IpAddr = "10.1.2.3".parse().unwrap();
        for (target, hosts, expected) in [
            ("/", &["10.1.2.3:9090"][..], true),
            ("/", &["10.1.2.3"], true),
            ("/", &["127.0.0.1:9090"], true),
            ("/", &["127.9.9.9"], true),
            ("/", &["[::1]:9090"], true),
            ("/", &["[::ffff:10.1.2.3]:9090"], true),
            ("/", &["LOCALHOST:1"], true),
            ("/", &["bridge.example:9090"], true),
            ("/", &["Bridge.Example"], true),
            ("http://localhost/", &["localhost"], true),
            ("/", &["10.1.2.4"], false),
            ("/", &["0.0.0.0:9090"], false),
            ("/", &["evil.example"], false),
            ("/", &["evil.example:9090"], false),
            ("/", &["127.0.0.1.evil.example"], false),
            ("/", &["localhost.evil.example"], false),
            ("/", &["bridge.example.evil.example"], false),
            ("/", &["localhost@evil.example"], false),
            ("/", &["evil.example@localhost"], false),
            // What a resolver may take for an address is a name here.
            ("/", &["2130706433"], false),
            ("/", &["127.1"], false),
            ("/", &["0x7f.0.0.1"], false),
            ("/", &[""], false),
            ("/", &["a b"], false),
            ("/", &[], false),
            ("/", &["localhost", "localhost"], false),
            ("http://evil.example/", &["localhost"], false),
            ("http://localhost/", &["evil.example"], false),
        ] {
            let mut request = Request::get(target);
            for host in hosts {
                request = request.header(header::HOST, *host);
            }
            let request = request.body(()).unwrap();
            assert_eq!(access.check_host(&request, local).is_ok(), expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn writing_needs_the_token_and_so_does_reading_where_there_is_one() {
        let rows = [
            ("127.0.0.1:1", &[][..], "GET", None, Ok(true)),
            ("[::1]:1", &[], "GET", None, Ok(true)),
            ("0.0.0.0:1", &[], "GET", None, Ok(false)),
            ("0.0.0.0:1", &[], "GET", Some("Bearer x"), Ok(false)),
            ("127.0.0.1:1", &[], "DELETE", None, Err(403)),
            ("127.0.0.1:1", &[], "DELETE", Some("Bearer "), Err(403)),
            ("127.0.0.1:1", &["s3cret", "new"], "GET", None, Err(401)),
            ("127.0.0.1:1", &["s3cret", "new"], "GET", Some("Bearer s3cre"), Err(401)),
            ("127.0.0.1:1", &["s3cret", "new"], "GET", Some("Bearer "), Err(401)),
            ("127.0.0.1:1", &["s3cret", "new"], "GET", Some("Basic OnMzY3JldA=="), Err(401)),
            ("0.0.0.0:1", &["s3cret", "new"], "GET", Some("Bearer s3cret"), Ok(true)),
            ("0.0.0.0:1", &["s3cret", "new"], "DELETE", Some("bearer new"), Ok(true)),
            ("0.0.0.0:1", &["s3cret", "new"], "DELETE", Some("Bearer S3CRET"), Err(401)),
        ];
        for (listen, tokens, method, authorization, expected) in rows {
            let mut headers = HeaderMap::new();
            if let Some(value) = authorization {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            let permit = access(listen, tokens).permit(&headers, &method.parse().unwrap());
            let found = permit.map(|permit| permit.bodies).map_err(|problem| problem.status());
            assert_eq!(found, expected, "{listen} {tokens:?} {method} {authorization:?}");
        }
    }

    #[test]
    fn two_authorizations_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, "Bearer s3cret".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Bearer guess".parse().unwrap());
        let access = access("127.0.0.1:1", &["s3cret"]);
        assert_eq!(access.permit(&headers, &Method::GET).unwrap_err().status(), 401);
    }
}
