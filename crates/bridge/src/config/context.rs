//! Contexts of the nats CLI (ADR-21), as jsm.go's natscontext reads them: what no key of ours says, a context may.

use std::env;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::value::{Tag, Value};
use serde::Deserialize;

use super::explain::{self, Problem};
use super::single::Single;
use super::{Jetstream, Nats};

/// A context as `nats context save` writes it. What it has beside these does not change how a connection is made.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    url: String,
    user: String,
    password: String,
    token: String,
    creds: String,
    nkey: String,
    user_jwt: String,
    user_seed: String,
    ca: String,
    cert: String,
    key: String,
    tls_first: bool,
    inbox_prefix: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
    nsc: String,
    socks_proxy: String,
    windows_cert_store: String,
    windows_cert_match: String,
    windows_cert_match_by: String,
    /// `null` where there are none.
    windows_ca_certs_match: Option<Vec<String>>,
}

/// A user JWT in a context, for which the bridge has no key of its own.
#[derive(Debug, Clone)]
pub(super) struct UserJwt {
    pub(super) jwt: String,
    pub(super) seed: Option<String>,
}

/// Schemes by which natscontext has a value fetched from elsewhere.
const ELSEWHERE: [&str; 4] = ["op://", "nsc://", "env://", "data:"];

/// Adds what the context says, if `nats.context` names one, where the layers so far say nothing; with the user JWT of
/// the context, if that is how the bridge authenticates.
///
/// The layers themselves may be wrong: then nothing is added, and whoever reads them all says what is wrong.
pub(super) fn apply(figment: Figment) -> Result<(Figment, Option<UserJwt>), Problem> {
    let own = (figment.extract_inner::<Nats>("nats"), figment.extract_inner::<Jetstream>("jetstream"));
    let (Ok(nats), Ok(jetstream)) = own else {
        return Ok((figment, None));
    };
    if nats.context.is_empty() {
        return Ok((figment, None));
    }
    let problem = |message| Problem { key: "nats.context".to_owned(), message };
    let context = read(&nats.context).map_err(problem)?;
    context
        .refuse_what_cannot_be_honoured()
        .map_err(|why| problem(format!("context {} {why}", nats.context)))?;
    let has_servers = explain::own_source(&figment, "nats.servers") != explain::DEFAULT;
    let mut values = context.values(&nats, &jetstream);
    values.retain(|(key, _)| *key != "nats.servers" || !has_servers);
    let name = format!("context {}", nats.context);
    let figment = values.into_iter().fold(figment, |figment, (key, value)| {
        figment.merge(Single { name: name.clone(), key: key.to_owned(), value })
    });
    let jwt = (!says_who(&nats)).then(|| context.user_jwt()).flatten();
    Ok((figment, jwt))
}

/// A password alone does not: the user may be the context's.
fn says_who(nats: &Nats) -> bool {
    let files = [&nats.token_file, &nats.creds_file, &nats.nkey_file];
    !nats.user.is_empty()
        || !nats.token.is_empty()
        || files.into_iter().any(|path| !path.as_os_str().is_empty())
}

impl Context {
    /// Keys of ours and what the context says of them; empty ones left out, and what `nats` and `jetstream` say
    /// themselves.
    fn values(&self, nats: &Nats, jetstream: &Jetstream) -> Vec<(&'static str, Value)> {
        let mut values = Vec::new();
        let mut add = |key, text: String, is_free: bool| {
            if is_free && !text.is_empty() {
                values.push((key, Value::from(text)));
            }
        };
        let is_free = |path: &Path| path.as_os_str().is_empty();
        let is_free_password = nats.password.is_empty() && is_free(&nats.password_file);
        for (key, text) in self.credentials() {
            add(key, text, !says_who(nats) && (key != "nats.password" || is_free_password));
        }
        add("nats.tls.ca", expanded(&self.ca), is_free(&nats.tls.ca));
        // A certificate and its key belong together.
        let is_free_client = is_free(&nats.tls.cert) && is_free(&nats.tls.key);
        add("nats.tls.cert", expanded(&self.cert), is_free_client);
        add("nats.tls.key", expanded(&self.key), is_free_client);
        add("nats.inbox_prefix", self.inbox_prefix.clone(), nats.inbox_prefix.is_empty());
        // jsm.go takes the domain where a context has both.
        let is_free_api = jetstream.domain.is_empty() && jetstream.api_prefix.is_empty();
        add("jetstream.domain", self.jetstream_domain.clone(), is_free_api);
        let is_free_prefix = is_free_api && self.jetstream_domain.is_empty();
        add("jetstream.api_prefix", self.jetstream_api_prefix.clone(), is_free_prefix);
        if self.tls_first {
            values.push(("nats.tls_first", Value::from(true)));
        }
        if !self.url.is_empty() {
            values.push(("nats.servers", Value::Array(Tag::Default, vec![Value::from(self.url.clone())])));
        }
        values
    }

