//! What CI's API may answer, and what comes of it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::{EARLIER, command, lines, reconcile, said, totals};
use crate::fake_ci::{FakeCi, Fault, Job, SECRET_ID, SECRET_KEY};
use crate::support::{Authority, Bridge, Streams, nats, task_with};

/// One tag, and runs, so that a row asks little.
const ONE_TAG: &str = "tags = [\"Transcode\", \"Workflow\"]";

#[test]
fn each_trouble_with_the_api_is_one_sentence_with_the_remedy() {
    let rows = [
        (
            Fault::Refused(403, "AccessDenied", "Access Denied."),
            "allow the key ci:DescribeMediaJobs on this bucket",
        ),
        (Fault::Redirected, "redirects are not followed"),
        (Fault::Refused(301, "PermanentRedirect", ""), "correct the bucket's region, or [tencent] endpoint"),
        (Fault::Refused(405, "MethodNotAllowed", ""), "CI does not do it for this bucket"),
        (Fault::Oversized, "is larger than 33554432 bytes and was not read"),
        (Fault::CutXml, "cannot be read: line 1"),
        (Fault::Circle, "does not end: a NextToken came twice"),
        (
            Fault::Busy(429, Some(0)),
            "is busy (HTTP 429), also after 5 attempts: lower [tencent] requests_per_second",
        ),
        (Fault::Cut, "cannot be reached: the answer is cut off"),
    ];
    let nats = nats();
    for (fault, sentence) in rows {
        let ci = FakeCi::start();
        ci.add_all([Job::ended("j1", EARLIER), Job::run("i1", EARLIER)]);
        ci.fail("/jobs", fault.clone(), usize::MAX);
        let output = reconcile(&nats, &ci.configuration(ONE_TAG), &["--json", "--dry-run"]);
        let said = said(&output);
        assert!(said.contains(sentence), "{fault:?}: {said}");
        assert_eq!(said.lines().filter(|line| line.contains("ci-bridge:")).count(), 1, "{fault:?}: {said}");
        assert_eq!(output.status.code(), Some(1), "{fault:?}");
        assert!(!said.contains(SECRET_KEY), "{said}");
    }
}

#[test]
fn bad_keys_and_a_wrong_clock_are_told_apart() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.add(Job::ended("j1", EARLIER));
    let run = || {
        let output = reconcile(&nats, &ci.configuration(""), &["--json"]);
        assert_eq!(totals(&output)["recovered"], 0);
        assert_eq!(output.status.code(), Some(1));
        said(&output)
    };
    ci.write_keys("AKIDother", SECRET_KEY);
    assert!(run().contains("there is no such secret_id: correct the credentials of [tencent]"));
    ci.write_keys(SECRET_ID, "not-the-key");
    assert!(run().contains("the secret_key does not belong to the secret_id"));
    ci.write_keys(SECRET_ID, SECRET_KEY);
    ci.set_clock(600);
    let behind = run();
    assert!(behind.contains("s behind CI's: set it, with NTP"), "{behind}");
    ci.set_clock(-600);
    let ahead = run();
    assert!(ahead.contains("s ahead of CI's: set it, with NTP"), "{ahead}");
    // One question each, and not one for every tag.
    assert_eq!(ci.asked("/"), 4);
    ci.set_clock(0);
    let output = reconcile(&nats, &ci.configuration(""), &["--json"]);
    assert_eq!(totals(&output)["recovered"], 1, "{}", said(&output));
}

