//! No job unaccounted for: `ci-bridge reconcile` and `[reconcile]`, against a fake CI and a real nats-server.

mod api;
mod asked;
mod checked;
mod repeated;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use async_nats::jetstream::stream::{Config, RetentionPolicy};
use serde_json::{Value, json};

use crate::fake_ci::{BUCKET, FakeCi, Fault, Job, REGION};
use crate::support::{Bridge, LocalNats, Stored, Streams, ci_bridge, nats};

/// Half an hour: within `since`, and past `grace`.
const EARLIER: i64 = 1800;

/// Runs `reconcile` beside whatever else runs, with a spool of its own.
fn reconcile(nats: &LocalNats, configuration: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci-bridge.toml");
    std::fs::write(&file, configuration).unwrap();
    command(nats, &file, arguments).current_dir(folder.path()).output().expect("ci-bridge runs")
}

fn command(nats: &LocalNats, file: &Path, arguments: &[&str]) -> Command {
    let mut command = ci_bridge();
    command.arg("reconcile").arg("-c").arg(file).args(arguments).env("NATS_URL", nats.url());
    command
}

/// Each job's id, subject and result, and the totals behind them.
fn lines(output: &Output) -> (Vec<(String, String, String)>, Value) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let totals = lines.pop().unwrap_or_else(|| panic!("no totals, but {}", said(output)));
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    (
        lines.iter().map(|line| (text(line, "id"), text(line, "subject"), text(line, "result"))).collect(),
        totals,
    )
}

/// Without what it waits for, which it says where the machine is busy.
fn said(output: &Output) -> String {
    let waiting = ["ci-bridge: asking CI for its account", "ci-bridge: waiting for NATS, "];
    let said = String::from_utf8_lossy(&output.stderr);
    let lines = said.lines().filter(|line| !waiting.iter().any(|waits| line.starts_with(waits)));
    lines.map(|line| format!("{line}\n")).collect()
}

fn totals(output: &Output) -> Value {
    lines(output).1
}

fn ids(messages: &[Stored]) -> BTreeSet<&str> {
    messages.iter().map(Stored::id).collect()
}

#[test]
fn what_never_called_back_is_published_as_its_callback_would_have_been() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, "");
    let called = Job::ended("j0", EARLIER);
    let lost = [
        Job::ended("j1", EARLIER),
        Job::ended("j2", EARLIER).with(|job| job.state = "Failed"),
        Job::ended("j3", EARLIER).with(|job| job.tag = "DocProcess"),
        Job::run("i1", EARLIER),
    ];
    let (young, running) =
        (Job::ended("j4", 60), Job::ended("j5", EARLIER).with(|job| job.state = "Running"));
    let old = Job::ended("j6", 8 * 3600);
    assert_eq!(bridge.post(called.callback()).status, 200);
    ci.add_all(lost.iter().cloned().chain([called, young, running, old]));

    let output = reconcile(&nats, &ci.configuration(""), &["--json"]);
    let (rows, totals) = lines(&output);
    assert_eq!(
        totals,
        json!({"present": 1, "recovered": 4, "young": 1, "foreign": 0, "failed": 0}),
        "{}",
        said(&output)
    );
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let found: BTreeSet<_> =
        rows.iter().map(|(id, subject, result)| (id.as_str(), subject.as_str(), result.as_str())).collect();
    let expected = [
        ("task:j0:Success", "ci.task.Transcode.success", "present"),
        ("task:j1:Success", "ci.task.Transcode.success", "recovered"),
        ("task:j2:Failed", "ci.task.Transcode.failed", "recovered"),
        ("task:j3:Success", "ci.task.DocProcess.success", "recovered"),
        ("task:j4:Success", "ci.task.Transcode.success", "young"),
        ("workflow:i1:Success", "ci.workflow.Success", "recovered"),
    ];
    assert_eq!(found, expected.into());

    // What a callback that comes after all would have been: the same in every byte, but for where it came from.
    let recovered = Streams::of(&nats).messages("CI");
    let other = self::nats();
    let receiving = Bridge::start(&other, "");
    for job in &lost {
        assert_eq!(receiving.post(job.callback()).status, 200);
    }
    for called in Streams::of(&other).messages("CI") {
        let found = recovered.iter().find(|message| message.id() == called.id()).unwrap();
        assert_eq!(String::from_utf8_lossy(&found.payload), String::from_utf8_lossy(&called.payload));
        assert_eq!(found.subject, called.subject);
        assert_eq!(found.header("Ci-Origin"), Some("reconcile"));
        let others: BTreeSet<_> = found.headers.iter().filter(|(name, _)| name != "Ci-Origin").collect();
        assert_eq!(others, called.headers.iter().collect());
    }
    for job in &lost {
        let answer = bridge.post(job.callback()).json();
        assert_eq!(answer["messages"][0]["duplicate"], true, "{answer}");
    }
}