    /// The one way to authenticate that natscontext would take; a user JWT has no key of ours.
    fn credentials(&self) -> Vec<(&'static str, String)> {
        if !self.user.is_empty() {
            vec![("nats.user", self.user.clone()), ("nats.password", self.password.clone())]
        } else if !self.creds.is_empty() {
            vec![("nats.creds_file", expanded(&self.creds))]
        } else if !self.nkey.is_empty() {
            vec![("nats.nkey_file", expanded(&self.nkey))]
        } else if self.user_jwt.is_empty() {
            vec![("nats.token", self.token.clone())]
        } else {
            Vec::new()
        }
    }

    fn user_jwt(&self) -> Option<UserJwt> {
        let before = [&self.user, &self.creds, &self.nkey];
        let is_used = !self.user_jwt.is_empty() && before.into_iter().all(String::is_empty);
        is_used.then(|| UserJwt {
            jwt: self.user_jwt.clone(),
            seed: (!self.user_seed.is_empty()).then(|| self.user_seed.clone()),
        })
    }

    /// What would change where or how the connection is made, and the bridge has no way to do. The values stay out
    /// of the message.
    fn refuse_what_cannot_be_honoured(&self) -> Result<(), String> {
        let authorities = self.windows_ca_certs_match.as_deref().unwrap_or_default();
        let foreign = [
            (
                "nsc",
                !self.nsc.is_empty(),
                "export the user with `nsc generate creds` and name the file in \"creds\"",
            ),
            (
                "socks_proxy",
                !self.socks_proxy.is_empty(),
                "the bridge connects directly: leave the proxy out",
            ),
            ("windows_cert_store", !self.windows_cert_store.is_empty(), WINDOWS),
            ("windows_cert_match", !self.windows_cert_match.is_empty(), WINDOWS),
            ("windows_cert_match_by", !self.windows_cert_match_by.is_empty(), WINDOWS),
            ("windows_ca_certs_match", !authorities.is_empty(), WINDOWS),
        ];
        if let Some((key, _, advice)) = foreign.into_iter().find(|(_, is_set, _)| *is_set) {
            return Err(format!("has {key:?}, which the bridge cannot do: {advice}"));
        }
        let values = [
            ("password", &self.password),
            ("token", &self.token),
            ("user_jwt", &self.user_jwt),
            ("user_seed", &self.user_seed),
            ("creds", &self.creds),
            ("nkey", &self.nkey),
            ("ca", &self.ca),
            ("cert", &self.cert),
            ("key", &self.key),
        ];
        let is_elsewhere = |value: &str| ELSEWHERE.iter().any(|scheme| value.starts_with(scheme));
        match values.into_iter().find(|(_, value)| is_elsewhere(value)) {
            Some((key, value)) => {
                let scheme = value.split(':').next().unwrap_or_default();
                Err(format!(
                    "fetches {key:?} from {scheme}:, which the bridge cannot do: write it to a file, and name the file in [nats]"
                ))
            }
            None => Ok(()),
        }
    }
}

const WINDOWS: &str = "name PEM files in \"ca\", \"cert\" and \"key\"";

fn read(name: &str) -> Result<Context, String> {
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(format!("{name:?} is a path, not the name of a context"));
    }
    let config_home = env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let config_home = config_home.or_else(|| Some(home()?.join(".config")));
    let folder =
        config_home.ok_or("neither XDG_CONFIG_HOME nor HOME says where contexts are")?.join("nats/context");
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).map_err(|e| {
        format!("cannot read {}: {e}; `nats context ls` names those that there are", path.display())
    })?;
    // serde's message would repeat what it stumbled on, which may be a password.
    serde_json::from_str(&text).map_err(|e| {
        format!("{}: line {}, column {}: not a context of the nats CLI", path.display(), e.line(), e.column())
    })
}

fn home() -> Option<PathBuf> {
    env::var_os("HOME").map(PathBuf::from)
}

/// A path as natscontext reads it: `file://`, a leading `~`, `$NAME` and `${NAME}`.
fn expanded(path: &str) -> String {
    let path = path.strip_prefix("file://").unwrap_or(path);
    let path = with_variables(path, |name| env::var(name).unwrap_or_default());
    match (path.strip_prefix('~'), home()) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", home.display())
        }
        _ => path,
    }
}

fn with_variables(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = text.split('$');
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
            Some(braced) => braced,
            None => part
                .split_at(part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len())),
        };
        match name {
            "" => expanded.push('$'),
            name => expanded.push_str(&value(name)),
        }
        expanded.push_str(rest);
    }
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_paths_are_filled_in() {
        let value = |name: &str| format!("<{name}>");
        for (text, expected) in [
            ("/run/x.creds", "/run/x.creds"),
            ("$HOME/x", "<HOME>/x"),
            ("/a/${NAME}_b$C", "/a/<NAME>_b<C>"),
            ("a$/b", "a$/b"),
            ("", ""),
        ] {
            assert_eq!(with_variables(text, value), expected, "{text}");
        }
    }
}
