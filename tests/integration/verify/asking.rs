//! How CI is asked about callbacks: in how many requests, how often, and what becomes of those for which there is no turn.

use std::time::Duration;

use super::{AGO, assert_silent, configuration, only};
use crate::fake_ci::{BUCKET, FakeCi, Fault, Job, SECRET_KEY};
use crate::support::{Bridge, Stored, Streams, nats};

/// Time enough for a machine that is busy with other tests.
const PATIENT: &str = "[ingress]\ndeadline = \"15s\"\n";

/// One request a second: a callback has its turn, or it has none.
fn slowly(ci: &FakeCi, on_error: &str) -> String {
    configuration(ci, on_error).replace("requests_per_second = 100", "requests_per_second = 1")
}

/// One request a second, and time for some.
fn slowly_and_patiently(ci: &FakeCi, on_error: &str) -> String {
    let configuration = slowly(ci, on_error).replace("timeout = \"1s\"", "timeout = \"10s\"");
    format!("{PATIENT}\n{configuration}")
}

/// All of these jobs in one callback.
fn together(jobs: &[Job]) -> String {
    let element = |job: &Job| {
        let body = job.callback();
        body[body.find("<JobsDetail>").unwrap()..body.find("</Response>").unwrap()].to_owned()
    };
    let elements: String = jobs.iter().map(element).collect();
    format!("<Response><EventName>TaskFinish</EventName>{elements}</Response>")
}

/// Posts all of them at once, and gives the statuses.
fn post_at_once(bridge: &Bridge, bodies: &[String]) -> Vec<u16> {
    std::thread::scope(|scope| {
        let posted: Vec<_> =
            bodies.iter().map(|body| scope.spawn(move || bridge.post(body).status)).collect();
        posted.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_callback_of_many_jobs_is_one_request() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &slowly_and_patiently(&ci, "refuse"));
    let jobs: Vec<_> = (0..20).map(|number| Job::ended(format!("j{number}"), AGO)).collect();
    ci.add_all(jobs.iter().cloned());
    assert_silent(&bridge.post(together(&jobs)));
    assert_eq!((Streams::of(&nats).messages("CI").len(), ci.asked("/jobs")), (20, 1));
    // Of those that were confirmed, nothing is asked again; those that are new are asked for in one more request.
    let further: Vec<_> = (15..25).map(|number| Job::ended(format!("j{number}"), AGO)).collect();
    ci.add_all(further[5..].iter().cloned());
    assert_silent(&bridge.post(together(&further)));
    let messages = Streams::of(&nats).messages("CI");
    assert_eq!((messages.len(), ci.asked("/jobs")), (25, 2));
    assert_eq!(ci.asked("/jobs/j20,j21,j22,j23,j24"), 1);
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn a_service_that_takes_no_list_of_ids_is_asked_for_one_after_another() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    let jobs = ["j1", "j2", "j3"].map(|id| Job::ended(id, AGO));
    ci.add_all(jobs.iter().cloned());
    ci.fail("/jobs/j1,", Fault::Refused(400, "InvalidArgument", "jobId"), usize::MAX);
    assert_silent(&bridge.post(together(&jobs)));
    assert_eq!(Streams::of(&nats).messages("CI").len(), 3);
}

/// A question a second, and eight seconds: of ten there is no turn for two, and CI, which takes three seconds, cannot answer
/// the last that it is asked.
#[test]
fn what_has_no_turn_is_refused_even_where_silence_publishes() {
    let (nats, ci) = (nats(), FakeCi::start());
    let patient = slowly(&ci, "publish").replace("timeout = \"1s\"", "timeout = \"8s\"");
    let bridge = Bridge::start(&nats, &format!("{PATIENT}\n{patient}"));
    ci.fail("/", Fault::Slow(Duration::from_secs(3)), usize::MAX);
    // Runs are asked for one by one.
    let forged: Vec<_> = (0..10).map(|number| Job::run(format!("i{number}"), AGO).callback()).collect();
    let statuses = post_at_once(&bridge, &forged);
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 503).count() >= 2, "{statuses:?}");
    let published = Streams::of(&nats).subjects("CI");
    assert!(published.is_empty(), "{published:?} {statuses:?}");
    bridge.assert_every_callback_is_accounted_for();
}

