//! Who may use the API: by the name that a request is for, and by a token.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use hyper::header::{self, HeaderMap};
use hyper::http::uri::Authority;
use hyper::{Method, Request};

use super::guesses::Guesses;
use super::problem::Problem;
use super::proof::Proof;
use super::session::{self, Sessions};
use crate::auth::{Secret, Secrets};

/// Who may use the API of an admin listener.
#[derive(Debug)]
pub struct Access {
    /// No other machine reaches the listener.
    is_loopback: bool,
    /// Names that it may be called by, beside its own address and `localhost`; without a port.
    hosts: Vec<String>,
    /// None: reading needs none, and nothing can be written. Replaced as a whole.
    tokens: RwLock<Arc<Secrets>>,
    sessions: Sessions,
    guesses: Guesses,
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
        Self {
            is_loopback: listen.ip().to_canonical().is_loopback(),
            hosts,
            tokens: RwLock::new(Arc::new(tokens)),
            sessions: Sessions::default(),
            guesses: Guesses::default(),
        }
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
        !self.tokens().is_empty()
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    fn tokens(&self) -> Arc<Secrets> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the request may do. Writing always needs the token; reading does where there is one. Whoever writes by a
    /// browser does it from our own page.
    pub(super) fn permit(
        &self,
        headers: &HeaderMap,
        method: &Method,
        peer: IpAddr,
    ) -> Result<(Permit, Proof), Problem> {
        let is_read = *method == Method::GET;
        let tokens = self.tokens();
        if tokens.is_empty() {
            return match is_read {
                true => Ok((Permit { bodies: self.is_loopback, write: false }, Proof::None)),
                false => Err(Problem::no_token_configured()),
            };
        }
        let proof = match bearer(headers) {
            Some(token) => Proof::Token(self.token(&tokens, &token, peer)?),
            None => {
                let value = session::cookie(headers).ok_or_else(|| Problem::unauthenticated(false))?;
                Proof::Session(value.to_owned())
            }
        };
        if !self.still_holds(&proof) {
            return Err(Problem::unauthenticated(false));
        }
        if !is_read && !is_from_here(headers, matches!(proof, Proof::Token(_))) {
            return Err(Problem::other_site());
        }
        Ok((Permit { bodies: true, write: true }, proof))
    }

    /// The token, if it is one of them. Whoever has guessed often is not even compared.
    fn token(&self, tokens: &Secrets, token: &str, peer: IpAddr) -> Result<Secret, Problem> {
        let now = Instant::now();
        if let Some(wait) = self.guesses.wait(peer, now) {
            return Err(Problem::too_many_guesses(wait));
        }
        let secret = Secret::new(token);
        if bool::from(tokens.holds(&secret)) {
            return Ok(secret);
        }
        self.guesses.wrong(peer, now);
        Err(Problem::unauthenticated(true))
    }

    /// Whether what somebody was let in by would let them in now.
    pub(super) fn still_holds(&self, proof: &Proof) -> bool {
        let tokens = self.tokens();
        match proof {
            Proof::None => tokens.is_empty(),
            Proof::Token(secret) => tokens.holds(secret).into(),
            Proof::Session(value) => {
                let token = self.sessions.token(value, Instant::now());
                token.is_some_and(|token| tokens.holds(&token).into())
            }
        }
    }
}

