//! Every key from the environment: what is right is in effect, and what is wrong is said with the variable and a way out.

use std::collections::BTreeSet;
use std::process::Output;

use ci_bridge::config::Config;
use serde_json::Value;

use crate::support::{Authority, ci_bridge};

/// What no message may repeat.
const SECRET: &str = "s3cret";

/// A key, a value that is right and how `check` shows it, one that is wrong, and what is said then. Where any text is right,
/// nothing is wrong.
struct Row {
    key: &'static str,
    right: String,
    shown: String,
    wrong: Option<(String, &'static str)>,
    /// Other variables that the key needs, to make sense or to be looked at.
    beside: Vec<(&'static str, String)>,
}

fn row(key: &'static str, right: &str, shown: &str, wrong: &str, said: &'static str) -> Row {
    let wrong = (!said.is_empty()).then(|| (wrong.to_owned(), said));
    Row { key, right: right.to_owned(), shown: shown.to_owned(), wrong, beside: Vec::new() }
}

/// Shown as a text, in quotes.
fn text(key: &'static str, right: &str, wrong: &str, said: &'static str) -> Row {
    row(key, right, &format!("{right:?}"), wrong, said)
}

fn free(key: &'static str, right: &str) -> Row {
    text(key, right, "", "")
}

fn duration(key: &'static str, right: &str) -> Row {
    text(key, right, "5", "is no duration: write a number and a unit, such as \"5s\"")
}

fn size(key: &'static str, right: &str) -> Row {
    text(key, right, "lots", "is no size: write a number and a unit, such as \"1MiB\"")
}

fn number(key: &'static str, right: &str) -> Row {
    row(key, right, right, "many", "expected a whole number")
}

fn flag(key: &'static str, right: &str) -> Row {
    row(key, right, right, "maybe", "expected true or false")
}

fn secret(key: &'static str, wrong: &str, said: &'static str) -> Row {
    row(key, SECRET, "<secret>", wrong, said)
}

fn file(key: &'static str, right: &str) -> Row {
    text(key, right, "/nowhere/file", "cannot read /nowhere/file: No such file or directory")
}

impl Row {
    fn beside(mut self, key: &'static str, value: &str) -> Self {
        self.beside.push((key, value.to_owned()));
        self
    }
}

#[allow(clippy::too_many_lines, reason = "a row a key")]
fn rows(files: &Authority) -> Vec<Row> {
    files.sign("of-a-test");
    let path = |name: &str| files.file(name).display().to_string();
    let (cert, key, ca) = (path("of-a-test.pem"), path("of-a-test.key"), path("ca.pem"));
    let written = |name: &str, text: &str| {
        std::fs::write(files.file(name), text).unwrap();
        path(name)
    };
    let token = written("token", SECRET);
    let pair = nkeys::KeyPair::new_user();
    let seed = pair.seed().unwrap();
    let nkey = written("nkey", &seed);
    let jwt = "e30.eyJuYXRzIjp7fX0.e30";
    let creds = written(
        "creds",
        &format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ),
    );
    let keys = written("keys", "secret_id = \"AKIDx\"\nsecret_key = \"s3cret\"\n");
    let subject = "holds ' ', which a subject to publish to cannot";
    let stream = "name it otherwise: a stream's name is not empty";
    let exported = |row: Row| row.beside("telemetry.otlp_endpoint", "http://127.0.0.1:4318");
    vec![
        text("delivery", "core", "maybe", "write one of jetstream, core"),
        text(
            "ingress.listen",
            "127.0.0.1:81",
            "8080",
            "write an IP address and a port, such as \"127.0.0.1:8080\"",
        ),
        size("ingress.max_body", "2MiB"),
        duration("ingress.body_timeout", "6s"),
        duration("ingress.deadline", "4s"),
        duration("ingress.handshake_timeout", "6s"),
        duration("ingress.header_timeout", "6s"),
        duration("ingress.shutdown_delay", "6s"),
        duration("ingress.drain_timeout", "6s"),
        number("ingress.max_connections", "7"),
        number("ingress.max_in_flight", "7"),
        size("ingress.max_bytes_in_flight", "1GiB"),
        number("ingress.max_streams", "7"),
        number("ingress.max_headers", "7"),
        size("ingress.max_header_bytes", "8KiB"),
        number("ingress.max_depth", "7"),
        number("ingress.max_nodes", "7"),
        number("ingress.max_jobs", "7"),
        size("ingress.max_name_bytes", "2KiB"),
        flag("ingress.allow_unauthenticated", "true"),
        file("ingress.tls.cert", &cert).beside("ingress.tls.key", &key),
        file("ingress.tls.key", &key).beside("ingress.tls.cert", &cert),
        file("ingress.tls.client_ca", &ca).beside("ingress.tls.cert", &cert).beside("ingress.tls.key", &key),
        free("ingress.endpoints.0.name", "tenant 1"),
        text("ingress.endpoints.0.path", "/x", "x", "a path starts with '/'"),
        secret("ingress.endpoints.0.tokens", "[\"\"]", "an empty token would let everybody in"),
        file("ingress.endpoints.0.tokens_file", &token),
        row(
            "ingress.endpoints.0.allow_from",
            "10.0.0.0/8, ::1/128",
            "[\"10.0.0.0/8\", \"::1/128\"]",
            "10.0.0.1",
            "\"10.0.0.1\" is no range of addresses: write one with its length, such as \"10.0.0.0/8\"",
        ),
        number("ingress.endpoints.0.trusted_proxies", "2"),
        row("ingress.endpoints.0.allow_buckets", "a-1,b-*", "[\"a-1\", \"b-*\"]", "", ""),
        flag("ingress.endpoints.0.allow_unauthenticated", "true"),
        text("ingress.endpoints.0.verify", "all", "some", "write one of off, all")
            .beside("tencent.credentials_file", &keys)
            .beside("reconcile.buckets", "media-1250000000@ap-beijing"),
        text("ingress.endpoints.0.verify_on_error", "publish", "ignore", "write one of refuse, publish"),
        text("ingress.endpoints.0.subjects.task", "ci.own.{tag}", "a b", subject),
        text("ingress.endpoints.0.subjects.workflow", "ci.own.{state}", "a b", subject),
        text("ingress.endpoints.0.subjects.moderation", "ci.own.{event}", "a b", subject),
        text("ingress.endpoints.0.subjects.quarantine", "ci-quarantine.own.{reason}", "a b", subject),
        text("admin.listen", "127.0.0.1:91", "localhost", "write an IP address and a port"),
        flag("admin.page", "false"),
        row(
            "admin.hosts",
            "a.example,b.example",
            "[\"a.example\", \"b.example\"]",
            "http://a",
            "is no host name",
        ),
        file("admin.token_file", &token),
        row(
            "nats.servers",
            "nats://u:s3cret@a:1,b:2",
            "[\"nats://<secret>@a:1\", \"b:2\"]",
            "a b s3cret",
            "server 1 is not a NATS URL, such as nats://127.0.0.1:4222",
        ),
        free("nats.name", "007"),
        duration("nats.ack_timeout", "2s"),
        free("nats.user", "007"),
        secret("nats.password", SECRET, "needs nats.user beside it").beside("nats.user", "u"),
        file("nats.password_file", &token).beside("nats.user", "u"),
        secret("nats.token", "", ""),
        file("nats.token_file", &token),
        file("nats.creds_file", &creds),
        file("nats.nkey_file", &nkey),
        free("nats.context", ""),
        text("nats.inbox_prefix", "_INBOX_ci", "a b", "cannot begin a subject: write words and dots between"),
        flag("nats.micro", "false"),
        flag("nats.tls_first", "true"),
        file("nats.tls.ca", &ca),
        file("nats.tls.cert", &cert).beside("nats.tls.key", &key),
        file("nats.tls.key", &key).beside("nats.tls.cert", &cert),
        text("jetstream.stream", "OTHER", "a.b", stream),
        text("jetstream.provision", "require", "change", "write one of create, require, none"),
        row(
            "jetstream.subjects",
            "ci.>,more.*",
            "[\"ci.>\", \"more.*\"]",
            "a b",
            "is no pattern of subjects",
        ),
        text("jetstream.storage", "memory", "tape", "write one of file, memory"),
        number("jetstream.replicas", "3"),
        text("jetstream.duplicate_window", "1h", "8days", "must not be longer than jetstream.max_age"),
        duration("jetstream.max_age", "1day"),
        size("jetstream.max_bytes", "1GiB"),
        text("jetstream.domain", "hub", "a.b", "must be one word, without dots"),
        text("jetstream.api_prefix", "JS.acme", "a b", "must be words and dots between, such as \"JS.acme\""),
        text("jetstream.expect_stream", "never", "often", "write one of auto, always, never"),
        text("jetstream.quarantine.stream", "Q", "a.b", stream),
        row("jetstream.quarantine.subjects", "q.>", "[\"q.>\"]", "q..x", "is no pattern of subjects"),
        size("jetstream.quarantine.max_bytes", "1MiB"),
        duration("jetstream.quarantine.max_age", "1day"),
        text("jetstream.large.bucket", "B", "a.b", stream),
        size("jetstream.large.max_bytes", "1GiB"),
        duration("jetstream.large.max_age", "1day"),
        text("subjects.task", "ci.{tag}", "a b", subject),
        text("subjects.workflow", "ci.{state}", "a b", subject),
        text("subjects.moderation", "ci.{event}", "a b", subject),
        text("subjects.quarantine", "ci-quarantine.{endpoint}", "a b", subject),
        text(
            "messages.format",
            "cloudevents-structured",
            "xml",
            "write one of cloudevents-binary, cloudevents-structured",
        ),
        text("messages.oversize", "refuse", "drop", "write one of object, refuse"),
        flag("spool.enabled", "false"),
        free("spool.dir", "./elsewhere"),
        size("spool.max_bytes", "64MiB"),
        text("jobs.bucket", "CI_JOBS", "a.b", "must be letters, digits, '_' and '-'"),
        size("jobs.max_bytes", "1MiB"),
        duration("jobs.max_age", "1day"),
        text("jobs.await_prefix", "wait", "a b", "jobs.await_prefix: ").beside("jobs.bucket", "CI_JOBS"),
        number("jobs.max_waiting", "7"),
        duration("jobs.max_wait", "1day"),
        file("tencent.credentials_file", &keys),
        text(
            "tencent.endpoint",
            "https://ci.example",
            "ftp://x",
            "is no endpoint: write https:// and a host",
        ),
        number("tencent.requests_per_second", "7"),
        duration("tencent.timeout", "6s"),
        duration("reconcile.every", "0s"),
        duration("reconcile.since", "5h"),
        duration("reconcile.grace", "5m"),
        row(
            "reconcile.buckets",
            "media-1250000000@ap-beijing",
            "[\"media-1250000000@ap-beijing\"]",
            "media",
            "names no bucket: write its name with the APPID, and its region",
        )
        .beside("tencent.credentials_file", &keys),
        row("reconcile.tags", "Transcode, Snapshot", "[\"Transcode\", \"Snapshot\"]", "", ""),
        row("reconcile.queues", "p1", "[\"p1\"]", "", ""),
        text("reconcile.lease_bucket", "L", "a.b", "a bucket's name holds letters, digits, '-' and '_' only"),
        text("log.format", "json", "xml", "write one of text, json"),
        text("log.level", "debug", "chatty", "is no level: use error, warn, info, debug or trace"),
        text(
            "telemetry.otlp_endpoint",
            "http://c:4318",
            "c:4318/s3cret",
            "is no URL of a collector: write one such as",
        ),
        text(
            "telemetry.otlp_traces_endpoint",
            "http://c:1/x",
            "http://u:s3cret@c:1",
            "put what the collector asks for into",
        ),
        exported(text(
            "telemetry.otlp_protocol",
            "http/protobuf",
            "grpc",
            "only \"http/protobuf\" is spoken",
        )),
        row(
            "telemetry.otlp_headers",
            "k=s3cret",
            "<secret>",
            "s3cret",
            "entry 1 is no header: write \"name=value,name2=value2\"",
        ),
        exported(file("telemetry.otlp_certificate", &ca)),
        duration("telemetry.otlp_timeout", "6s"),
        text("telemetry.service_name", "mine", " ", "name the service"),
        text(
            "telemetry.resource_attributes",
            "a=b,c=d",
            "a",
            "entry 1 is no attribute: write \"key=value,key2=value2\"",
        ),
        text(
            "telemetry.sampler",
            "always_off",
            "sometimes",
            "write one of always_on, always_off, traceidratio",
        ),
        text("telemetry.sampler_arg", "0.5", "2", "a number from 0 to 1")
            .beside("telemetry.sampler", "traceidratio"),
        text("telemetry.exporter", "none", "console", "write one of otlp, none"),
        flag("telemetry.disabled", "true"),
        text("rules.0.subject", "ci.x", "a b", subject),
        text("rules.0.stream", "OTHER", "", "").beside("rules.0.subject", "ci.x"),
        flag("rules.0.copy", "true").beside("rules.0.subject", "ci.x"),
        flag("rules.0.drop", "true"),
        row(
            "rules.0.match.kind",
            "task",
            "[\"task\"]",
            "tsk",
            "\"tsk\" is no kind: use task, workflow or moderation",
        )
        .beside("rules.0.drop", "true"),
        row("rules.0.match.tag", "A,B", "[\"A\", \"B\"]", "", "").beside("rules.0.drop", "true"),
    ]
}

fn variable(key: &str) -> String {
    format!("CI_BRIDGE__{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn check(arguments: &[&str], environment: &[(String, String)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut check = ci_bridge();
    check.arg("check").args(arguments).envs(environment.iter().cloned()).current_dir(&folder);
    check.output().unwrap()
}

/// Every key that a default configuration has.
fn keys(value: &Value, above: &str, found: &mut BTreeSet<String>) {
    let join = |name: &str| if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| keys(value, &join(name), found)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(at, item)| keys(item, &join(&at.to_string()), found));
        }
        Value::Array(items) if items.is_empty() && above == "rules" => {}
        _ => {
            found.insert(above.to_owned());
        }
    }
}