#[test]
fn a_dry_run_publishes_nothing_and_says_what_is_missing() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.add_all([Job::ended("j1", EARLIER), Job::run("i1", EARLIER)]);
    let output = reconcile(&nats, &ci.configuration(""), &["--dry-run"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stdout}{}", said(&output));
    for expected in [
        "missing    task:j1:Success",
        "missing    workflow:i1:Success",
        "2 never called back. --dry-run: nothing was published.",
    ] {
        assert!(stdout.contains(expected), "{expected} is not in\n{stdout}");
    }
    assert!(Streams::of(&nats).messages("CI").is_empty());
    let output = reconcile(&nats, &ci.configuration(""), &[]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let sentence = "Of 2 jobs and runs that ended in the last 6h, the bus had 0; 2 never called back, of which 2 were fetched \
                    and are stored under the ids that their callbacks would have had.";
    assert!(stdout.ends_with(&format!("{sentence}\n")), "{stdout}{}", said(&output));
    let output = reconcile(&nats, &ci.configuration(""), &["--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_second_account_publishes_nothing_also_beyond_the_duplicate_window() {
    let (nats, ci) = (nats(), FakeCi::start());
    // The least that nats-server allows.
    let configuration = format!("{}\n[jetstream]\nduplicate_window = \"100ms\"\n", ci.configuration(""));
    ci.add_all((0..250).map(|number| Job::ended(format!("j{number}"), EARLIER)));
    let first = reconcile(&nats, &configuration, &["--json"]);
    assert_eq!(totals(&first)["recovered"], 250, "{}", said(&first));
    let streams = Streams::of(&nats);
    for _ in 0..2 {
        let again = reconcile(&nats, &configuration, &["--json"]);
        assert_eq!(
            totals(&again),
            json!({"present": 250, "recovered": 0, "young": 0, "foreign": 0, "failed": 0})
        );
    }
    let messages = streams.messages("CI");
    assert_eq!((messages.len(), ids(&messages).len()), (250, 250));
    nats_restarted(nats, &configuration);
}

/// Also when the server has forgotten every id.
fn nats_restarted(mut nats: LocalNats, configuration: &str) {
    nats.kill().unwrap();
    nats.restart(None).unwrap();
    let again = reconcile(&nats, configuration, &["--json"]);
    assert_eq!(totals(&again)["recovered"], 0, "{}", said(&again));
    assert_eq!(Streams::of(&nats).messages("CI").len(), 250);
}

#[test]
fn what_waits_in_the_spool_of_a_bridge_that_ended_is_not_missing() {
    let (mut nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, "");
    let spooled = Job::ended("j1", EARLIER);
    ci.add_all([spooled.clone(), Job::ended("j2", EARLIER)]);
    nats.kill().unwrap();
    let answer = bridge.post(spooled.callback());
    assert_eq!(answer.json()["outcome"], "spooled", "{}", answer.text());
    let folder = bridge.stop_and_keep_folder();
    nats.restart(None).unwrap();
    let configuration =
        format!("{}\n[spool]\ndir = {:?}\n", ci.configuration(""), folder.path().join("spool"));
    let output = reconcile(&nats, &configuration, &["--json"]);
    assert_eq!(
        totals(&output),
        json!({"present": 1, "recovered": 1, "young": 0, "foreign": 0, "failed": 0}),
        "{}",
        said(&output)
    );
    assert_eq!(ids(&Streams::of(&nats).messages("CI")), ["task:j2:Success"].into());
}

/// What waits in it cannot be told then, and whoever only looks saves nothing.
#[test]
fn a_damaged_spool_is_left_as_it_is() {
    let (mut nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, "");
    nats.kill().unwrap();
    for id in ["j1", "j2", "j3"] {
        assert_eq!(bridge.post(Job::ended(id, EARLIER).callback()).json()["outcome"], "spooled");
    }
    let folder = bridge.stop_and_keep_folder();
    nats.restart(None).unwrap();
    let spool = folder.path().join("spool");
    let journal = std::fs::read_dir(&spool).unwrap().flatten().map(|entry| entry.path());
    let journal =
        journal.filter(|path| path.extension().is_some_and(|e| e == "jnl")).max().expect("a journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[written / 2] ^= 0x5A;
    std::fs::write(&journal, &bytes).unwrap();
    let configuration = format!("{}\n[spool]\ndir = {spool:?}\n", ci.configuration(""));
    let output = reconcile(&nats, &configuration, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("is damaged: `ci-bridge serve` keeps the files aside"),
        "{}",
        said(&output)
    );
    assert!(std::fs::read(&journal).unwrap() == bytes, "changed by looking");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().flatten().filter(|entry| entry.path().is_dir()).count(),
        1
    );
}

#[test]
fn the_spool_of_a_bridge_that_runs_is_spoken_of_unless_it_is_empty() {
    let (mut nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, "");
    let job = Job::ended("j1", EARLIER);
    let configuration = format!(
        "{}\n[spool]\ndir = {:?}\n[admin]\nlisten = \"{}\"\n",
        ci.configuration("tags = [\"Transcode\"]"),
        bridge.folder().join("spool"),
        bridge.admin
    );
    let output = reconcile(&nats, &configuration, &["--json"]);
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
    nats.kill().unwrap();
    assert_eq!(bridge.post(job.callback()).json()["outcome"], "spooled");
    let elsewhere = self::nats();
    let output = reconcile(&elsewhere, &configuration, &["--json"]);
    assert!(
        said(&output).contains("1 messages wait in the spool of the bridge that runs here"),
        "{}",
        said(&output)
    );
}

#[test]
fn endpoints_rules_and_queues_decide_as_they_do_for_callbacks() {
    let (nats, ci) = (nats(), FakeCi::start());
    let endpoints = "[[ingress.endpoints]]\nname = \"a\"\npath = \"/a\"\nallow_buckets = [\"other-*\"]\n\
        [[ingress.endpoints]]\nname = \"b\"\npath = \"/b\"\nallow_buckets = [\"media-*\"]\n\
        subjects = { task = \"ci.b.{tag}.{state:lower}\" }\n\
        [[rules]]\nmatch = { tag = \"MediaInfo\" }\ndrop = true\n\
        [[rules]]\nmatch = { tag = \"Concat\" }\nsubject = \"ci.copies.{tag}\"\ncopy = true\n";
    let configuration = format!("{}\n{endpoints}", ci.configuration("queues = [\"p1\", \"p2\"]"));
    let job = |id: &str| Job::ended(id, EARLIER).with(|job| job.queue = "p1");
    ci.add_all([
        job("j1"),
        job("j2").with(|job| job.queue = "p3"),
        job("j3").with(|job| job.tag = "MediaInfo"),
        job("j4").with(|job| job.tag = "Concat"),
        job("j5").with(|job| job.bucket = "third-1300000001".to_owned()),
    ]);
    let output = reconcile(&nats, &configuration, &["--json"]);
    assert_eq!(
        totals(&output),
        json!({"present": 0, "recovered": 2, "young": 0, "foreign": 2, "failed": 0}),
        "{}",
        said(&output)
    );
    let mut subjects = Streams::of(&nats).subjects("CI");
    subjects.sort();
    assert_eq!(subjects, ["ci.b.Concat.success", "ci.b.Transcode.success", "ci.copies.Concat"]);
    // Of a copy, what is missing alone.
    let again = reconcile(&nats, &configuration, &["--json", "--queue", "p3"]);
    assert_eq!(totals(&again)["recovered"], 1, "--queue goes over the configuration");
    // A run has neither queue nor tag, and is looked for when it is named.
    ci.add(Job::run("i1", EARLIER));
    for (flags, found) in
        [(&["--queue", "p3"][..], 0), (&["--tag", "Transcode"], 0), (&["--tag", "Workflow"], 1)]
    {
        let output = reconcile(&nats, &configuration, &[&["--json"], flags].concat());
        let (rows, _) = lines(&output);
        assert_eq!(rows.iter().filter(|(id, ..)| id.starts_with("workflow:")).count(), found, "{flags:?}");
    }
    // What is asked for by its id is of whatever queue.
    let one = reconcile(&nats, &configuration, &["--json", "--job", "j2"]);
    assert_eq!(totals(&one)["present"], 1, "{}", said(&one));
}

/// A list of runs does not name their workflow, which is what rules may go by.
#[test]
fn a_run_is_judged_by_all_that_is_known_of_it() {
    let (nats, ci) = (nats(), FakeCi::start());
    let (workflow, other) = ("workflow_name = \"workflow-1\"", "kind = \"workflow\"");
    let rules = |first: &str, second: &str| {
        format!("{}\n[[rules]]\nmatch = {{ {first} }}\n{second}\n", ci.configuration("tags = [\"Workflow\"]"))
    };
    ci.add(Job::run("i1", EARLIER));
    let kept = rules(
        workflow,
        &format!("subject = \"ci.named.run\"\n[[rules]]\nmatch = {{ {other} }}\ndrop = true"),
    );
    let output = reconcile(&nats, &kept, &["--json"]);
    assert_eq!(totals(&output)["recovered"], 1, "{}", said(&output));
    assert_eq!(Streams::of(&nats).subjects("CI"), ["ci.named.run"]);
    let again = reconcile(&nats, &kept, &["--json"]);
    assert_eq!(totals(&again)["present"], 1, "{}", said(&again));
    ci.add(Job::run("i2", EARLIER));
    let output = reconcile(&nats, &rules(workflow, "drop = true"), &["--json"]);
    assert_eq!(totals(&output), json!({"present": 1, "recovered": 0, "young": 0, "foreign": 1, "failed": 0}));
}

#[test]
fn an_event_is_present_at_whichever_endpoint_it_came_to() {
    let (nats, ci) = (nats(), FakeCi::start());
    let endpoints = "[[ingress.endpoints]]\nname = \"a\"\npath = \"/a\"\n\
        [[ingress.endpoints]]\nname = \"b\"\npath = \"/b\"\nsubjects = { task = \"ci.b.{tag}.{state:lower}\" }\n";
    let bridge = Bridge::start(&nats, endpoints);
    let job = Job::ended("j1", EARLIER);
    ci.add(job.clone());
    assert_eq!(bridge.post_to("/b", &[], job.callback()).status, 200);
    let output = reconcile(&nats, &format!("{}\n{endpoints}", ci.configuration("")), &["--json"]);
    assert_eq!(totals(&output)["present"], 1, "{}", said(&output));
}
