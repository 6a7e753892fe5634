//! How the bridge proves who it is. Secrets in files are read at each connect, so that a file may be replaced while
//! the bridge runs.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use async_nats::Auth;
use nkeys::KeyPair;
use time::OffsetDateTime;

use super::user_jwt::{Claims, jwt_in, seed_in};

/// One of the ways to authenticate that NATS has.
#[derive(Clone)]
pub enum Authentication {
    /// User and password.
    UserPassword(String, Secret),
    /// A token.
    Token(Secret),
    /// A `.creds` file (JWT and NKey).
    Credentials(PathBuf),
    /// A file that holds an NKey seed.
    NKey(PathBuf),
    /// A user JWT with its seed, or a bearer JWT, which needs none.
    UserJwt {
        /// The JWT.
        jwt: String,
        /// The seed that signs for it.
        seed: Option<String>,
    },
}

/// A password or token, or the file whose first line it is.
#[derive(Clone)]
pub enum Secret {
    /// The secret itself.
    Text(String),
    /// Where it is.
    File(PathBuf),
}

impl Authentication {
    /// What the server is answered to its nonce. Reads the file, if there is one.
    ///
    /// The error says what is wrong with the file and what belongs there, and nothing that it holds.
    pub(super) fn answer(&self, nonce: &[u8]) -> Result<Auth, String> {
        let mut auth = Auth::new();
        match self {
            Self::UserPassword(user, password) => {
                auth.username = Some(user.clone());
                auth.password = Some(password.read()?);
            }
            Self::Token(token) => auth.token = Some(token.read()?),
            Self::Credentials(path) => {
                let text = read(path)?;
                let missing = |what: &str| {
                    format!("{} holds no {what}: it must be as nsc and nats auth write it", path.display())
                };
                auth.jwt = Some(jwt_in(&text).ok_or_else(|| missing("user JWT"))?.to_owned());
                auth.signature = Some(sign(&seed_in(&text).ok_or_else(|| missing("NKey seed"))?, nonce)?);
            }
            Self::NKey(path) => {
                let key = seed_in(&read(path)?).ok_or_else(|| {
                    format!("{} holds no NKey seed: it begins with SU and has 58 letters", path.display())
                })?;
                auth.nkey = Some(key.public_key());
                auth.signature = Some(sign(&key, nonce)?);
            }
            Self::UserJwt { jwt, seed } => {
                Claims::of(jwt).ok_or(
                    "the user JWT of the context cannot be read: it has three parts and dots between",
                )?;
                auth.jwt = Some(jwt.clone());
                if let Some(seed) = seed {
                    let key =
                        seed_in(seed).ok_or("the seed of the context is no NKey seed: it begins with SU")?;
                    auth.signature = Some(sign(&key, nonce)?);
                }
            }
        }
        Ok(auth)
    }

    /// Why a server may have refused it, as far as that can be seen from here.
    pub(super) fn why_refused(&self) -> String {
        let expired = self.claims().and_then(|claims| claims.expired_at(OffsetDateTime::now_utc()));
        match expired {
            Some(when) => format!("{} expired at {when}", self.jwt_in_words()),
            None => format!("authorization violation: NATS refuses {self}"),
        }
    }

    /// Bytes of the largest message that its JWT allows.
    pub(super) fn payload_limit(&self) -> Option<usize> {
        self.claims()?.payload_limit()
    }

    /// The file that it is read from.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Credentials(path)
            | Self::NKey(path)
            | Self::UserPassword(_, Secret::File(path))
            | Self::Token(Secret::File(path)) => Some(path),
            _ => None,
        }
    }

    fn claims(&self) -> Option<Claims> {
        match self {
            Self::Credentials(path) => Claims::of(jwt_in(&read(path).ok()?)?),
            Self::UserJwt { jwt, .. } => Claims::of(jwt),
            _ => None,
        }
    }

    fn jwt_in_words(&self) -> String {
        let name = self.claims().map(|claims| claims.name).unwrap_or_default();
        let of = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        match self.file() {
            Some(path) => format!("the user JWT{of} in {}", path.display()),
            None => format!("the user JWT{of} of the context"),
        }
    }
}