/// Whether a request that changes something is our own page's, or no browser's. A browser says where a request comes from,
/// in one header or the other, and no page can keep it from that.
fn is_from_here(headers: &HeaderMap, has_token: bool) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    match (headers.get(header::ORIGIN), headers.get(header::HOST)) {
        (Some(origin), Some(host)) => {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            origin.is_some_and(|(_, authority)| authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
        }
        (Some(_), None) => false,
        // A cookie alone is a browser's.
        (None, _) => has_token,
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
    use std::net::Ipv4Addr;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Header fields, and what comes of them.
    type Row<'a> = (&'a [(&'a str, &'a str)], Result<(), u16>);

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
            let permit = access(listen, tokens).permit(&headers, &method.parse().unwrap(), PEER);
            let found = permit.map(|(permit, _)| permit.bodies).map_err(|problem| problem.status());
            assert_eq!(found, expected, "{listen} {tokens:?} {method} {authorization:?}");
        }
    }

    #[test]
    fn two_authorizations_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, "Bearer s3cret".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Bearer guess".parse().unwrap());
        let access = access("127.0.0.1:1", &["s3cret"]);
        assert_eq!(access.permit(&headers, &Method::GET, PEER).unwrap_err().status(), 401);
    }

    #[test]
    fn what_changes_something_comes_from_our_own_page_or_from_no_browser() {
        let access = access("127.0.0.1:1", &["s3cret"]);
        let cookie = access.sessions.open(Secret::new("s3cret"), Instant::now()).unwrap();
        let cookie = format!("ci-bridge-session={cookie}");
        let (token, cookie) = (("authorization", "Bearer s3cret"), ("cookie", cookie.as_str()));
        let host = ("host", "127.0.0.1:9090");
        let rows: &[Row<'_>] = &[
            (&[token, host], Ok(())),
            (&[cookie, host], Err(403)),
            (&[cookie, host, ("sec-fetch-site", "same-origin")], Ok(())),
            (&[cookie, host, ("sec-fetch-site", "same-site")], Err(403)),
            (&[cookie, host, ("sec-fetch-site", "cross-site")], Err(403)),
            (&[cookie, host, ("sec-fetch-site", "none")], Err(403)),
            (&[token, host, ("sec-fetch-site", "cross-site")], Err(403)),
            (&[cookie, host, ("origin", "http://127.0.0.1:9090")], Ok(())),
            (&[cookie, host, ("origin", "http://127.0.0.1:9091")], Err(403)),
            (&[cookie, host, ("origin", "http://evil.example")], Err(403)),
            (&[token, host, ("origin", "http://evil.example")], Err(403)),
            (&[cookie, host, ("origin", "null")], Err(403)),
            (
                &[cookie, host, ("sec-fetch-site", "cross-site"), ("origin", "http://127.0.0.1:9090")],
                Err(403),
            ),
            (&[host], Err(401)),
        ];
        for (fields, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in *fields {
                headers
                    .append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            let found = access.permit(&headers, &Method::POST, PEER);
            let found = found.map(|_| ()).map_err(|problem| problem.status());
            assert_eq!(found, *expected, "{fields:?}");
        }
    }

    #[test]
    fn a_session_ends_with_its_token() {
        let access = access("127.0.0.1:1", &["s3cret"]);
        let session = Proof::Session(access.sessions.open(Secret::new("s3cret"), Instant::now()).unwrap());
        assert!(access.still_holds(&session));
        access.replace_tokens([Secret::new("new"), Secret::new("s3cret")].into_iter().collect());
        assert!(access.still_holds(&session));
        access.replace_tokens([Secret::new("new")].into_iter().collect());
        assert!(!access.still_holds(&session));
        access.replace_tokens(Secrets::default());
        assert!(!access.still_holds(&session), "it was somebody's who had the token");
    }

    #[test]
    fn guessing_ends_in_429_whatever_is_sent_then() {
        let access = access("127.0.0.1:1", &["s3cret"]);
        let ask = |token: &str, peer: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            let found = access.permit(&headers, &Method::GET, peer.parse().unwrap());
            found.map(|_| ()).map_err(|problem| problem.status())
        };
        for n in 0..super::super::guesses::MOST {
            assert_eq!(ask(&n.to_string(), "10.0.0.1"), Err(401));
        }
        assert_eq!(ask("s3cret", "10.0.0.1"), Err(429));
        assert_eq!(ask("s3cret", "10.0.0.2"), Ok(()));
    }
}
