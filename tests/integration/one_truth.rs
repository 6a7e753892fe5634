//! One trouble, one set of words: `/readyz`, its metric, the log, `ci-bridge check` and docs/operations.md say the same of it, and the
//! page says what to do.

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use serde_json::json;

use crate::support::{
    Authority, Bridge, Streams, ci_bridge, eventually, nats, nats_forbidding, repository, signal, task,
    task_with,
};

/// A row of docs/operations.md, "By symptom".
struct Row {
    seen: String,
    remedy: String,
}

fn rows() -> Vec<Row> {
    let page = std::fs::read_to_string(repository("docs/operations.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("By symptom")).unwrap();
    let table = section.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_end_matches(" |").split(" | ").collect();
        assert_eq!(cells.len(), 3, "{line}");
        assert!(!cells[2].trim().is_empty(), "no remedy: {line}");
        Row { seen: cells[0].to_owned(), remedy: cells[2].to_owned() }
    };
    let rows: Vec<_> = table.map(row).collect();
    assert!(rows.len() > 50, "{}", rows.len());
    rows
}

impl Row {
    /// Whether one of the row's phrases is in the text; `…` stands for anything.
    fn is_of(&self, text: &str) -> bool {
        let phrases = self.seen.split('`').skip(1).step_by(2);
        let says_something = |phrase: &&str| phrase.contains(' ') && phrase.contains(char::is_alphabetic);
        phrases.filter(says_something).any(|phrase| {
            let mut rest = text;
            phrase.split('…').map(str::trim).filter(|piece| !piece.is_empty()).all(|piece| {
                let found = rest.split_once(piece);
                rest = found.map_or("", |(_, behind)| behind);
                found.is_some()
            })
        })
    }
}

/// The page has a row with these words.
fn assert_on_the_page(words: &str) {
    let rows = rows();
    let row = rows.iter().find(|row| row.is_of(words));
    let row = row.unwrap_or_else(|| panic!("docs/operations.md has no row for {words:?}"));
    assert!(row.remedy.len() > 10, "{}: {}", row.seen, row.remedy);
}

/// `/readyz`, the check's own path, the metric, the log and the page have these words of a check that does not hold.
fn assert_said(bridge: &Bridge, check: &str, words: &str) {
    let detail = eventually(&format!("{check}: {words}"), || {
        let answer = bridge.get("/readyz");
        let readiness = answer.json();
        let found = readiness["checks"].as_array()?.iter().find(|found| found["name"] == check)?.clone();
        let detail = found["detail"].as_str()?.to_owned();
        (answer.status == 503 && found["ok"] == json!(false) && detail.contains(words)).then_some(detail)
    });
    let own = bridge.get(&format!("/readyz/{check}"));
    assert!(own.status == 503 && own.text().contains(words), "{own:?}");
    let metric = format!("ci_bridge_ready{{check=\"{check}\"}}");
    eventually(&metric, || (bridge.metric(&metric) == 0.0).then_some(()));
    eventually(&format!("the log has {words}"), || {
        bridge.log().lines().any(|line| line.contains("not ready") && line.contains(words)).then_some(())
    });
    assert_on_the_page(&detail);
}

/// `ci-bridge check` of the same configuration fails, and says the same words of the same check.
fn assert_checked(bridge: &Bridge, url: &str, arguments: &[&str], words: &str) {
    let mut check = ci_bridge();
    check.arg("check").args(arguments).arg("-c").arg(bridge.folder().join("ci-bridge.toml"));
    let output = check.env("NATS_URL", url).current_dir(bridge.folder()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    let line = said.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("check does not say {words:?}:\n{said}"));
    assert_on_the_page(line);
}

#[test]
fn of_a_server_that_is_not_there() {
    let mut nats = nats();
    let bridge = Bridge::start(&nats, "");
    nats.kill().unwrap();
    let words = format!("not connected to NATS at {}: connection refused", nats.url().replace("nats://", ""));
    assert_said(&bridge, "nats", &words);
    assert_checked(&bridge, &nats.url(), &["--connect"], &words);
    assert_eq!(bridge.metric("ci_bridge_nats_connected"), 0.0);
    assert!(!bridge.log().contains("away"), "one word for it: {}", bridge.log());
}

#[test]
fn of_a_server_that_is_frozen() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    signal("STOP", nats.id());
    assert_said(&bridge, "nats", "NATS has not answered for ");
    assert_said(&bridge, "writes", "no publish acknowledged for ");
    // Which has no connection to be silent over.
    assert_checked(&bridge, &nats.url(), &["--connect"], "timed out: within 2 s, the server says nothing");
    signal("CONT", nats.id());
}