#[test]
fn every_key_can_be_set_and_what_is_wrong_is_said_with_its_variable() {
    let files = Authority::new();
    let rows = rows(&files);
    let mut missing = BTreeSet::new();
    keys(&serde_json::to_value(Config::default()).unwrap(), "", &mut missing);
    assert!(missing.len() > 100, "{}", missing.len());
    rows.iter().for_each(|row| {
        missing.remove(row.key);
    });
    assert!(missing.is_empty(), "keys without a row: {missing:?}");
    // Without it, an endpoint is a mistake: nothing would come of it.
    let has_traces = cfg!(feature = "otlp");
    for row in rows.into_iter().filter(|row| has_traces || !row.key.starts_with("telemetry.otlp_")) {
        let name = variable(row.key);
        let beside = || row.beside.iter().map(|(key, value)| (variable(key), value.clone()));
        let environment: Vec<_> = beside().chain([(name.clone(), row.right.clone())]).collect();
        let output = check(&["--json"], &environment);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{name}={}", row.right);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let settings = report["settings"].as_array().unwrap();
        let setting = settings
            .iter()
            .find(|setting| setting["key"] == row.key)
            .unwrap_or_else(|| panic!("{}", row.key));
        let source = format!("environment variable {name}");
        // Empty is as it was.
        if !row.right.is_empty() {
            assert_eq!(
                (&setting["value"], &setting["source"]),
                (&row.shown.into(), &source.into()),
                "{name}"
            );
        }
        if let Some((wrong, expected)) = row.wrong {
            // What only makes a key be looked at stays, but nothing that would make it right.
            let beside = beside()
                .filter(|(other, _)| !expected.starts_with("needs ") || *other != variable("nats.user"));
            let environment: Vec<_> = beside.chain([(name.clone(), wrong.clone())]).collect();
            let output = check(&[], &environment);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{name}={wrong}: {said}");
            let line = said.lines().find(|line| line.contains(expected));
            let line = line.unwrap_or_else(|| panic!("{name}={wrong}:\n{said}\nexpected {expected}"));
            assert!(line.contains(&name) && line.contains(row.key), "{line}");
            assert_eq!(said.lines().count(), 2, "the verdict and one mistake: {said}");
            assert!(!said.contains(SECRET), "{said}");
        }
    }
}

