//! What `check` says of settings for the connection: what is refused, and who goes before whom.

use std::fs;
use std::path::{Path, PathBuf};

use nkeys::KeyPair;
use tempfile::TempDir;

use super::operator::Operator;
use super::{Served, file};
use crate::support::{Authority, LocalNats, ci_bridge, eventually, nats};

/// Runs `check`; gives its exit code, and everything it said.
fn check(configuration: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let (_folder, path) = file(configuration);
    let mut command = ci_bridge();
    command.args(["check", "-c"]).arg(&path).args(arguments).envs(environment.iter().copied());
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_with_its_key() {
    let (ours, other) = (Authority::new(), Authority::new());
    ours.sign("bridge");
    other.sign("bridge");
    let write = |name: &str, text: &str| {
        fs::write(ours.file(name), text).unwrap();
        ours.file(name)
    };
    let garbage = write("garbage", "s3cret");
    let empty = write("empty", "\n");
    let creds = Operator::new().creds(60);
    let no_seed = write("no_seed", creds.split("\n\n").next().unwrap());
    let no_jwt = write("no_jwt", creds.split("\n\n").nth(1).unwrap());
    let (cert, key) = (ours.file("bridge.pem"), ours.file("bridge.key"));
    let pair = |cert: &Path, key: &Path| format!("[nats.tls]\ncert = {cert:?}\nkey = {key:?}\n");
    let nats = |key: &str, path: &Path| format!("[nats]\n{key} = {path:?}\n");
    let prefix = |prefix: &str| format!("[nats]\ninbox_prefix = {prefix:?}\n");
    let rows = [
        (
            "[nats]\nservers = [\"ws://u:s3cret@h\"]\n".to_owned(),
            "nats.servers: server 1 is a WebSocket address (ws://)",
        ),
        (
            "[nats]\nservers = [\"nats://h,wss://h\"]\n".to_owned(),
            "nats.servers: server 2 is a WebSocket address (wss://)",
        ),
        (nats("nkey_file", &garbage), "nats.nkey_file: "),
        (nats("nkey_file", &garbage), "garbage holds no NKey seed: it begins with SU"),
        (nats("creds_file", &garbage), "nats.creds_file: "),
        (nats("creds_file", &no_seed), "no_seed holds no NKey seed: it must be as nsc"),
        (nats("creds_file", &no_jwt), "no_jwt holds no user JWT: it must be as nsc"),
        (nats("token_file", &empty), "nats.token_file: "),
        (nats("user = \"u\"\npassword_file", &empty), "nats.password_file: "),
        (nats("token_file", Path::new("/nowhere/t")), "cannot read /nowhere/t: No such file"),
        (format!("[nats.tls]\nca = {garbage:?}\n"), "nats.tls.ca: "),
        (format!("[nats.tls]\nca = {key:?}\n"), "bridge.key holds no certificate: it must be PEM"),
        (pair(&garbage, &key), "nats.tls.cert: "),
        (pair(&cert, &garbage), "nats.tls.key: "),
        (pair(&cert, &other.file("bridge.key")), "bridge.key is not the key of the certificate in "),
        (format!("[nats.tls]\ncert = {cert:?}\n"), "nats.tls.cert: needs nats.tls.key beside it"),
        (prefix("_INBOX.*"), "nats.inbox_prefix: \"_INBOX.*\" cannot begin a subject: write words"),
        (prefix("a b"), "nats.inbox_prefix: "),
        (prefix("a..b"), "nats.inbox_prefix: "),
        (prefix("$SYS"), "nats.inbox_prefix: "),
        (
            "[jetstream]\ndomain = \"d\"\napi_prefix = \"p\"\n".to_owned(),
            "jetstream.api_prefix: says where the API is",
        ),
        ("[jetstream]\napi_prefix = \"p.\"\n".to_owned(), "jetstream.api_prefix: must be words"),
        ("[jetstream]\ndomain = \"a.b\"\n".to_owned(), "jetstream.domain: must be one word"),
        ("[jetstream]\nprovision = \"never\"\n".to_owned(), "write one of create, require, none"),
    ];
    for (configuration, message) in rows {
        let (code, said) = check(&configuration, &[], &[]);
        assert_eq!(code, Some(78), "{configuration}: {said}");
        assert!(said.contains(message), "{configuration}:\n   is       {said}\n   expected {message}");
        assert!(!said.contains("s3cret"), "{said}");
        let output = ci_bridge().args(["serve", "-c"]).arg(file(&configuration).1).output().unwrap();
        assert_eq!(output.status.code(), Some(78));
    }
}

/// A home with one context, `c`.
fn context(text: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("nats/context")).unwrap();
    fs::write(home.path().join("nats/context/c.json"), text).unwrap();
    home
}

