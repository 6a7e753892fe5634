//! How to reach NATS: `[nats]`, or a context of the nats CLI.

use std::env;
use std::path::{Path, PathBuf};

use ci_bridge_publisher::nats::{Authentication, Connection, Part, Secret, Tls};
use serde::Deserialize;

use super::explain::Problem;
use super::layers::given;
use super::{Nats, SecretText};

/// A context as `nats context save` writes it (ADR-21). What it has beside these is not for a publisher.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    url: String,
    user: String,
    password: String,
    token: String,
    creds: String,
    nkey: String,
    ca: String,
    cert: String,
    key: String,
    inbox_prefix: String,
}

pub(super) fn connection(nats: &Nats) -> Result<Connection, Vec<Problem>> {
    let context = match nats.context.as_str() {
        "" => Context::default(),
        name => read_context(name).map_err(|message| vec![problem("context", message)])?,
    };
    let from_context = |text: &str| given(Path::new(text));
    let ca = given(&nats.tls.ca).or(from_context(&context.ca));
    let certificate = given(&nats.tls.cert).or(from_context(&context.cert));
    let key = given(&nats.tls.key).or(from_context(&context.key));
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(vec![problem("tls", "cert and key belong together: set both or neither")]);
        }
    };
    let servers = match context.url.as_str() {
        "" => nats.servers.iter().map(|server| server.expose().to_owned()).collect(),
        url => vec![url.to_owned()],
    };
    let inbox_prefix =
        [&nats.inbox_prefix, &context.inbox_prefix].into_iter().find(|prefix| !prefix.is_empty());
    let (own, theirs) = (own_authentication(nats)?, context_authentication(&context));
    let connection = Connection {
        servers,
        authentication: own.or(theirs),
        tls: Tls { ca, client, first: false },
        name: nats.name.clone(),
        inbox_prefix: inbox_prefix.cloned(),
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

fn own_authentication(nats: &Nats) -> Result<Option<Authentication>, Vec<Problem>> {
    let mut ways = Vec::new();
    if !nats.user.is_empty() {
        let password = secret(&nats.password_file, &nats.password).unwrap_or(Secret::Text(String::new()));
        ways.push(Authentication::UserPassword(nats.user.clone(), password));
    }
    ways.extend(secret(&nats.token_file, &nats.token).map(Authentication::Token));
    ways.extend(given(&nats.creds_file).map(Authentication::Credentials));
    ways.extend(given(&nats.nkey_file).map(Authentication::NKey));
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

fn context_authentication(context: &Context) -> Option<Authentication> {
    if !context.creds.is_empty() {
        Some(Authentication::Credentials(PathBuf::from(&context.creds)))
    } else if !context.nkey.is_empty() {
        Some(Authentication::NKey(PathBuf::from(&context.nkey)))
    } else if !context.token.is_empty() {
        Some(Authentication::Token(Secret::Text(context.token.clone())))
    } else if !context.user.is_empty() {
        Some(Authentication::UserPassword(context.user.clone(), Secret::Text(context.password.clone())))
    } else {
        None
    }
}

fn read_context(name: &str) -> Result<Context, String> {
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(format!("{name:?} is a path, not the name of a context"));
    }
    let config_home = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config_home = config_home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")));
    let folder =
        config_home.ok_or("neither XDG_CONFIG_HOME nor HOME says where contexts are")?.join("nats/context");
    let path = folder.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    // serde's message would repeat what it stumbled on, which may be a password.
    serde_json::from_str(&text).map_err(|e| {
        format!("{}: line {}, column {}: not a context of the nats CLI", path.display(), e.line(), e.column())
    })
}

fn problem(key: &str, message: impl Into<String>) -> Problem {
    let key = if key.is_empty() { "nats".to_owned() } else { format!("nats.{key}") };
    Problem { key, message: message.into() }
}