#[test]
fn entries_of_lists_are_set_one_by_one_over_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bridge.toml");
    std::fs::write(
        &file,
        "[[ingress.endpoints]]\nname = \"a\"\npath = \"/a\"\ntokens = [\"s3cret\"]\n[[rules]]\ndrop = true\nmatch = { tag = \"A\" }\n",
    )
    .unwrap();
    let environment = [
        ("CI_BRIDGE__INGRESS__ENDPOINTS__0__PATH", "/from-the-environment"),
        ("CI_BRIDGE__INGRESS__ENDPOINTS__1__NAME", "b"),
        ("CI_BRIDGE__INGRESS__ENDPOINTS__1__PATH", "/b"),
        ("CI_BRIDGE__INGRESS__ENDPOINTS__1__SUBJECTS__TASK", "ci.b.{tag}"),
        ("CI_BRIDGE__RULES__1__SUBJECT", "ci.more.{tag}"),
        ("CI_BRIDGE__RULES__1__COPY", "TRUE"),
        ("CI_BRIDGE__RULES__1__MATCH__TAG", "B, C"),
        ("CI_BRIDGE__NATS__SERVERS__1", "nats://u:s3cret@other:4222"),
    ];
    let output =
        ci_bridge().args(["check", "--changed", "-c"]).arg(&file).envs(environment).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
    let path = file.display().to_string();
    let rows = [
        ("ingress.endpoints.0.name", "\"a\"", path.as_str()),
        ("ingress.endpoints.0.path", "\"/from-the-environment\"", "CI_BRIDGE__INGRESS__ENDPOINTS__0__PATH"),
        ("ingress.endpoints.0.tokens", "<secret>", &path),
        ("ingress.endpoints.1.name", "\"b\"", "CI_BRIDGE__INGRESS__ENDPOINTS__1__NAME"),
        (
            "ingress.endpoints.1.subjects.task",
            "\"ci.b.{tag}\"",
            "CI_BRIDGE__INGRESS__ENDPOINTS__1__SUBJECTS__TASK",
        ),
        ("rules.0.drop", "true", &path),
        ("rules.1.copy", "true", "CI_BRIDGE__RULES__1__COPY"),
        ("rules.1.match.tag", "[\"B\", \"C\"]", "CI_BRIDGE__RULES__1__MATCH__TAG"),
        ("nats.servers", "[\"nats://127.0.0.1:4222\", \"nats://<secret>@other:4222\"]", ""),
    ];
    for (key, value, source) in rows {
        let line = stdout.lines().find(|line| line.starts_with(&format!("{key} ")));
        let line = line.unwrap_or_else(|| panic!("{key}: {stdout}"));
        assert!(line.contains(&format!("= {value} ")) && line.ends_with(source), "{line}");
    }
}

