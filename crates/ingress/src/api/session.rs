//! Who has logged in on the page: a cookie that stands for the token, for some hours, and that no script can read.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use subtle::ConstantTimeEq;
use tokio_rustls::rustls::crypto::ring;

use super::parameters::Parameters;
use super::problem::Problem;
use super::proof::Proof;
use super::{Api, Reply};
use crate::auth::Secret;

/// Sessions at once; the oldest ends for another.
const MOST: usize = 32;
/// How long one lasts.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
const COOKIE: &str = "ci-bridge-session";
/// What is behind `=`, in bytes: 256 random bits in hexadecimal.
const VALUE_BYTES: usize = 64;

/// The sessions that are open.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<VecDeque<Session>>);

#[derive(Debug)]
struct Session {
    /// Of the cookie's value, which is nowhere else than with the browser.
    cookie: Secret,
    /// The token that it was opened with: the session ends with it.
    token: Secret,
    opened: Instant,
}

impl Sessions {
    /// Opens one; the cookie's value is the answer, and `None` where no randomness can be had.
    pub(super) fn open(&self, token: Secret, now: Instant) -> Option<String> {
        let mut random = [0; VALUE_BYTES / 2];
        ring::default_provider().secure_random.fill(&mut random).ok()?;
        let value: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut sessions = self.lock(now);
        if sessions.len() == MOST {
            sessions.pop_front();
        }
        sessions.push_back(Session { cookie: Secret::new(&value), token, opened: now });
        Some(value)
    }

    /// The token of an open session.
    pub(super) fn token(&self, value: &str, now: Instant) -> Option<Secret> {
        let cookie = Secret::new(value);
        let sessions = self.lock(now);
        // Each is compared, so that the time taken tells nothing.
        let mut found = None;
        for session in sessions.iter() {
            if bool::from(session.cookie.ct_eq(&cookie)) {
                found = Some(session.token.clone());
            }
        }
        found
    }

    pub(super) fn end(&self, value: &str, now: Instant) {
        let cookie = Secret::new(value);
        self.lock(now).retain(|session| !bool::from(session.cookie.ct_eq(&cookie)));
    }

    fn lock(&self, now: Instant) -> MutexGuard<'_, VecDeque<Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|session| now.saturating_duration_since(session.opened) < LIFETIME);
        sessions
    }
}

/// The session that a browser names.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    (value.len() == VALUE_BYTES).then_some(value)
}

/// `Secure` where the page came over TLS, which somebody in front of the listener speaks.
fn set_cookie(value: &str, seconds: u64, headers: &HeaderMap) -> Option<HeaderValue> {
    let is_secure =
        headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&cookie).ok()
}

impl Api {
    /// Logging in and out, where there is a page to do it on.
    pub(super) fn session(
        &self,
        headers: &HeaderMap,
        method: &Method,
        parameters: Parameters,
        proof: Proof,
    ) -> Reply {
        parameters.end()?;
        self.view()?;
        match (method, proof) {
            (&Method::POST, Proof::Token(token)) => self.log_in(headers, token),
            (&Method::DELETE, _) => self.log_out(headers),
            // A session opens no other: only the token does.
            _ => Err(Problem::unauthenticated(false)),
        }
    }

    /// Whoever has shown the token is known by a cookie from now on.
    fn log_in(&self, headers: &HeaderMap, token: Secret) -> Reply {
        let value = self.access.sessions().open(token, Instant::now()).ok_or_else(Problem::internal)?;
        let mut response = Response::new(Default::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Some(cookie) = set_cookie(&value, LIFETIME.as_secs(), headers) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    fn log_out(&self, headers: &HeaderMap) -> Reply {
        if let Some(value) = cookie(headers) {
            self.access.sessions().end(value, Instant::now());
        }
        let mut response = Response::new(Default::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Some(cookie) = set_cookie("", 0, headers) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_some_hours_or_until_it_is_ended() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let value = sessions.open(Secret::new("token"), now).unwrap();
        assert_eq!(value.len(), VALUE_BYTES);
        let is_open = |value: &str, at| sessions.token(value, at).is_some();
        assert!(is_open(&value, now) && !is_open(&value[1..], now) && !is_open("", now));
        assert!(!is_open(&value, now + LIFETIME));
        let values: Vec<_> = (0..MOST).map(|_| sessions.open(Secret::new("token"), now).unwrap()).collect();
        assert!(values.iter().all(|value| is_open(value, now)));
        sessions.open(Secret::new("token"), now).unwrap();
        assert!(!is_open(&values[0], now) && is_open(&values[1], now));
        sessions.end(&values[1], now);
        assert!(!is_open(&values[1], now));
    }

    #[test]
    fn a_cookie_is_found_among_others_and_is_as_long_as_ours_are() {
        let value = "a".repeat(VALUE_BYTES);
        let ours = format!("{COOKIE}={value}");
        for (fields, expected) in [
            (vec![ours.clone()], true),
            (vec![format!("a=b; {ours}; c=d")], true),
            (vec!["a=b".to_owned(), ours.clone()], true),
            (vec![format!("{ours}a")], false),
            (vec![format!("x{ours}")], false),
            (vec![format!("{COOKIE}=")], false),
            (vec![], false),
        ] {
            let mut headers = HeaderMap::new();
            for field in &fields {
                headers.append(header::COOKIE, field.parse().unwrap());
            }
            assert_eq!(cookie(&headers).is_some(), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_cookie_is_for_this_site_and_no_script() {
        let mut headers = HeaderMap::new();
        let cookie = set_cookie("x", 5, &headers).unwrap();
        assert_eq!(cookie, "ci-bridge-session=x; Max-Age=5; Path=/; HttpOnly; SameSite=Strict");
        headers.insert(header::ORIGIN, "https://bridge.example".parse().unwrap());
        assert!(set_cookie("x", 5, &headers).unwrap().to_str().unwrap().ends_with("; Secure"));
    }
}
