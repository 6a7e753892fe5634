//! `[reconcile] every`: the same in `serve`, by one bridge of several.

use super::EARLIER;
use crate::fake_ci::{FakeCi, Fault, Job, SECRET_KEY};
use crate::support::{Bridge, Streams, eventually, nats};

const EVERY: &str = "every = \"1s\"\ntags = [\"Transcode\", \"Workflow\"]";

#[test]
fn one_bridge_of_two_recovers_and_the_other_follows_it() {
    let (nats, ci) = (nats(), FakeCi::start());
    // The least that nats-server allows: a second message of an id would be stored.
    let configuration = format!("{}\n[jetstream]\nduplicate_window = \"100ms\"\n", ci.configuration(EVERY));
    let first = Bridge::start(&nats, &configuration);
    let runs = |bridge: &Bridge| bridge.metric("ci_bridge_reconcile_last_success_timestamp_seconds") > 0.0;
    eventually("the first account", || runs(&first).then_some(()));
    let second = Bridge::start(&nats, &configuration);
    ci.add_all([Job::ended("j1", EARLIER), Job::run("i1", EARLIER)]);
    let recovered = "ci_bridge_reconciled_jobs_total{result=\"recovered\"}";
    eventually("both recovered", || (first.metric(recovered) == 2.0).then_some(()));
    eventually("accounts go on", || {
        (first.metric("ci_bridge_reconciled_jobs_total{result=\"present\"}") >= 4.0).then_some(())
    });
    assert!(!runs(&second), "{}", second.log());
    eventually("said of both", || {
        (first.log().matches("its callback never came").count() == 2).then_some(())
    });
    // Given back when the first goes.
    let (status, log) = first.terminate();
    assert!(status.success(), "{log}");
    ci.add(Job::ended("j2", EARLIER));
    eventually("the second follows", || (second.metric(recovered) == 1.0).then_some(()));
    let messages = Streams::of(&nats).messages("CI");
    let mut ids: Vec<_> = messages.iter().map(crate::support::Stored::id).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["task:j1:Success", "task:j2:Success", "workflow:i1:Success"]);
}

#[test]
fn whatever_ci_answers_the_bridge_stays_ready() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.fail("/", Fault::Refused(403, "InvalidAccessKeyId", ""), usize::MAX);
    let bridge = Bridge::start(&nats, &ci.configuration(EVERY));
    eventually("the log says why", || {
        bridge.log().contains("there is no such secret_id: correct the credentials").then_some(())
    });
    bridge.wait_until_ready();
    assert_eq!(bridge.metric("ci_bridge_reconcile_last_success_timestamp_seconds"), 0.0);
    let job = Job::ended("j1", EARLIER);
    ci.add(job.clone());
    assert_eq!(bridge.post(job.callback()).status, 200);
    ci.forgive();
    eventually("an account is made", || {
        (bridge.metric("ci_bridge_reconcile_last_success_timestamp_seconds") > 0.0).then_some(())
    });
    assert_eq!(bridge.metric("ci_bridge_reconciled_jobs_total{result=\"recovered\"}"), 0.0);
    // How late it came.
    assert_eq!(bridge.metric("ci_bridge_callback_age_seconds_count"), 1.0);
    let age = bridge.metric("ci_bridge_callback_age_seconds_sum");
    assert!((1790.0..3600.0).contains(&age), "{age}");
}

#[test]
fn each_trouble_with_the_api_is_one_sentence_in_the_log() {
    type Trouble = fn(&FakeCi);
    let rows: [(Trouble, &str); 4] = [
        (
            |ci| ci.write_keys("AKIDother", "no-key"),
            "there is no such secret_id: correct the credentials of [tencent]",
        ),
        (|ci| ci.set_clock(600), "s behind CI's: set it, with NTP"),
        (
            |ci| ci.fail("/jobs", Fault::Refused(403, "AccessDenied", "Access Denied."), usize::MAX),
            "allow the key ci:DescribeMediaJobs on this bucket",
        ),
        (|ci| ci.fail("/", Fault::Cut, usize::MAX), "cannot be reached: the answer is cut off"),
    ];
    for (trouble, sentence) in rows {
        let (nats, ci) = (nats(), FakeCi::start());
        trouble(&ci);
        // One account, and no second one that would say the same.
        let bridge = Bridge::start(&nats, &ci.configuration(&EVERY.replace("1s", "1h")));
        let log = eventually(sentence, || {
            Some(bridge.log()).filter(|log| log.contains("jobs may be unaccounted for"))
        });
        assert_eq!(log.matches("not all of CI's account could be had").count(), 1, "{log}");
        assert_eq!(log.matches(sentence).count(), 1, "{log}");
        assert!(!log.contains(SECRET_KEY) && !log.contains("no-key"), "{log}");
        assert_eq!(bridge.metric("ci_bridge_reconcile_last_success_timestamp_seconds"), 0.0, "{sentence}");
        bridge.wait_until_ready();
    }
}

#[test]
fn what_the_spool_of_this_bridge_holds_is_not_missing() {
    let (mut nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &ci.configuration(EVERY));
    let job = Job::ended("j1", EARLIER);
    nats.kill().unwrap();
    assert_eq!(bridge.post(job.callback()).json()["outcome"], "spooled");
    ci.add(job);
    nats.restart(None).unwrap();
    eventually("an account that has seen it", || {
        (bridge.metric("ci_bridge_reconciled_jobs_total{result=\"present\"}") >= 1.0).then_some(())
    });
    assert_eq!(bridge.metric("ci_bridge_reconciled_jobs_total{result=\"recovered\"}"), 0.0);
    eventually("stored", || (Streams::of(&nats).messages("CI").len() == 1).then_some(()));
}
