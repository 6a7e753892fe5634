//! Where requests are, and which subjects the stream of events has beside them.

use async_nats::jetstream::stream::Config;

use super::JOBS;
use crate::support::{Bridge, LocalNats, PATIENCE, Streams, ci_bridge, eventually, nats, signal, task};

/// What `ci-bridge check` says of a configuration, and how it ends.
fn check(configuration: &str, arguments: &[&str], nats: Option<&LocalNats>) -> (Option<i32>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), configuration).unwrap();
    let mut command = ci_bridge();
    command.arg("check").args(arguments).arg("-c").arg(file.path());
    if let Some(nats) = nats {
        command.env("NATS_URL", nats.url());
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code(), said)
}

#[test]
fn a_stream_that_the_bridge_makes_leaves_requests_free() {
    let nats = nats();
    let rules = "[[rules]]\nmatch = { state = \"Failed\" }\nsubject = \"ci.alerts.{tag}\"\ncopy = true\n\
                 [[rules]]\nmatch = { tag = \"X\" }\nsubject = \"other.{tag}\"\nstream = \"OTHER\"\n";
    let own = "[[ingress.endpoints]]\nname = \"a\"\n[[ingress.endpoints]]\nname = \"b\"\npath = \"/b\"\n\
               subjects = { task = \"tenant.task.{tag}\" }\n";
    let configuration = format!("{JOBS}{rules}{own}");
    let _bridge = Bridge::start_towards(&nats.url(), &configuration);
    let streams = Streams::of(&nats);
    let subjects = eventually("the stream", || streams.config("CI")).subjects;
    let expected = ["ci.alerts.>", "ci.moderation.>", "ci.task.>", "ci.workflow.>", "tenant.task.>"];
    assert_eq!(subjects.iter().map(|subject| &**subject).collect::<Vec<_>>(), expected);
    let (code, said) = check(&configuration, &["--changed"], None);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ok     jobs: requests are at ci.await.<JobId>"), "{said}");
    let row =
        said.lines().find(|line| line.starts_with("jetstream.subjects")).unwrap_or_else(|| panic!("{said}"));
    assert!(
        row.contains("\"tenant.task.>\"") && row.ends_with("# what [subjects] and rules lead to, for [jobs]"),
        "{row}"
    );
    // Without [jobs] it is as it always was.
    let (_, said) = check("", &[], None);
    assert!(
        said.lines().any(|line| line.starts_with("jetstream.subjects") && line.contains("[\"ci.>\"]")),
        "{said}"
    );
}

#[test]
fn subjects_that_somebody_has_set_move_the_requests() {
    let nats = nats();
    let configuration = format!("{JOBS}[jetstream]\nsubjects = [\"ci.>\"]\n");
    let bridge = Bridge::start(&nats, &configuration);
    assert_eq!(bridge.post(task("j1")).status, 200);
    let streams = Streams::of(&nats);
    let reply = eventually("an answer", || streams.wait_for("ci-await.j1", PATIENCE));
    assert_eq!(reply.header("ce-id"), Some("task:j1:Success"));
    let remedies = ["jetstream.subjects = [", "ci.task.>", "jobs.await_prefix = "];
    let line = bridge.logged("requests for jobs have another prefix than usual");
    assert!(remedies.iter().all(|remedy| line.contains(remedy)), "{line}");
    let (code, said) = check(&configuration, &[], None);
    assert_eq!(code, Some(0), "{said}");
    let line = said.lines().find(|line| line.starts_with("?      jobs: requests are at ci-await.<JobId>"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(remedies.iter().all(|remedy| line.contains(remedy)), "{line}");
    assert!(said.contains("= \"ci-await\"  # jetstream.subjects take ci.await"), "{said}");
}

#[test]
fn a_template_like_the_subjects_of_requests_moves_them_too() {
    let configuration = format!("{JOBS}[subjects]\ntask = \"ci.{{tag}}.{{state}}\"\n");
    let (code, said) = check(&configuration, &[], None);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("requests are at ci-await.<JobId>: [subjects] and rules lead to"), "{said}");
    assert!(said.contains("= [\"ci.>\"]"), "{said}");
}

#[test]
fn subjects_and_prefix_that_do_not_go_together_are_refused() {
    let configuration = format!("{JOBS}await_prefix = \"ci.await\"\n[jetstream]\nsubjects = [\"ci.>\"]\n");
    let (code, said) = check(&configuration, &[], None);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("jobs.await_prefix") && said.contains("jetstream.subjects"), "{said}");
}

#[test]
fn a_stream_that_takes_requests_is_named_with_what_to_do() {
    let nats = nats();
    let streams = Streams::of(&nats);
    let of = |name: &str, subjects: &[&str]| Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
        ..Config::default()
    };
    streams.create(of("CI", &["ci.>", "billing.*"]));
    let bridge = Bridge::start(&nats, JOBS);
    let remedy = "nats stream edit CI --subjects='ci.moderation.>,ci.task.>,ci.workflow.>,billing.*'";
    let says = |line: &&str| line.contains("the stream takes requests for jobs") && line.contains(remedy);
    eventually("a warning", || bridge.log().lines().any(|line| says(&line)).then_some(()));
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published", "callbacks are no worse off");
    bridge.wait_until_ready();
    let (code, said) = check(JOBS, &["--connect"], Some(&nats));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("?      jobs: stream CI takes requests at ci.await") && said.contains(remedy),
        "{said}"
    );
    streams.update(of("CI", &["ci.moderation.>", "ci.task.>", "ci.workflow.>", "billing.*"]));
    let over = "no stream takes requests for jobs any more";
    eventually("the end of it", || bridge.log().contains(over).then_some(()));
    let reply = eventually("an answer", || streams.wait_for("ci.await.j1", PATIENCE));
    assert_eq!(reply.header("ce-id"), Some("task:j1:Success"));
    // Somebody else's stream, whose subjects are not for the bridge to choose.
    streams.create(of("AUDIT", &["ci.await.>"]));
    let says = |log: &str| log.lines().any(|line| line.contains("take the subject from stream AUDIT"));
    eventually("a warning", || says(&bridge.log()).then_some(()));
}

#[test]
fn a_reload_cannot_move_requests() {
    let nats = nats();
    let bridge = Bridge::start(&nats, JOBS);
    let file = bridge.folder().join("ci-bridge.toml");
    std::fs::write(&file, format!("{JOBS}[subjects]\ntask = \"ci.{{tag}}.{{state}}\"\n")).unwrap();
    signal("HUP", bridge.id());
    let why = "requests for jobs would be at ci-await, which can only change with a restart";
    eventually("it is refused", || bridge.log().contains(why).then_some(()));
    // Other subjects are no reason to refuse, though the stream would be made with others.
    std::fs::write(&file, format!("{JOBS}[subjects]\ntask = \"ci.task.{{tag}}\"\n")).unwrap();
    signal("HUP", bridge.id());
    eventually("it is taken", || bridge.log().contains("configuration reloaded").then_some(()));
}
