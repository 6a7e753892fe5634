//! `[reconcile] every`: the same in `serve`, by one bridge of several.

use super::EARLIER;
use crate::fake_ci::{FakeCi, Fault, Job};
use crate::support::{Bridge, Streams, eventually, nats};

const EVERY: &str = "every = \"1s\"\ntags = [\"Transcode\", \"Workflow\"]";

#[test]
fn one_bridge_of_two_recovers_and_the_other_follows_it() {
    let (nats, ci) = (nats(), FakeCi::start());
    let configuration = ci.configuration(EVERY);
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
    assert_eq!(first.log().matches("its callback never came").count(), 2, "{}", first.log());
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
    assert_eq!(bridge.get("/readyz").status, 200);
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