/// More jobs in one callback than there would be turns for.
#[test]
fn many_forged_jobs_at_once_are_not_believed_either() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &slowly_and_patiently(&ci, "publish"));
    let jobs: Vec<_> = (0..20).map(|number| Job::ended(format!("j{number}"), AGO)).collect();
    assert_silent(&bridge.post(together(&jobs)));
    assert!(Streams::of(&nats).messages("CI").is_empty());
    assert_eq!(Streams::of(&nats).subjects("CI_QUARANTINE"), ["ci-quarantine.unverified"]);
    assert_eq!(ci.asked("/jobs"), 2);
}

/// Whoever floods an endpoint can bring that about, and choose what CI is asked for.
#[test]
fn what_ci_refuses_for_our_sake_is_refused_even_where_silence_publishes() {
    let rows = [
        (Fault::Busy(429, None), "asks for fewer requests"),
        (Fault::Refused(503, "SlowDown", "Please reduce your request rate."), "asks for fewer requests"),
        (Fault::Refused(403, "AccessDenied", "Access Denied."), "allow the key ci:DescribeMediaJob "),
    ];
    for (fault, why) in rows {
        let (nats, ci) = (nats(), FakeCi::start());
        let bridge = Bridge::start(&nats, &configuration(&ci, "publish"));
        ci.fail("/jobs", fault.clone(), usize::MAX);
        let answer = bridge.post(Job::ended("j1", AGO).callback());
        assert!(answer.status == 503 && answer.text().contains(why), "{fault:?}: {}", answer.text());
        assert!(Streams::of(&nats).messages("CI").is_empty(), "{fault:?}");
        bridge.assert_every_callback_is_accounted_for();
    }
}

#[test]
fn each_trouble_with_the_api_is_one_sentence_in_the_answer_and_the_log() {
    type Trouble = fn(&FakeCi);
    let rows: [(Trouble, &str); 4] = [
        (
            |ci| ci.write_keys("AKIDother", "no-key"),
            "there is no such secret_id: correct the credentials of [tencent]",
        ),
        (|ci| ci.set_clock(600), "s behind CI's: set it, with NTP"),
        (
            |ci| ci.fail("/jobs", Fault::Refused(403, "AccessDenied", "Access Denied."), usize::MAX),
            "allow the key ci:DescribeMediaJob on this bucket",
        ),
        (
            |ci| ci.fail("/", Fault::Slow(Duration::from_secs(5)), usize::MAX),
            "cannot be reached: no answer within",
        ),
    ];
    for (trouble, sentence) in rows {
        let (nats, ci) = (nats(), FakeCi::start());
        trouble(&ci);
        let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
        for id in ["j1", "j2"] {
            let answer = bridge.post(Job::ended(id, AGO).callback());
            assert!(answer.status == 503 && answer.text().contains(sentence), "{}", answer.text());
        }
        bridge.wait_until_ready();
        assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"unavailable\"}"), 2.0, "{sentence}");
        let (_, log) = bridge.terminate();
        assert_eq!(log.matches(sentence).count(), 1, "{log}");
        assert!(log.contains("callbacks that need CI's word refused in the last minute count=2"), "{log}");
        assert!(!log.contains(SECRET_KEY) && !log.contains("no-key"), "{log}");
    }
}

/// Ten seconds for answers that take three each, one after another.
#[test]
fn questions_do_not_wait_for_the_answers_of_others() {
    let (nats, ci) = (nats(), FakeCi::start());
    let patient = configuration(&ci, "refuse").replace("timeout = \"1s\"", "timeout = \"10s\"");
    let bridge = Bridge::start(&nats, &format!("{PATIENT}\n{patient}"));
    let runs: Vec<_> = (0..6).map(|number| Job::run(format!("i{number}"), AGO)).collect();
    ci.add_all(runs.iter().cloned());
    ci.fail("/workflowexecution", Fault::Slow(Duration::from_secs(3)), usize::MAX);
    let bodies: Vec<_> = runs.iter().map(Job::callback).collect();
    assert_eq!(post_at_once(&bridge, &bodies), [200; 6]);
    assert_eq!(Streams::of(&nats).messages("CI").len(), 6);
    // What was opened is used again.
    ci.forgive();
    let again: Vec<_> = (6..12).map(|number| Job::run(format!("i{number}"), AGO)).collect();
    ci.add_all(again.iter().cloned());
    let connections = ci.connections();
    for run in &again {
        assert_silent(&bridge.post(run.callback()));
    }
    assert_eq!(ci.connections(), connections);
}

