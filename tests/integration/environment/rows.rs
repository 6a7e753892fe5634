//! Each key of the configuration with a value that is right and one that is wrong.

use crate::support::Authority;

/// What no message may repeat.
pub(super) const SECRET: &str = "s3cret";

/// A key, a value that is right and how `check` shows it, one that is wrong, and what is said then. Where any text is right,
/// nothing is wrong.
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) right: String,
    pub(super) shown: String,
    pub(super) wrong: Option<(String, &'static str)>,
    /// Other variables that the key needs, to make sense or to be looked at.
    pub(super) beside: Vec<(&'static str, String)>,
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
pub(super) fn all(files: &Authority) -> Vec<Row> {
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
        number("ingress.threads", "7"),
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
