//! The operator's files: what is accepted, what is refused, and what is said.

use std::fs;

use ci_bridge::config::{Config, Overrides, load};

use crate::support::{ci_bridge, repository, run};

fn check(configuration: &str, environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    fs::write(&file, configuration).unwrap();
    let output =
        ci_bridge().args(["check", "-c"]).arg(&file).envs(environment.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&*file.to_string_lossy(), "bridge.toml");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_reference_configuration_is_the_defaults() {
    let loaded = load(Some(&repository("config/ci-bridge.toml")), &Overrides::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    // And it names every key: what a default has, the file has.
    let text = fs::read_to_string(repository("config/ci-bridge.toml")).unwrap();
    let defaults = serde_json::to_value(Config::default()).unwrap();
    let mut missing = Vec::new();
    walk(&defaults, &mut |key| {
        if !text.lines().any(|line| line.starts_with(&format!("{key} ="))) && key != "rules" {
            missing.push(key.to_owned());
        }
    });
    assert_eq!(missing, Vec::<String>::new());
}

fn walk(value: &serde_json::Value, on_key: &mut impl FnMut(&str)) {
    match value {
        serde_json::Value::Object(members) => members.iter().for_each(|(key, value)| {
            let holds_keys = value.is_object()
                || value.as_array().is_some_and(|items| items.iter().any(serde_json::Value::is_object));
            if !holds_keys {
                on_key(key);
            }
            walk(value, on_key);
        }),
        serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, on_key)),
        _ => {}
    }
}