impl Secret {
    /// The secret, without the blanks around it if it is in a file.
    fn read(&self) -> Result<String, String> {
        let path = match self {
            Self::Text(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        match read(path)?.lines().next().map(str::trim) {
            Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
            _ => Err(format!("{} is empty: write the secret on its first line", path.display())),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path)
        .map_err(|e| format!("cannot read {}: {e}; name a file that the bridge may read", path.display()))
}

fn sign(key: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>, String> {
    key.sign(nonce).map_err(|e| format!("the NKey cannot sign: {e}"))
}

/// Its kind and its file, for people to read; no secret.
impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::UserPassword(_, Secret::Text(_)) => "the user and password",
            Self::UserPassword(_, Secret::File(_)) => "the password",
            Self::Token(_) => "the token",
            Self::Credentials(_) => "the credentials",
            Self::NKey(_) => "the NKey",
            Self::UserJwt { .. } => "the user JWT of the context",
        };
        match self.file() {
            Some(path) => write!(f, "{what} in {}", path.display()),
            None => f.write_str(what),
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn jwt(claims: &str) -> String {
        format!("{0}.{1}.{0}", URL_SAFE_NO_PAD.encode("{}"), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_file_is_read_anew_each_time() {
        let (_folder, path) = file("first\nsecond\n");
        let how = Authentication::UserPassword("u".into(), Secret::File(path.clone()));
        assert_eq!(how.answer(b"").unwrap().password.as_deref(), Some("first"));
        fs::write(&path, "  other \n").unwrap();
        assert_eq!(how.answer(b"").unwrap().password.as_deref(), Some("other"));
        fs::write(&path, "\n").unwrap();
        assert!(how.answer(b"").err().unwrap().contains("is empty"));
    }

    #[test]
    fn a_nonce_is_signed_with_the_seed() {
        let key = KeyPair::new_user();
        let seed = key.seed().unwrap();
        let (_folder, path) = file(&format!("{}\n{seed}\n", jwt("{}")));
        for how in [
            Authentication::NKey(path.clone()),
            Authentication::Credentials(path),
            Authentication::UserJwt { jwt: jwt("{}"), seed: Some(seed) },
        ] {
            let auth = how.answer(b"nonce").unwrap();
            key.verify(b"nonce", &auth.signature.unwrap()).unwrap();
            assert_eq!(auth.jwt.is_none(), auth.nkey.is_some(), "{how}");
        }
        let bearer = Authentication::UserJwt { jwt: jwt("{}"), seed: None }.answer(b"nonce").unwrap();
        assert!(bearer.jwt.is_some() && bearer.signature.is_none());
    }

    #[test]
    fn an_expired_jwt_is_said_by_name() {
        let (_folder, path) = file(&jwt(r#"{"exp":1767225600,"name":"ci","nats":{"payload":512}}"#));
        let how = Authentication::Credentials(path.clone());
        let expected = format!("the user JWT \"ci\" in {} expired at 2026-01-01T00:00:00Z", path.display());
        assert_eq!(how.why_refused(), expected);
        assert_eq!(how.payload_limit(), Some(512));
        fs::write(&path, jwt("{}")).unwrap();
        let expected = format!("authorization violation: NATS refuses the credentials in {}", path.display());
        assert_eq!((how.why_refused(), how.payload_limit()), (expected, None));
    }

    #[test]
    fn no_secret_is_said() {
        let secrets = [
            Authentication::UserPassword("s3cret".into(), Secret::Text("s3cret".into())),
            Authentication::Token(Secret::Text("s3cret".into())),
            Authentication::UserJwt { jwt: "s3cret".into(), seed: Some("s3cret".into()) },
        ];
        for how in secrets {
            let said = format!("{how} {how:?} {} {:?}", how.why_refused(), how.answer(b"").err());
            assert!(!said.contains("s3cret"), "{said}");
        }
        let (_folder, path) = file("s3cret");
        for how in [Authentication::Credentials(path.clone()), Authentication::NKey(path)] {
            let said = how.answer(b"").err().unwrap();
            assert!(said.contains("holds no") && !said.contains("s3cret"), "{said}");
        }
    }
}
