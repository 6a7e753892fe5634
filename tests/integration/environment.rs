//! Every key from the environment: what is right is in effect, and what is wrong is said with the variable and a way out.

mod rows;

use std::collections::BTreeSet;
use std::process::Output;

use ci_bridge::config::Config;
use serde_json::Value;

use crate::support::{Authority, ci_bridge};
use rows::SECRET;

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
    let rows = rows::all(&files);
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
