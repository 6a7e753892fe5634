//! User JWTs and seeds, and the files that they come in.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a user JWT says of itself, as far as the bridge can make use of it. The server alone decides whether it holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    /// The user, for people.
    pub(super) name: String,
    /// Seconds since 1970; 0 is never.
    exp: i64,
    nats: Limits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Limits {
    /// Bytes of the largest message; 0 and -1 are no limit.
    payload: i64,
}

impl Claims {
    /// Reads the middle of `header.claims.signature`; `None` if it is no JWT.
    pub(super) fn of(jwt: &str) -> Option<Self> {
        let mut parts = jwt.split('.');
        let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
            return None;
        };
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// When it expired, if it has.
    pub(super) fn expired_at(&self, now: OffsetDateTime) -> Option<String> {
        let expires = OffsetDateTime::from_unix_timestamp(self.exp).ok()?;
        (self.exp > 0 && expires <= now).then(|| expires.format(&Rfc3339).ok())?
    }

    /// Bytes of the largest message that the user may publish.
    pub(super) fn payload_limit(&self) -> Option<usize> {
        usize::try_from(self.nats.payload).ok().filter(|limit| *limit > 0)
    }
}

/// The JWT in a `.creds` file, which has a line for it between two lines of dashes.
pub(super) fn jwt_in(text: &str) -> Option<&str> {
    text.lines().map(str::trim).find(|line| Claims::of(line).is_some())
}

/// The key of the seed in a file, which holds nothing else, or is decorated as a `.creds` file is.
pub(super) fn seed_in(text: &str) -> Option<KeyPair> {
    text.lines().find_map(|line| KeyPair::from_seed(line.trim()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#), encode(claims))
    }

    #[test]
    fn claims_tell_expiry_name_and_limit() {
        let now = OffsetDateTime::from_unix_timestamp(1_767_225_600).unwrap();
        let rows = [
            (
                r#"{"exp":1767225600,"name":"ci","nats":{"payload":4096}}"#,
                Some("2026-01-01T00:00:00Z"),
                Some(4096),
            ),
            (r#"{"exp":1767225601,"nats":{"payload":-1}}"#, None, None),
            (r#"{"nats":{"payload":0}}"#, None, None),
            (r#"{"exp":9223372036854775807}"#, None, None),
        ];
        for (claims, expired, limit) in rows {
            let read = Claims::of(&jwt(claims)).unwrap();
            assert_eq!((read.expired_at(now).as_deref(), read.payload_limit()), (expired, limit), "{claims}");
        }
        for text in ["", "a.b", "a.b.c", "a.b.c.d"] {
            assert!(Claims::of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_creds_file_holds_a_jwt_and_a_seed_in_decorations() {
        let (key, jwt) = (KeyPair::new_user(), jwt(r#"{"name":"ci"}"#));
        let seed = key.seed().unwrap();
        let file = format!(
            "-----BEGIN NATS USER JWT-----\r\n{jwt}\r\n------END NATS USER JWT------\r\n\r\n\
             *** IMPORTANT ***\r\n-----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\r\n"
        );
        assert_eq!(jwt_in(&file), Some(jwt.as_str()));
        assert_eq!(seed_in(&file).unwrap().public_key(), key.public_key());
        assert_eq!(seed_in(&seed).unwrap().public_key(), key.public_key());
        assert!(seed_in(&key.public_key()).is_none());
        assert!(jwt_in(&seed).is_none() && seed_in(&jwt).is_none());
    }
}