#[test]
fn what_is_wrong_with_a_variable_of_a_list_is_said() {
    let rows = [
        (
            "CI_BRIDGE__RULES__2__DROP",
            "true",
            "rules.2.drop: entries are numbered from 0 without a gap: the next one is 0",
        ),
        ("CI_BRIDGE__RULES__0__SUBJCT", "ci.x", "unknown key rules.0.subjct: did you mean rules.0.subject?"),
        ("CI_BRIDGE__INGRESS__ENDPOINTS__0__TOKNS", SECRET, "did you mean ingress.endpoints.0.tokens?"),
        ("CI_BRIDGE__NATS__SERVERS__0__X", "y", "nats.servers"),
        ("CI_BRIDGE__NATS__0", "y", "unknown key nats.0"),
    ];
    for (name, value, expected) in rows {
        let output = check(&[], &[(name.to_owned(), value.to_owned())]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{name}: {said}");
        assert!(said.contains(expected) && said.contains(name) && !said.contains(SECRET), "{name}: {said}");
    }
}

#[test]
fn more_than_ten_entries_keep_their_order() {
    let environment: Vec<_> = (0..12)
        .flat_map(|at| {
            [("SUBJECT", format!("ci.{at}")), ("MATCH__TAG", format!("T{at}"))]
                .map(|(key, value)| (at, key, value))
        })
        .map(|(at, key, value)| (format!("CI_BRIDGE__RULES__{at}__{key}"), value))
        .collect();
    let output = check(&["--json"], &environment);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = report["settings"].as_array().unwrap();
    for at in 0..12 {
        let subject =
            settings.iter().find(|setting| setting["key"] == format!("rules.{at}.subject")).unwrap();
        assert_eq!(subject["value"], format!("\"ci.{at}\""));
    }
}

#[test]
fn a_variable_that_is_no_text_is_said_and_one_of_others_is_left_alone() {
    use std::os::unix::ffi::OsStrExt;
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let output = ci_bridge().arg("check").env("CI_BRIDGE__NATS__USER", bytes).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("environment variable CI_BRIDGE__NATS__USER: nats.user: is no text in UTF-8"),
        "{said}"
    );
    let output = ci_bridge().arg("check").env("OTHER", bytes).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[cfg(feature = "otlp")]
#[test]
fn the_variables_of_opentelemetry_are_read_and_ours_go_before_them() {
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/own"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_SERVICE_NAME", "of-otel"),
        ("CI_BRIDGE__TELEMETRY__SERVICE_NAME", "ours"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_TRACES_EXPORTER", ""),
        ("OTEL_SDK_DISABLED", "False"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let output = check(&["--changed"], &environment);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{stdout}");
    let rows = [
        ("telemetry.otlp_endpoint", "\"http://all:4318\"", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (
            "telemetry.otlp_traces_endpoint",
            "\"http://traces:4318/own\"",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ),
        ("telemetry.otlp_headers", "<secret>", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("telemetry.otlp_timeout", "\"2s 500ms\"", "OTEL_EXPORTER_OTLP_TIMEOUT"),
        ("telemetry.service_name", "\"ours\"", "CI_BRIDGE__TELEMETRY__SERVICE_NAME"),
        ("telemetry.resource_attributes", "\"a=b\"", "OTEL_RESOURCE_ATTRIBUTES"),
        ("telemetry.sampler", "\"parentbased_traceidratio\"", "OTEL_TRACES_SAMPLER"),
        ("telemetry.sampler_arg", "\"0.25\"", "OTEL_TRACES_SAMPLER_ARG"),
    ];
    for (key, value, source) in rows {
        let line = stdout.lines().find(|line| line.starts_with(&format!("{key} ")));
        let line = line.unwrap_or_else(|| panic!("{key}: {stdout}"));
        assert!(line.contains(&format!("= {value} ")) && line.ends_with(source), "{line}");
    }
    let wrong = check(&[], &[("OTEL_TRACES_SAMPLER".to_owned(), "jaeger_remote".to_owned())]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(
        said.contains("environment variable OTEL_TRACES_SAMPLER: telemetry.sampler: write one of"),
        "{said}"
    );
}
