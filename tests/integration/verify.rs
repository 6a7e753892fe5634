//! `verify = "all"`: a callback is a hint, and CI's own account of the job is what is published.

mod asking;
mod published;

use serde_json::json;

use crate::fake_ci::{BUCKET, FakeCi, Fault, Job};
use crate::support::{Answer, Bridge, Stored, Streams, nats};

const AGO: i64 = 60;

fn configuration(ci: &FakeCi, on_error: &str) -> String {
    format!(
        "[[ingress.endpoints]]\nverify = \"all\"\nverify_on_error = \"{on_error}\"\n\n{}",
        ci.configuration("").replace("requests_per_second", "timeout = \"1s\"\nrequests_per_second")
    )
}

/// Nobody learns from the answer what became of the callback.
fn assert_silent(answer: &Answer) {
    assert_eq!((answer.status, answer.json()), (200, json!({"outcome": "published", "messages": []})));
}

fn only(messages: &[Stored]) -> &Stored {
    assert_eq!(messages.len(), 1, "{messages:?}");
    &messages[0]
}

#[test]
fn what_is_published_is_the_account_of_ci() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    let (job, run) = (Job::ended("j1", AGO), Job::run("i1", AGO));
    ci.add_all([job.clone(), run.clone()]);
    // Whoever has the token can write what he likes beside the id and the state.
    let embellished = job.callback().replace("This is my data.", "Pay 1,000,000");
    assert_silent(&bridge.post(&embellished));
    assert_silent(&bridge.post(run.callback()));
    let messages = Streams::of(&nats).messages("CI");
    let ids: Vec<_> = messages.iter().map(Stored::id).collect();
    assert_eq!(ids, ["task:j1:Success", "workflow:i1:Success"]);
    assert_eq!(messages[0].json()["Operation"]["UserData"], "This is my data.");
    assert_eq!(messages[0].header("Ci-Verified"), None);
    // Asked once, though it comes twice.
    assert_silent(&bridge.post(job.callback()));
    assert_eq!(ci.asked("/jobs"), 1);
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"duplicate\"}"), 1.0);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn a_forged_callback_reaches_quarantine_and_nothing_else() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    let failed = Job::ended("j1", AGO).with(|job| job.state = "Failed");
    let running = Job::ended("j2", AGO).with(|job| job.state = "Running");
    ci.add_all([failed.clone(), running, Job::run("i1", AGO)]);
    let forged = |id: &str| Job::ended(id, AGO);
    let rows = [
        ("another state", forged("j1").callback(), "CI says that its state is Failed"),
        ("one that has not ended", forged("j2").callback(), "CI says that its state is Running"),
        ("an unknown id", forged("j9").callback(), "CI knows no such job"),
        (
            "another bucket",
            forged("j1").with(|job| job.bucket = "other-1300000001".to_owned()).callback(),
            "its bucket is not one of reconcile.buckets",
        ),
        ("a path for an id", forged("../queue").callback(), "is no job's id"),
        (
            "a run in another state",
            Job::run("i1", AGO).with(|run| run.state = "Failed").callback(),
            "state is Success",
        ),
        (
            "no state",
            failed.callback().replace("<State>Failed</State>", "").replace("<Code>Failed</Code>", ""),
            "names no job, or no state",
        ),
    ];
    for (what, body, why) in &rows {
        let answer = bridge.post(body);
        assert!(answer.status == 200, "{what}: {}", answer.text());
        assert_silent(&answer);
        let kept = Streams::of(&nats).messages("CI_QUARANTINE");
        let last = kept.last().unwrap();
        assert_eq!(last.subject, "ci-quarantine.unverified", "{what}");
        assert!(last.header("Ci-Detail").unwrap().contains(why), "{what}: {last:?}");
        assert_eq!(last.payload, body.as_bytes(), "{what}");
    }
    assert!(Streams::of(&nats).messages("CI").is_empty());
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"quarantined\"}"), rows.len() as f64);
    // Of several jobs, those that are true are published.
    let job = Job::ended("j3", AGO);
    ci.add(job.clone());
    let element =
        |body: &str| body[body.find("<JobsDetail>").unwrap()..body.find("</Response>").unwrap()].to_owned();
    let both =
        format!("<Response>{}{}</Response>", element(&job.callback()), element(&forged("j9").callback()));
    assert_silent(&bridge.post(&both));
    assert_eq!(only(&Streams::of(&nats).messages("CI")).id(), "task:j3:Success");
    assert_eq!(Streams::of(&nats).messages("CI_QUARANTINE").len(), rows.len() + 1);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn what_ci_describes_must_be_of_a_bucket_that_the_endpoint_takes() {
    let (nats, ci) = (nats(), FakeCi::start());
    let endpoint = "[[ingress.endpoints]]\nallow_buckets = [\"media-*\"]\n";
    let bridge =
        Bridge::start(&nats, &configuration(&ci, "refuse").replace("[[ingress.endpoints]]\n", endpoint));
    // Submitted in this bucket, and about another's object: as the callback names the first, it is let in.
    let job = Job::ended("j1", AGO).with(|job| job.bucket = "other-1300000001".to_owned());
    ci.add(job.clone());
    assert_eq!(bridge.post(job.callback()).status, 403);
    assert_silent(&bridge.post(job.callback().replace("other-1300000001", BUCKET)));
    assert!(Streams::of(&nats).messages("CI").is_empty());
    assert_eq!(Streams::of(&nats).subjects("CI_QUARANTINE"), ["ci-quarantine.unverified"]);
}

