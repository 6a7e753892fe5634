//! Alert rules and dashboard: what they ask for is there, and where they lead to as well.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::stream::{Config, StorageType};
use serde_json::{Value, json};

use crate::support::{Authority, Bridge, Connection, Streams, eventually, nats, repository, signal, task};

/// Labels that Prometheus adds, or that belong to every histogram.
const GIVEN: [&str; 3] = ["instance", "job", "le"];

type Series = BTreeMap<String, BTreeSet<String>>;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

fn rules() -> String {
    read("deploy/helm/ci-bridge/files/ci-bridge.rules.yaml")
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/helm/ci-bridge/files/ci-bridge.dashboard.json")).unwrap()
}

/// Every expression, with what stands in the legend of its panel.
fn expressions() -> Vec<(String, String)> {
    let rules = rules();
    let of_rules = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let mut found: Vec<_> = of_rules.map(|expr| (expr.to_owned(), String::new())).collect();
    assert!(found.len() >= 18, "{}", found.len());
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets: Vec<_> = panels.filter_map(|panel| panel["targets"].as_array()).flatten().collect();
    assert!(targets.len() >= 40, "{}", targets.len());
    let text = |target: &Value, name: &str| target[name].as_str().unwrap().to_owned();
    found.extend(targets.iter().map(|target| (text(target, "expr"), text(target, "legendFormat"))));
    found
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The series that an expression asks for, each with the labels that it selects by.
fn asked(expr: &str) -> Vec<(String, Vec<String>)> {
    let begins = |at: usize| !expr[..at].ends_with(is_name);
    let places = ["ci_bridge_", "process_"].into_iter().flat_map(|prefix| expr.match_indices(prefix));
    let one = |at: usize| {
        let name: String = expr[at..].chars().take_while(|c| is_name(*c)).collect();
        let selector = expr[at + name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = selector.map(|(labels, _)| labels).unwrap_or_default();
        let label = |pair: &str| pair.split(['=', '!']).next().unwrap_or_default().to_owned();
        (name, labels.split(',').filter(|pair| !pair.is_empty()).map(label).collect())
    };
    places.filter(|(at, _)| begins(*at)).map(|(at, _)| one(at)).collect()
}

/// The labels that an expression sums by, or a legend shows.
fn shown(expr: &str, legend: &str) -> BTreeSet<String> {
    let groups = expr.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    let legends = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    groups.flat_map(|group| group.split(',')).chain(legends).map(|label| label.trim().to_owned()).collect()
}

fn series(metrics: &str) -> Series {
    let mut found = Series::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name: String = line.chars().take_while(|c| is_name(*c)).collect();
        let labels = line[name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = labels.map(|(labels, _)| labels).unwrap_or_default().split("\",");
        let names = labels.filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
        found.entry(name).or_default().extend(names);
    }
    found
}

/// A bridge to which everything has happened that makes a series of its own.
fn one_that_has_seen_everything() -> (Bridge, crate::support::LocalNats, Authority) {
    let (nats, authority) = (nats(), Authority::new());
    authority.sign("bridge");
    let streams = Streams::of(&nats);
    let stream =
        |storage| Config { name: "CI".into(), subjects: vec!["ci.>".into()], storage, ..Config::default() };
    // A finding.
    streams.create(stream(StorageType::Memory));
    let limits = "[ingress]\nmax_connections = 2\n[jobs]\nbucket = \"CI_JOBS\"\n";
    let bridge = Bridge::start(&nats, &format!("{limits}{}", authority.section("bridge")));
    signal("HUP", bridge.id());
    let has = |name: &str| bridge.get("/metrics").text().contains(name);
    eventually("a reload", || has("ci_bridge_reloads_total{").then_some(()));
    // Neither TLS nor a path that is there.
    eventually("a handshake that fails", || {
        let _ = crate::support::request(bridge.address, "GET", "/", &[], b"");
        has("ci_bridge_failed_handshakes_total{").then_some(())
    });
    let mut client = Connection::open_tls(bridge.address, authority.client(None, &[]));
    client.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(client.read_answer().status, 404);
    let mut open = Vec::new();
    eventually("a connection that makes room", || {
        open.push(Connection::open(bridge.address));
        has("ci_bridge_connections_closed_total{").then_some(())
    });
    drop(open);
    streams.ask("$JS.API.STREAM.DELETE.CI", &json!({}));
    eventually("a stream that was deleted", || has("ci_bridge_stream_changes_total{").then_some(()));
    eventually("a post", || {
        let mut client = Connection::open_tls(bridge.address, authority.client(None, &[]));
        client.post(&task("j1")).filter(|answer| answer.status == 200).map(drop)
    });
    (bridge, nats, authority)
}

#[test]
fn rules_and_dashboard_ask_for_what_a_running_bridge_has() {
    let (bridge, _nats, _authority) = one_that_has_seen_everything();
    let mut there = series(&bridge.get("/metrics").text());
    // The stream that was made again has no finding: its setting was mended with it.
    there.entry("ci_bridge_stream_findings".to_owned()).or_default();
    let findings = ["stream", "setting", "verdict"].map(str::to_owned);
    if let Some(labels) = there.get_mut("ci_bridge_stream_findings") {
        labels.extend(findings);
    }
    // Of a bridge with `[reconcile]` only; its own tests have them.
    for name in ["ci_bridge_reconciled_jobs_total", "ci_bridge_reconcile_last_success_timestamp_seconds"] {
        there.entry(name.to_owned()).or_default().insert("result".to_owned());
    }
    for (expr, legend) in expressions() {
        let asked = asked(&expr);
        assert!(!asked.is_empty(), "{expr}");
        let mut has: BTreeSet<&str> = GIVEN.into_iter().collect();
        for (name, labels) in &asked {
            let found = there.get(name).unwrap_or_else(|| panic!("a bridge has no {name}: {expr}"));
            has.extend(found.iter().map(String::as_str));
            for label in labels {
                let is_there = found.contains(label) || GIVEN.contains(&label.as_str());
                assert!(is_there, "{name} has no label {label}, but {found:?}: {expr}");
            }
        }
        for label in shown(&expr, &legend) {
            assert!(has.contains(label.as_str()), "no series has the label {label}: {expr} {legend}");
        }
    }
}

#[test]
fn each_alert_leads_to_its_own_words_and_has_a_test() {
    let (rules, operations) = (rules(), read("docs/operations.md"));
    let tests = read("deploy/prometheus/ci-bridge.rules.test.yaml");
    let of = |key: &str| {
        let found = rules.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
        found.map(str::to_owned).collect::<Vec<_>>()
    };
    let (alerts, books) = (of("alert: "), of("runbook_url: "));
    assert!(alerts.len() >= 18 && alerts.len() == books.len(), "{alerts:?} {books:?}");
    for (alert, book) in alerts.iter().zip(books) {
        assert_eq!(book, format!("docs/operations.md#{}", alert.to_lowercase()));
        assert!(operations.contains(&format!("\n### {alert}\n")), "docs/operations.md has no {alert}");
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "no test raises {alert}");
    }
}

#[test]
fn the_dashboard_can_be_imported_as_it_is() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Now", "Callbacks", "NATS", "Spool and quarantine", "Limits", "Process"]);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    assert!(dashboard["id"].is_null(), "Grafana gives it");
    let variables: Vec<_> = dashboard["templating"]["list"].as_array().unwrap().iter().collect();
    assert!(variables[0]["name"] == "datasource" && variables[0]["type"] == "datasource");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            assert!(x < 24 && taken.insert((x, at("y"))), "{} lies over another panel", panel["title"]);
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{}", panel["title"]);
    }
}