#[test]
fn a_query_that_lags_behind_the_callback_is_made_again() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    let (job, run) = (Job::ended("j1", AGO), Job::run("i1", AGO));
    ci.add_all([job.clone(), run.clone()]);
    ci.fail("/jobs", Fault::NotYet, 1);
    ci.fail("/workflowexecution", Fault::Refused(404, "NoSuchWorkflowExecution", ""), 1);
    assert_silent(&bridge.post(job.callback()));
    assert_silent(&bridge.post(run.callback()));
    let messages = Streams::of(&nats).messages("CI");
    assert_eq!(
        messages.iter().map(Stored::id).collect::<Vec<_>>(),
        ["task:j1:Success", "workflow:i1:Success"]
    );
    // Twice, and not more often.
    let asked = ci.asked("/workflowexecution");
    assert_silent(&bridge.post(Job::run("i9", AGO).callback()));
    assert_eq!(ci.asked("/workflowexecution") - asked, 2);
    // What CI said stands, where it does not say so again.
    ci.fail("/jobs", Fault::NotYet, 1);
    ci.fail("/jobs", Fault::Busy(503, None), usize::MAX);
    assert_silent(&bridge.post(Job::ended("j2", AGO).callback()));
    assert_eq!(Streams::of(&nats).subjects("CI_QUARANTINE"), ["ci-quarantine.unverified"; 2]);
    assert_eq!(Streams::of(&nats).messages("CI").len(), 2);
}

#[test]
fn jobs_of_the_older_services_are_asked_for_where_they_are() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    let rows = [
        ("pic_jobs", "PicProcess"),
        ("pic_jobs", "PosterProduction"),
        ("ai_jobs", "Translation"),
        ("ai_jobs", "WordsGeneralize"),
        ("file_jobs", "FileUncompress"),
        ("jobs", "Transcode"),
    ];
    for (number, (family, tag)) in rows.into_iter().enumerate() {
        let job = Job::ended(format!("j{number}"), AGO).with(|job| (job.family, job.tag) = (family, tag));
        ci.add(job.clone());
        assert_silent(&bridge.post(job.callback()));
        let subjects = Streams::of(&nats).subjects("CI");
        assert_eq!(subjects.last().unwrap(), &format!("ci.task.{tag}.success"), "{family}");
        assert_eq!(subjects.len(), number + 1, "{family}");
    }
    // What is nowhere costs no more than the service that it names, twice.
    let before = ci.asked("/");
    assert_silent(&bridge.post(Job::ended("j9", AGO).with(|job| job.tag = "Translation").callback()));
    assert_eq!(ci.asked("/") - before, 4);
}

#[test]
fn a_virus_is_asked_for_where_viruses_are() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    ci.add(Job::ended("ss1", AGO));
    let callback = |id: &str, word: &str| {
        format!(
            r#"{{"JobsDetail":{{"Code":"Success","JobId":"{id}","State":"Success","Object":"a.zip","Suggestion":"{word}","BucketId":"{BUCKET}"}}}}"#
        )
    };
    assert_silent(&bridge.post(callback("ss1", "normal")));
    let messages = Streams::of(&nats).messages("CI");
    // What the callback said of the file is not what CI says.
    assert_eq!(only(&messages).subject, "ci.moderation._.violation");
    assert_eq!(ci.asked("/virus/detect/ss1"), 1);
    assert_silent(&bridge.post(callback("ss2", "normal")));
    assert_eq!(Streams::of(&nats).messages("CI").len(), 1);
}
