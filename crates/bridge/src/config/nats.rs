//! How to reach NATS: `[nats]`, into which a context of the nats CLI has been read.

use std::path::Path;

use ci_bridge_publisher::nats::{Authentication, Connection, Part, Secret, Tls};

use super::context::UserJwt;
use super::explain::Problem;
use super::paths::given;
use super::{Nats, SecretText};

pub(super) fn connection(nats: &Nats, jwt: Option<&UserJwt>) -> Result<Connection, Vec<Problem>> {
    let client = match (given(&nats.tls.cert), given(&nats.tls.key)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (certificate, _) => {
            let (set, other) = if certificate.is_some() { ("cert", "key") } else { ("key", "cert") };
            let message = format!("needs nats.tls.{other} beside it: name its file there");
            return Err(vec![problem(&format!("tls.{set}"), message)]);
        }
    };
    let connection = Connection {
        servers: nats.servers.iter().map(|server| server.expose().to_owned()).collect(),
        authentication: authentication(nats, jwt)?,
        tls: Tls { ca: given(&nats.tls.ca), client, first: nats.tls_first },
        name: nats.name.clone(),
        inbox_prefix: (!nats.inbox_prefix.is_empty()).then(|| nats.inbox_prefix.clone()),
    };
    let found = connection
        .problems()
        .into_iter()
        .map(|found| problem(key_of(found.part, connection.authentication.as_ref()), found.what));
    match found.collect::<Vec<_>>() {
        found if found.is_empty() => Ok(connection),
        found => Err(found),
    }
}

fn authentication(nats: &Nats, jwt: Option<&UserJwt>) -> Result<Option<Authentication>, Vec<Problem>> {
    let mut ways = Vec::new();
    let has_user = !nats.user.is_empty() || nats.servers.iter().any(|server| server.expose().contains('@'));
    let passwords =
        [("password", nats.password.is_empty()), ("password_file", given(&nats.password_file).is_none())];
    if let Some((key, _)) = passwords.into_iter().find(|(_, is_empty)| !has_user && !is_empty) {
        return Err(vec![problem(key, "needs nats.user beside it: without a user, no password is sent")]);
    }
    if !nats.user.is_empty() {
        let password = secret(&nats.password_file, &nats.password).unwrap_or(Secret::Text(String::new()));
        ways.push(Authentication::UserPassword(nats.user.clone(), password));
    }
    ways.extend(secret(&nats.token_file, &nats.token).map(Authentication::Token));
    ways.extend(given(&nats.creds_file).map(Authentication::Credentials));
    ways.extend(given(&nats.nkey_file).map(Authentication::NKey));
    if let Some(UserJwt { jwt, seed }) = jwt {
        ways.push(Authentication::UserJwt { jwt: jwt.clone(), seed: seed.clone() });
    }
    match ways.len() {
        0 | 1 => Ok(ways.pop()),
        _ => Err(vec![problem("", format!("{ways:?} are set at once: choose one way to authenticate"))]),
    }
}

/// A file goes before a text: it can be replaced while the bridge runs.
fn secret(file: &Path, text: &SecretText) -> Option<Secret> {
    let text = || (!text.is_empty()).then(|| Secret::Text(text.expose().to_owned()));
    given(file).map(Secret::File).or_else(text)
}

/// The key that says what is wrong.
fn key_of(part: Part, authentication: Option<&Authentication>) -> &'static str {
    match (part, authentication) {
        (Part::Servers, _) => "servers",
        (Part::Ca, _) => "tls.ca",
        (Part::ClientCertificate, _) => "tls.cert",
        (Part::ClientKey, _) => "tls.key",
        (Part::InboxPrefix, _) => "inbox_prefix",
        (Part::Authentication, Some(Authentication::UserPassword(..))) => "password_file",
        (Part::Authentication, Some(Authentication::Token(_))) => "token_file",
        (Part::Authentication, Some(Authentication::Credentials(_))) => "creds_file",
        (Part::Authentication, Some(Authentication::NKey(_))) => "nkey_file",
        (Part::Authentication, Some(Authentication::UserJwt { .. }) | None) => "context",
    }
}

fn problem(key: &str, message: impl Into<String>) -> Problem {
    let key = if key.is_empty() { "nats".to_owned() } else { format!("nats.{key}") };
    Problem { key, message: message.into() }
}
