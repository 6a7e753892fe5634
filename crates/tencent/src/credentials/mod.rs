//! Keys for Tencent Cloud: where they come from, in this order, and when they are fetched again.
//!
//! | source | what | lasts |
//! |---|---|---|
//! | `[tencent] credentials_file` | TOML with `secret_id`, `secret_key` and, for temporary keys, `token` | read before each question |
//! | environment | `TENCENTCLOUD_SECRET_ID`, `TENCENTCLOUD_SECRET_KEY`, `TENCENTCLOUD_TOKEN` | the process |
//! | TKE | the pod's web identity, exchanged at STS (`web_identity.rs`) | until ten minutes before it expires |
//! | CVM | the role of the machine, from its metadata service (`metadata.rs`) | likewise |

mod metadata;
mod web_identity;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::wire::{Origin, Wire};
use web_identity::WebIdentity;

/// A key of Tencent Cloud. Its texts are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    secret_id: String,
    secret_key: String,
    token: Option<String>,
    /// `None` lasts.
    expires: Option<SystemTime>,
}

/// Gives a variable of the environment, unless it is empty.
pub type Variable = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Where keys can come from.
pub struct Sources {
    /// The first that is asked, if there is one: then no other is.
    pub file: Option<PathBuf>,
    /// The variables of the environment.
    pub variable: Box<Variable>,
    pub(crate) sts: Origin,
    pub(crate) metadata: Origin,
}

/// The keys in use.
pub struct Credentials {
    sources: Sources,
    wire: Wire,
    timeout: Duration,
    /// Temporary ones that were fetched.
    fetched: Mutex<Option<Keys>>,
}

/// Temporary keys are fetched again this long before they expire.
const REFRESH_BEFORE: Duration = Duration::from_secs(600);

impl Keys {
    /// Keys that do not expire.
    #[must_use]
    pub fn lasting(secret_id: &str, secret_key: &str) -> Self {
        Self {
            secret_id: secret_id.to_owned(),
            secret_key: secret_key.to_owned(),
            token: None,
            expires: None,
        }
    }

    fn temporary(secret_id: String, secret_key: String, token: String, expires: i64) -> Self {
        let expires = Duration::from_secs(u64::try_from(expires).unwrap_or(0));
        Self { secret_id, secret_key, token: Some(token), expires: Some(SystemTime::UNIX_EPOCH + expires) }
    }

    pub(crate) fn secret_id(&self) -> &str {
        &self.secret_id
    }

    pub(crate) fn secret_key(&self) -> &str {
        &self.secret_key
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    fn is_fresh(&self) -> bool {
        self.expires.is_none_or(|expires| expires > SystemTime::now() + REFRESH_BEFORE)
    }

    fn is_valid(&self) -> bool {
        self.expires.is_none_or(|expires| expires > SystemTime::now())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Sources {
    /// What this process and this machine have.
    #[must_use]
    pub fn of_this_machine(file: Option<PathBuf>) -> Self {
        Self {
            file,
            variable: Box::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty())),
            sts: Origin::https(web_identity::STS),
            metadata: Origin::metadata(metadata::HOST_OF_METADATA),
        }
    }

    fn of_environment(&self) -> Result<Option<Keys>, Error> {
        let variable = &self.variable;
        match (variable("TENCENTCLOUD_SECRET_ID"), variable("TENCENTCLOUD_SECRET_KEY")) {
            (Some(secret_id), Some(secret_key)) => {
                let token = variable("TENCENTCLOUD_TOKEN");
                Ok(Some(Keys { secret_id, secret_key, token, expires: None }))
            }
            (None, None) => Ok(None),
            _ => Err(Error::Credentials(
                "TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY belong together: set both or neither"
                    .to_owned(),
            )),
        }
    }
}

impl Credentials {
    /// Keys from these sources; fetching them takes at most `timeout`.
    #[must_use]
    pub fn new(sources: Sources, timeout: Duration) -> Self {
        Self { sources, wire: Wire::default(), timeout, fetched: Mutex::default() }
    }

    /// The keys that hold now.
    ///
    /// # Errors
    ///
    /// When no source has any, or the first that should have some cannot be used.
    pub async fn keys(&self) -> Result<Keys, Error> {
        if let Some(path) = &self.sources.file {
            return of_file(path).await;
        }
        if let Some(keys) = self.sources.of_environment()? {
            return Ok(keys);
        }
        let mut fetched = self.fetched.lock().await;
        if let Some(keys) = fetched.as_ref().filter(|keys| keys.is_fresh()) {
            return Ok(keys.clone());
        }
        match self.fetch().await {
            Ok(keys) => Ok(fetched.insert(keys).clone()),
            // Ten minutes are left to try again.
            Err(error) => fetched.clone().filter(Keys::is_valid).ok_or(error),
        }
    }

    /// Fetches temporary keys anew with the next question: these were refused.
    pub(crate) async fn forget(&self) {
        *self.fetched.lock().await = None;
    }

    async fn fetch(&self) -> Result<Keys, Error> {
        if let Some(identity) = WebIdentity::of_environment(&self.sources.variable)? {
            return identity.exchange(&self.wire, &self.sources.sts, self.timeout).await;
        }
        metadata::keys(&self.wire, &self.sources.metadata, self.timeout).await
    }
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    secret_id: String,
    secret_key: String,
    #[serde(default)]
    token: String,
}

async fn of_file(path: &Path) -> Result<Keys, Error> {
    let wrong = |what: &str| Error::Credentials(format!("{}: {what}", path.display()));
    let text = tokio::fs::read_to_string(path).await.map_err(|e| wrong(&e.to_string()))?;
    // The parser's own message repeats the line, and so a key.
    let File { secret_id, secret_key, token } = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        wrong(&format!(
            "line {line} is not as it should be: write secret_id = \"…\", secret_key = \"…\" and, for temporary keys, \
             token = \"…\""
        ))
    })?;
    if secret_id.is_empty() || secret_key.is_empty() {
        return Err(wrong("secret_id or secret_key is empty: write both"));
    }
    let token = (!token.is_empty()).then_some(token);
    Ok(Keys { secret_id, secret_key, token, expires: None })
}

#[cfg(test)]
mod tests;