#[test]
fn nobody_to_ask_and_no_credentials_are_said_too() {
    let nats = nats();
    let ci = FakeCi::start();
    let nobody =
        ci.configuration(ONE_TAG).replace("endpoint = \"http://127.0.0.1:", "endpoint = \"http://127.0.0.2:");
    let output = reconcile(&nats, &nobody, &["--json"]);
    assert!(said(&output).contains("cannot be reached: "), "{}", said(&output));
    ci.write_keys("", "");
    let output = reconcile(&nats, &ci.configuration(ONE_TAG), &["--json"]);
    assert!(said(&output).contains("no credentials for Tencent Cloud: "), "{}", said(&output));
    assert_eq!(output.status.code(), Some(1));
    let missing = ci.configuration(ONE_TAG).replace("keys.toml", "no-keys.toml");
    let output = reconcile(&nats, &missing, &["--json"]);
    assert!(said(&output).contains("tencent.credentials_file: cannot read "), "{}", said(&output));
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn the_real_one_speaks_tls_and_is_trusted_as_the_system_says() {
    let (nats, authority) = (nats(), Authority::new());
    authority.sign("ci");
    let ci = FakeCi::start_tls(authority.server("ci"));
    ci.add_all([Job::ended("j1", EARLIER), Job::run("i1", EARLIER)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci-bridge.toml");
    std::fs::write(&file, ci.configuration(ONE_TAG)).unwrap();
    let run = |authority: &Path| {
        let mut command = command(&nats, &file, &["--json"]);
        command.env("SSL_CERT_FILE", authority).current_dir(folder.path()).output().unwrap()
    };
    let trusting = run(&authority.file("ca.pem"));
    assert_eq!(totals(&trusting)["recovered"], 2, "{}", said(&trusting));
    let other = run(&Authority::new().file("ca.pem"));
    assert_eq!(other.status.code(), Some(1));
    assert!(said(&other).contains("cannot be reached: TLS: "), "{}", said(&other));
}

#[test]
fn what_passes_is_waited_for() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.add_all((0..150).map(|number| Job::ended(format!("j{number}"), EARLIER)));
    ci.fail("/jobs", Fault::Busy(429, Some(1)), 1);
    ci.fail("/jobs", Fault::Busy(503, None), 1);
    ci.fail("/jobs", Fault::Cut, 1);
    ci.fail("/workflowexecution", Fault::Slow(Duration::from_secs(2)), 1);
    let configuration =
        ci.configuration(ONE_TAG).replace("requests_per_second", "timeout = \"1s\"\nrequests_per_second");
    let output = reconcile(&nats, &configuration, &["--json"]);
    assert_eq!(totals(&output)["recovered"], 150, "{}", said(&output));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(Streams::of(&nats).messages("CI").len(), 150);
}

#[test]
fn ten_thousand_jobs_are_read_page_by_page() {
    let (nats, ci) = (nats(), FakeCi::start());
    let states = ["Success", "Failed", "Cancel"];
    let job = |number: usize| {
        Job::ended(format!("j{number}"), EARLIER).with(|job| job.state = states[number % states.len()])
    };
    ci.add_all((0..10_000).map(job));
    let output = reconcile(&nats, &ci.configuration(ONE_TAG), &["--json"]);
    let (rows, totals) = lines(&output);
    assert_eq!(
        totals,
        json!({"present": 0, "recovered": 10_000, "young": 0, "foreign": 0, "failed": 0}),
        "{}",
        said(&output)
    );
    assert_eq!((rows.len(), ci.asked("/jobs")), (10_000, 100));
}

#[test]
fn one_list_that_fails_does_not_keep_the_others_from_being_read() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.add_all([
        Job::ended("j1", EARLIER),
        Job::ended("j2", EARLIER).with(|job| job.tag = "DocProcess"),
        Job::run("i1", EARLIER),
    ]);
    ci.fail("/doc_jobs", Fault::Refused(403, "AccessDenied", ""), 1);
    let output = reconcile(&nats, &ci.configuration(""), &["--json"]);
    assert_eq!(totals(&output)["recovered"], 2);
    assert!(said(&output).contains("ci:DescribeDocProcessJobs"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(1), "a job may be unaccounted for");
    // A service that the bucket does not use is no trouble, unless its tag was asked for.
    let refused = || ci.fail("/doc_jobs", Fault::Refused(404, "NoSuchService", "not bound"), 1);
    refused();
    assert_eq!(reconcile(&nats, &ci.configuration(""), &[]).status.code(), Some(0));
    ci.fail("/workflowexecution", Fault::Refused(404, "NoSuchService", "not bound"), 1);
    assert_eq!(reconcile(&nats, &ci.configuration(""), &[]).status.code(), Some(0));
    refused();
    let asked = reconcile(&nats, &ci.configuration(""), &["--tag", "DocProcess"]);
    assert_eq!(asked.status.code(), Some(1), "{}", said(&asked));
}

/// A wrong region, or a bucket that CI is not bound to, must not look like one in which all is well.
#[test]
fn a_bucket_of_which_no_list_is_answered_is_a_problem() {
    let rows = [
        (Fault::Refused(404, "NoSuchService", "not bound"), "check the bucket's name and region"),
        (Fault::Refused(400, "InvalidArgument", ""), "check the bucket's name and region"),
        (Fault::Refused(301, "PermanentRedirect", ""), "correct the bucket's region"),
    ];
    let nats = nats();
    for (fault, sentence) in rows {
        let ci = FakeCi::start();
        ci.fail("/", fault.clone(), usize::MAX);
        let output = reconcile(&nats, &ci.configuration(""), &["--json"]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {said}");
        assert!(said.contains(sentence), "{fault:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{fault:?}: {said}");
    }
}

#[test]
fn a_list_that_is_refused_in_its_middle_is_a_problem() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.add_all((0..150).map(|number| Job::ended(format!("j{number}"), EARLIER)));
    // The first list with jobs is that of Transcode, which has two pages.
    ci.fail("/jobs", Fault::Slow(Duration::ZERO), before_transcode() + 1);
    ci.fail("/jobs", Fault::Refused(400, "InvalidArgument", "nextToken"), 1);
    let output = reconcile(&nats, &ci.configuration(""), &["--json"]);
    assert_eq!(totals(&output)["recovered"], 100, "{}", said(&output));
    assert!(said(&output).contains("HTTP 400 InvalidArgument nextToken"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(1));
}

/// The lists of `/jobs` that are asked for before that of transcodings.
fn before_transcode() -> usize {
    let tags = ci_bridge_tencent::documented_tags().iter();
    tags.filter(|tag| **tag < "Transcode" && **tag != "DocProcess").count()
}

#[test]
fn the_page_that_repeats_a_token_is_read() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.add_all((0..150).map(|number| Job::ended(format!("j{number}"), EARLIER)));
    ci.fail("/jobs", Fault::Circle, usize::MAX);
    let output = reconcile(&nats, &ci.configuration(ONE_TAG), &["--json"]);
    // A hundred on the first page; the second begins behind the seventh.
    assert_eq!(totals(&output)["recovered"], 107, "{}", said(&output));
    assert_eq!((output.status.code(), ci.asked("/jobs")), (Some(1), 2), "{}", said(&output));
}

/// Each tag is a list to ask for, and whoever has a token can make as many as he likes.
#[test]
fn tags_that_strangers_made_up_are_asked_for_up_to_a_limit() {
    const MOST: usize = 32;
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, "");
    for number in 0..MOST + 8 {
        assert_eq!(
            bridge.post(task_with(&format!("f{number}"), &format!("Made{number}"), "Success")).status,
            200
        );
    }
    // One that is in use has more messages than those.
    for id in ["t1", "t2"] {
        assert_eq!(bridge.post(task_with(id, "Unheard", "Success")).status, 200);
    }
    ci.add(Job::ended("j1", EARLIER).with(|job| job.tag = "Unheard"));
    let output = reconcile(&nats, &ci.configuration(""), &["--json"]);
    assert_eq!(totals(&output)["recovered"], 1, "{}", said(&output));
    let documented = ci_bridge_tencent::documented_tags().len();
    assert_eq!(ci.asked("/jobs") + ci.asked("/doc_jobs"), documented + MOST);
    assert!(said(&output).contains("name those that matter in reconcile.tags"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(1), "jobs of the others may be unaccounted for");
}

/// `reconcile | head`: what is missing is missing, whoever reads of it.
#[test]
fn the_exit_code_does_not_depend_on_who_reads() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.add_all((0..50).map(|number| Job::ended(format!("j{number}"), EARLIER)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci-bridge.toml");
    std::fs::write(&file, ci.configuration(ONE_TAG)).unwrap();
    let exit_code = |arguments: &[&str]| {
        let mut command = command(&nats, &file, arguments);
        let mut child = command.current_dir(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait().unwrap().code()
    };
    assert_eq!(exit_code(&["--json", "--dry-run"]), Some(1));
    assert_eq!(exit_code(&["--dry-run"]), Some(1));
    assert_eq!(exit_code(&["--json"]), Some(0));
    assert_eq!(exit_code(&["--json", "--dry-run"]), Some(0), "nothing is missing any more");
}