#[test]
fn shipped_configurations_are_valid_but_for_their_secrets() {
    for file in ["config/minimal.toml", "deploy/ci-bridge.toml"] {
        let text = fs::read_to_string(repository(file)).unwrap();
        let secrets = tempfile::NamedTempFile::new().unwrap();
        fs::write(secrets.path(), "s3cret\n").unwrap();
        let line = text.lines().find(|line| line.starts_with("tokens_file")).unwrap();
        let text = text.replace(line, &format!("tokens_file = {:?}", secrets.path()));
        let (code, _, stderr) = check(&text, &[]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{file}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_a_way_out() {
    let rows = [
        ("[ingress]\nlisen = \"x\"", "bridge.toml: unknown key ingress.lisen: did you mean ingress.listen?"),
        ("[ingres]", "bridge.toml: unknown key ingres: did you mean ingress?"),
        ("[nats]\nfrobnicate = 1", "unknown key nats.frobnicate: valid keys here are servers, "),
        ("[[ingress.endpoints]]\ntokns = [\"s3cret\"]", "did you mean ingress.endpoints.0.tokens?"),
        (
            "[ingress]\nmax_body = \"lots\"",
            "ingress.max_body: \"lots\" is no size: write a number and a unit",
        ),
        ("[ingress]\ndeadline = \"3\"", "ingress.deadline: \"3\" is no duration"),
        (
            "[ingress]\nlisten = \"0.0.0.0:8080\"",
            "anybody who reaches 0.0.0.0:8080 could publish: set tokens",
        ),
        ("[subjects]\ntask = \"ci.{tga}\"", "subjects.task: unknown placeholder {tga}: use tag, state, "),
        ("[subjects]\ntask = \"$JS.{tag}\"", "which NATS keeps for itself"),
        ("[[rules]]\nmatch = { tag = \"A\" }", "rules.0: a rule needs a subject"),
        (
            "[[rules]]\nmatch = { kind = \"tsk\" }\ndrop = true",
            "is no kind: use task, workflow or moderation",
        ),
        ("[nats]\nuser = \"u\"\ntoken = \"s3cret\"", "are set at once: choose one way to authenticate"),
        ("[nats]\nack_timeout = \"3s\"", "nats.ack_timeout: must leave 250ms of ingress.deadline"),
        (
            "[jetstream]\nmax_age = \"1h\"",
            "jetstream.duplicate_window: must not be longer than jetstream.max_age",
        ),
        ("[ingress]\nmax_in_flight = \"many\"", "ingress.max_in_flight: expected a whole number"),
        ("[log]\nlevel = \"chatty\"", "log.level: \"chatty\" is no level: use error, warn"),
        ("[nats]\nservers = [\"foo bar\"]", "nats.servers: server 1 is not a NATS URL"),
        ("[nats]\ncreds_file = \"/nowhere/x.creds\"", "nats.creds_file: cannot read /nowhere/x.creds"),
        (
            "[ingress]\nmax_bytes_in_flight = \"1KiB\"",
            "ingress.max_bytes_in_flight: must hold at least one body",
        ),
        ("[ingress]\nmax_streams = 0", "ingress.max_streams: must be at least 1"),
        ("[ingress]\nhandshake_timeout = \"0s\"", "ingress.handshake_timeout: must be more than 0"),
        ("delivery = \"maybe\"", "delivery: write one of jetstream, core"),
        ("[nats]\ntoken = \"s3cret", "line 2"),
        ("[nats]\npassword = [\"s3cret\"]", "nats.password"),
        ("[[ingress.endpoints]]\ntokens_file = \"/nowhere/tokens\"", "cannot read /nowhere/tokens"),
        ("[admin]\ntoken_file = \"/nowhere/token\"", "admin.token_file: cannot read /nowhere/token"),
        (
            "[admin]\nhosts = [\"https://x:1\"]",
            "admin.hosts: \"https://x:1\" is no host name: write it without scheme",
        ),
    ];
    for (configuration, message) in rows {
        let (code, stdout, stderr) = check(configuration, &[]);
        assert_eq!(code, Some(78), "{configuration}: {stdout}");
        assert!(stderr.contains(message), "{configuration}:\n   is       {stderr}\n   expected {message}");
        assert!(!stderr.contains("s3cret"), "{configuration}: {stderr}");
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let output = run(&["check", "-c", "/nowhere/bridge.toml"], b"");
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/bridge.toml"));
}

#[test]
fn check_says_where_each_value_came_from_and_no_secret() {
    let configuration = "[nats]\nservers = [\"nats://file:1\"]\ntoken = \"s3cret\"\n[ingress]\nmax_jobs = 7\n\
        [[ingress.endpoints]]\ntokens = [\"s3cret\"]\n";
    let environment = [
        ("NATS_URL", "nats://u:s3cret@env:1,nats://other:2"),
        ("CI_BRIDGE__INGRESS__MAX_DEPTH", "9"),
        ("CI_BRIDGE__JETSTREAM__SUBJECTS", "ci.>,more.>"),
        ("CI_BRIDGE_SERVICE_PORT", "tcp://10.0.0.1:8080"),
    ];
    let (code, stdout, stderr) = check(configuration, &environment);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let rows = [
        ("ingress.max_jobs", "7", "bridge.toml"),
        ("ingress.max_depth", "9", "environment variable CI_BRIDGE__INGRESS__MAX_DEPTH"),
        ("ingress.max_nodes", "1000000", "default"),
        ("nats.servers", "[\"nats://<secret>@env:1\", \"nats://other:2\"]", "environment variable NATS_URL"),
        ("nats.token", "<secret>", "bridge.toml"),
        ("ingress.endpoints.0.tokens", "<secret>", "bridge.toml"),
        (
            "jetstream.subjects",
            "[\"ci.>\", \"more.>\"]",
            "environment variable CI_BRIDGE__JETSTREAM__SUBJECTS",
        ),
    ];
    for (key, value, source) in rows {
        let line = stdout
            .lines()
            .find(|line| line.starts_with(&format!("{key} ")))
            .unwrap_or_else(|| panic!("{key}: {stdout}"));
        assert!(line.contains(&format!("= {value} ")) && line.ends_with(&format!("# {source}")), "{line}");
    }
    assert!(!stdout.contains("s3cret"), "{stdout}");
}

#[test]
fn check_says_when_the_largest_body_could_never_be_read() {
    let limits =
        |limits: &str| check(&format!("[ingress]\n{limits}\n[[ingress.endpoints]]\ntokens = [\"t\"]\n"), &[]);
    let (code, stdout, _) = limits("max_bytes_in_flight = \"64MiB\"");
    assert_eq!(code, Some(0), "smaller ones can: {stdout}");
    let line = stdout.lines().find(|line| line.starts_with("?      memory: ")).expect(&stdout);
    for words in ["32.0 MiB", "191.4 MiB", "64.0 MiB", "ingress.max_bytes_in_flight", "ingress.max_nodes"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    for fits in ["", "max_bytes_in_flight = \"64MiB\"\nmax_body = \"16MiB\"\nmax_nodes = 150000"] {
        let (_, stdout, _) = limits(fits);
        assert!(!stdout.contains("memory: "), "{stdout}");
    }
}

#[test]
fn text_from_the_environment_keeps_its_spelling() {
    let (code, _, stderr) =
        check("", &[("CI_BRIDGE__NATS__USER", "007"), ("CI_BRIDGE__NATS__PASSWORD", "007")]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let (code, _, stderr) = check("", &[("CI_BRIDGE__INGRESS__MAX_JOB", "5")]);
    assert_eq!(code, Some(78));
    assert!(stderr.contains("environment variable CI_BRIDGE__INGRESS__MAX_JOB: unknown key ingress.max_job: did you mean ingress.max_jobs?"), "{stderr}");
}

#[test]
fn contexts_of_the_nats_cli_are_read() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("nats/context");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("prod.json"),
        "{\"url\":\"nats://prod:4222\",\"user\":\"u\",\"password\":\"s3cret\"}",
    )
    .unwrap();
    fs::write(folder.join("broken.json"), "{\"url\": s3cret}").unwrap();
    let home = home.path().to_str().unwrap();
    for (context, code, message) in [
        ("prod", Some(0), ""),
        ("broken", Some(78), "not a context of the nats CLI"),
        ("none", Some(78), "cannot read"),
        ("../prod", Some(78), "is a path"),
    ] {
        let (have, stdout, stderr) = check("", &[("XDG_CONFIG_HOME", home), ("NATS_CONTEXT", context)]);
        assert_eq!(have, code, "{context}: {stdout}{stderr}");
        assert!(stderr.contains(message) && !stderr.contains("s3cret"), "{context}: {stderr}");
    }
}

#[test]
fn every_mistake_is_said_at_once() {
    let text = "delivery = \"maybe\"\n\
                [ingress]\nlisten = 8080\nmax_body = \"lots\"\nlisen = 1\n\
                [[ingress.endpoints]]\npath = 3\n\
                [nats]\nfrobnicate = 1\npassword = [\"s3cret\"]\n\
                [subjects]\ntask = \"ci.{tga}\"\n";
    let (code, stdout, stderr) = check(text, &[("CI_BRIDGE__SPOOL__MAX_BYTES", "much")]);
    assert_eq!((code, stdout.as_str()), (Some(78), ""), "{stderr}");
    let expected = [
        "configuration cannot be used",
        "delivery: write one of",
        "ingress.listen: ",
        "ingress.max_body: \"lots\" is no size",
        "unknown key ingress.lisen",
        "ingress.endpoints.0.path",
        "unknown key nats.frobnicate",
        "nats.password",
        "spool.max_bytes",
        "subjects.task: unknown placeholder {tga}",
    ];
    for said in expected {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    assert_eq!(stderr.lines().count(), expected.len(), "each once: {stderr}");
    assert!(
        stderr.starts_with("ci-bridge: configuration cannot be used: bridge.toml: 9 mistakes"),
        "{stderr}"
    );
    assert!(!stderr.contains("s3cret"), "{stderr}");
    // Each says where it was written.
    assert!(stderr.contains("environment variable CI_BRIDGE__SPOOL__MAX_BYTES"), "{stderr}");
}

#[test]
fn what_is_in_effect_is_shown_by_section_whole_or_in_part_or_for_machines() {
    let text = "[ingress]\nmax_body = \"1MiB\"\n[[ingress.endpoints]]\ntokens = [\"s3cret\"]\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    fs::write(&file, text).unwrap();
    let check = |arguments: &[&str]| {
        let mut check = ci_bridge();
        let output =
            check.arg("check").args(arguments).arg("-c").arg(&file).current_dir(&folder).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
        String::from_utf8(output.stdout).unwrap()
    };
    let all = check(&[]);
    assert!(all.starts_with("configuration is valid: "), "the verdict first: {all}");
    assert!(
        all.lines().any(|line| line.starts_with("ok     spool: ") && line.ends_with("at the first start")),
        "{all}"
    );
    assert!(all.contains("\n\nadmin.") && all.lines().count() > 100, "{all}");
    assert!(!folder.path().join("spool").exists(), "nothing is made");
    let changed = check(&["--changed"]);
    let rows: Vec<_> = changed
        .lines()
        .filter(|line| line.contains(" = "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(rows, ["ingress.max_body", "ingress.endpoints.0.tokens"], "{changed}");
    let json: serde_json::Value = serde_json::from_str(&check(&["--json", "--changed"])).unwrap();
    assert_eq!((&json["valid"], &json["mistakes"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(json["checks"][0]["verdict"], "ok");
    let setting =
        json["settings"].as_array().unwrap().iter().find(|row| row["key"] == "ingress.endpoints.0.tokens");
    assert_eq!(setting.unwrap()["value"], "<secret>");
}