#[test]
fn a_context_fills_in_what_nobody_else_says() {
    let ours = Authority::new();
    ours.sign("bridge");
    let seed = write_seed(&ours);
    let context = context(&format!(
        r#"{{"description":"d","url":"nats://context:1","user":"u","password":"s3cret","ca":{:?},"tls_first":true,
           "inbox_prefix":"_IN","jetstream_domain":"hub","jetstream_api_prefix":"JS.x","color_scheme":"red",
           "nsc":"","socks_proxy":"","windows_cert_store":"","windows_ca_certs_match":null}}"#,
        ours.file("ca.pem")
    ));
    let home = context.path().to_str().unwrap();
    let own = ours.file("bridge.pem");
    let file_says = |text: String| format!("[nats]\ncontext = \"c\"\n{text}");
    let env = |name, value| (name, value);
    let (url, flag) = (env("NATS_URL", "nats://env:2"), env("CI_BRIDGE__NATS__SERVERS", "nats://ours:3"));
    let rows = [
        (String::new(), None, "nats.servers", "[\"nats://context:1\"]", "context c"),
        ("servers = [\"nats://file:4\"]\n".into(), None, "nats.servers", "[\"nats://file:4\"]", "secret"),
        (
            "servers = [\"nats://file:4\"]\n".into(),
            Some(url),
            "nats.servers",
            "[\"nats://env:2\"]",
            "NATS_URL",
        ),
        (String::new(), Some(url), "nats.servers", "[\"nats://env:2\"]", "NATS_URL"),
        (String::new(), Some(flag), "nats.servers", "[\"nats://ours:3\"]", "CI_BRIDGE__NATS__SERVERS"),
        (String::new(), None, "nats.user", "\"u\"", "context c"),
        (String::new(), None, "nats.password", "<secret>", "context c"),
        ("password = \"other\"\n".into(), None, "nats.user", "\"u\"", "context c"),
        ("password = \"other\"\n".into(), None, "nats.password", "<secret>", "secret"),
        (format!("nkey_file = {seed:?}\n"), None, "nats.user", "\"\"", "default"),
        (String::new(), Some(env("NATS_TOKEN", "t")), "nats.user", "\"\"", "default"),
        (String::new(), None, "nats.tls_first", "true", "context c"),
        (String::new(), None, "nats.inbox_prefix", "\"_IN\"", "context c"),
        ("inbox_prefix = \"_MY\"\n".into(), None, "nats.inbox_prefix", "\"_MY\"", "secret"),
        (format!("[nats.tls]\nca = {own:?}\n"), None, "nats.tls.ca", "bridge.pem", "secret"),
        (String::new(), None, "jetstream.domain", "\"hub\"", "context c"),
        (String::new(), None, "jetstream.api_prefix", "\"\"", "default"),
        ("[jetstream]\napi_prefix = \"JS.y\"\n".into(), None, "jetstream.domain", "\"\"", "default"),
    ];
    for (text, variable, key, value, source) in rows {
        let environment: Vec<_> = [env("XDG_CONFIG_HOME", home)].into_iter().chain(variable).collect();
        let (code, said) = check(&file_says(text.clone()), &[], &environment);
        assert_eq!(code, Some(0), "{text}: {said}");
        let line = said.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap();
        assert!(line.contains(value) && line.ends_with(source), "{text}: {line}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    let no_context = check("[nats]\nservers = []\n", &[], &[("XDG_CONFIG_HOME", home)]);
    assert_eq!(no_context.0, Some(78), "none is named: {}", no_context.1);
}

fn write_seed(folder: &Authority) -> PathBuf {
    let path = folder.file("seed");
    fs::write(&path, KeyPair::new_user().seed().unwrap()).unwrap();
    path
}

#[test]
fn servers_of_the_command_line_are_before_all_others() {
    let context = context(r#"{"url":"nats://context:1"}"#);
    let nats = nats();
    let (_folder, path) = file("[nats]\ncontext = \"c\"\n");
    let mut command = ci_bridge();
    command.args(["serve", "--nats", &nats.url(), "-c"]).arg(&path);
    command.env("XDG_CONFIG_HOME", context.path()).env("NATS_URL", "nats://127.0.0.1:1");
    let bridge = Served::spawn(command);
    eventually("ready", || (bridge.readiness().0 == 200).then_some(()));
}

#[test]
fn what_a_context_asks_and_the_bridge_cannot_do_is_refused_by_name() {
    let seed = KeyPair::new_user().seed().unwrap();
    let creds = Operator::new().creds(60);
    let jwt = creds.lines().nth(1).unwrap();
    let rows = [
        (r#"{"nsc":"nsc://o/a/u"}"#.to_owned(), "has \"nsc\", which the bridge cannot do: export the user"),
        (r#"{"socks_proxy":"socks5://s3cret@p:1"}"#.to_owned(), "has \"socks_proxy\""),
        (r#"{"windows_cert_store":"user"}"#.to_owned(), "has \"windows_cert_store\""),
        (r#"{"windows_ca_certs_match":["x"]}"#.to_owned(), "has \"windows_ca_certs_match\""),
        (r#"{"user":"u","password":"op://vault/s3cret"}"#.to_owned(), "fetches \"password\" from op:"),
        (r#"{"creds":"nsc://o/a/s3cret"}"#.to_owned(), "fetches \"creds\" from nsc:"),
        (r#"{"user_jwt":"s3cret"}"#.to_owned(), "nats.context: the user JWT of the context cannot be read"),
        (
            format!(r#"{{"user_jwt":"{jwt}","user_seed":"s3cret"}}"#),
            "the seed of the context is no NKey seed",
        ),
        (r#"{"url":"ws://h"}"#.to_owned(), "nats.servers: server 1 is a WebSocket address (ws://)"),
        (r#"{"creds":"~/x.creds"}"#.to_owned(), "cannot read /home/of/x.creds"),
        (r#"{"nkey":"${HOME}/x.nk"}"#.to_owned(), "cannot read /home/of/x.nk"),
        (format!(r#"{{"user_jwt":"{jwt}","user_seed":"{seed}"}}"#), ""),
        (format!(r#"{{"user_jwt":"{jwt}"}}"#), ""),
    ];
    for (text, message) in rows {
        let context = context(&text);
        let home = context.path().to_str().unwrap();
        let environment = [("XDG_CONFIG_HOME", home), ("NATS_CONTEXT", "c"), ("HOME", "/home/of")];
        let (code, said) = check("", &[], &environment);
        assert_eq!(code, Some(if message.is_empty() { 0 } else { 78 }), "{text}: {said}");
        assert!(said.contains(message) && !said.contains("s3cret"), "{text}: {said}");
    }
}

#[test]
fn the_user_jwt_of_a_context_lets_the_bridge_in() {
    let operator = Operator::new();
    let nats = LocalNats::start(&operator.server_config()).unwrap();
    let creds = operator.creds(3600);
    let lines: Vec<_> = creds.lines().collect();
    let (url, jwt, seed) = (nats.url(), lines[1], lines[5]);
    let context = context(&format!(r#"{{"url":"{url}","user_jwt":"{jwt}","user_seed":"{seed}"}}"#));
    let home = context.path().to_str().unwrap();
    let bridge = Served::start(&[("XDG_CONFIG_HOME", home), ("NATS_CONTEXT", "c")]);
    eventually("ready", || (bridge.readiness().0 == 200).then_some(()));
}