#[test]
fn without_an_answer_of_ci_the_endpoint_decides() {
    for (on_error, status) in [("refuse", 503), ("publish", 200)] {
        let (nats, ci) = (nats(), FakeCi::start());
        let bridge = Bridge::start(&nats, &configuration(&ci, on_error));
        let job = Job::ended("j1", AGO);
        ci.add(job.clone());
        ci.fail("/jobs", Fault::Busy(503, None), usize::MAX);
        let answer = bridge.post(job.callback());
        assert_eq!(answer.status, status, "{}", answer.text());
        let messages = Streams::of(&nats).messages("CI");
        match on_error {
            "refuse" => assert!(messages.is_empty()),
            _ => assert_eq!(only(&messages).header("Ci-Verified"), Some("false")),
        }
        ci.forgive();
        assert_silent(&bridge.post(job.callback()));
        assert_eq!(Streams::of(&nats).messages("CI").len(), 1);
        bridge.assert_every_callback_is_accounted_for();
    }
}

#[test]
fn what_is_published_without_an_answer_of_ci_does_not_fill_the_log() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "publish"));
    ci.fail("/jobs", Fault::Busy(503, None), usize::MAX);
    for id in ["j1", "j2"] {
        let job = Job::ended(id, AGO);
        ci.add(job.clone());
        assert_eq!(bridge.post(job.callback()).status, 200);
    }
    let (_, log) = bridge.terminate();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).collect::<Vec<_>>();
    assert_eq!(lines("CI does not answer: a callback is published unverified").len(), 1, "{log}");
    let [sum] = lines("callbacks published unverified in the last minute")[..] else { panic!("{log}") };
    assert!(sum.contains("count=2"), "{sum}");
}

#[test]
fn moderation_is_asked_for_by_its_kind() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    ci.add(Job::ended("si1", AGO));
    let callback = |id: &str, event: &str| {
        format!(
            r#"{{"EventName":"{event}","JobsDetail":{{"JobId":"{id}","State":"Success","BucketId":"{BUCKET}","Object":"a.jpg","Result":0,"Label":"Normal"}}}}"#
        )
    };
    assert_silent(&bridge.post(callback("si1", "ReviewImage")));
    let messages = Streams::of(&nats).messages("CI");
    // What the callback said of the picture is not what CI says.
    assert_eq!(only(&messages).subject, "ci.moderation.ReviewImage.violation");
    assert_eq!(ci.asked("/image/auditing/si1"), 1);
    assert_silent(&bridge.post(callback("si2", "ReviewImage")));
    assert_silent(&bridge.post(callback("si1", "ReviewNothing")));
    assert_eq!(Streams::of(&nats).messages("CI").len(), 1);
    assert_eq!(Streams::of(&nats).messages("CI_QUARANTINE").len(), 2);
}

#[test]
fn an_endpoint_that_verifies_needs_to_know_whom_to_ask() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci-bridge.toml");
    for (configuration, expected) in [
        (
            "[[ingress.endpoints]]\nverify = \"all\"\n",
            "reconcile.buckets: name the buckets that CI is asked for",
        ),
        ("[[ingress.endpoints]]\nverify = \"some\"\n", "verify: write one of off, all"),
        (
            "[ingress]\ndeadline = \"1300ms\"\n[[ingress.endpoints]]\nverify = \"all\"\n[reconcile]\nbuckets = [\"media-1300000001@ap-beijing\"]\n",
            "ingress.deadline: leaves too little time for CI to answer",
        ),
    ] {
        std::fs::write(&file, configuration).unwrap();
        let output = crate::support::run(&["check", "-c", file.to_str().unwrap()], b"");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(78) && said.contains(expected), "{said}");
    }
}

/// The answer to a replay is as silent as any: what CI denies again may be in quarantine under its first number alone.
#[test]
fn a_replay_deletes_nothing_of_which_nobody_knows_what_ci_said() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    assert_silent(&bridge.post(Job::ended("j9", AGO).callback()));
    let streams = Streams::of(&nats);
    assert_eq!(only(&streams.messages("CI_QUARANTINE")).subject, "ci-quarantine.unverified");
    let mut command = crate::support::ci_bridge();
    command.args(["quarantine", "replay", "-c", "ci-bridge.toml"]).current_dir(bridge.folder());
    command.env("NATS_URL", nats.url()).env("CI_BRIDGE__INGRESS__LISTEN", bridge.address.to_string());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(": 200 ") && said.contains("does not say whether CI confirms it, so it stays"),
        "{said}"
    );
    assert_eq!(only(&streams.messages("CI_QUARANTINE")).subject, "ci-quarantine.unverified");
    assert!(streams.messages("CI").is_empty());
}