#[test]
fn of_a_stream_that_was_deleted() {
    let nats = nats();
    let streams = Streams::of(&nats);
    let stream = || Config { name: "CI".into(), subjects: vec!["ci.>".into()], ..Config::default() };
    let quarantine = Config {
        name: "CI_QUARANTINE".into(),
        subjects: vec!["ci-quarantine.>".into()],
        ..Config::default()
    };
    streams.create(stream());
    streams.create(quarantine);
    let bridge = Bridge::start(&nats, "[jetstream]\nprovision = \"require\"\n");
    streams.ask("$JS.API.STREAM.DELETE.CI", &json!({}));
    let words = "stream CI does not exist";
    assert_said(&bridge, "streams", words);
    assert_checked(&bridge, &nats.url(), &["--connect"], words);
    assert_on_the_page("the stream is gone: somebody deleted it");
    bridge.logged("the stream is gone: somebody deleted it");
    assert_eq!(bridge.metric("ci_bridge_stream_changes_total{stream=\"CI\",change=\"vanished\"}"), 1.0);
}

#[test]
fn of_a_stream_that_is_full() {
    let nats = nats();
    let streams = Streams::of(&nats);
    streams.create(Config {
        name: "CI".into(),
        subjects: vec!["ci.>".into()],
        max_messages: 1,
        discard: DiscardPolicy::New,
        ..Config::default()
    });
    let bridge = Bridge::start(&nats, "");
    assert_eq!(bridge.post(task("j1")).status, 200);
    let words = "stream CI is full";
    assert_said(&bridge, "streams", words);
    assert_checked(&bridge, &nats.url(), &["--connect"], words);
}

#[test]
fn of_a_spool_that_is_full() {
    let mut nats = nats();
    let small = "[ingress]\nmax_body = \"4KiB\"\n[spool]\nmax_bytes = \"4KiB\"\n";
    let bridge = Bridge::start(&nats, small);
    nats.kill().unwrap();
    let mut answers = (0..100).map(|number| bridge.post(task(&format!("j{number}"))));
    let refused = answers.find(|answer| answer.status == 503).expect("it is full at last");
    let words = "the spool is full (4096 bytes)";
    assert!(refused.text().contains(words), "{refused:?}");
    assert_on_the_page(&refused.text());
    assert_said(&bridge, "spool", words);
    assert_said(&bridge, "accepting", "callbacks are answered 503: neither NATS nor the spool takes them");
}

#[test]
fn of_a_configuration_that_is_broken() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    std::fs::write(bridge.folder().join("ci-bridge.toml"), "[subjects]\ntask = \"ci.{nonsense}\"\n").unwrap();
    signal("HUP", bridge.id());
    let metric = "ci_bridge_config_last_reload_successful";
    eventually(metric, || (bridge.metric(metric) == 0.0).then_some(()));
    let line = bridge.logged("configuration not reloaded: the one before stays in effect");
    assert_on_the_page(&line);
    assert!(line.contains("subjects.task"), "it names the key: {line}");
    let mut check = ci_bridge();
    let output = check.arg("check").arg("-c").arg(bridge.folder().join("ci-bridge.toml")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    let reason = said.lines().find(|line| line.contains("subjects.task")).unwrap();
    let reason = reason.trim_start_matches("ci-bridge: ").trim();
    assert!(line.contains(reason), "{reason:?} is not in {line:?}");
    // What is in effect goes on.
    bridge.wait_until_ready();
}

#[test]
fn of_a_certificate_that_has_expired() {
    let nats = nats();
    let authority = Authority::new();
    authority.sign_between("bridge", (2020, 1, 1), (2021, 1, 1));
    let bridge = Bridge::start_towards(&nats.url(), &authority.section("bridge"));
    let file = authority.file("bridge.pem").display().to_string();
    let words = format!("the listener's certificate ({file}) expired at 2021-01-01T00:00:00Z");
    assert_said(&bridge, "certificates", &words);
    assert_checked(&bridge, &nats.url(), &[], &words);
}

#[test]
fn of_a_subject_that_nats_forbids() {
    let (_nats, url) = nats_forbidding(&["ci.task.Poison.>"]);
    let bridge = Bridge::start_towards(&url, "");
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task_with("j1", "Poison", "Success")).json()["outcome"], "spooled");
    let words = "subject ci.task.Poison.success: NATS forbids it: Permissions Violation";
    assert_said(&bridge, "subjects", words);
    assert_on_the_page(&bridge.logged("NATS forbids something"));
    eventually("counted", || (bridge.metric("ci_bridge_refused_subjects") == 1.0).then_some(()));
}
