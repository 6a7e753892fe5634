//! What is published of what CI confirms: under which id, whatever the form of the callback was, and however large it is.

use std::sync::Arc;

use serde_json::Value;

use super::{AGO, assert_silent, configuration, only};
use crate::fake_ci::{BUCKET, FakeCi, Job};
use crate::support::{Bridge, Streams, eventually, nats};

/// A result of moderation, as its callback has it in either form.
fn moderation(id: &str) -> [String; 2] {
    [
        format!(
            r#"{{"EventName":"ReviewImage","JobsDetail":{{"JobId":"{id}","State":"Success","BucketId":"{BUCKET}","Object":"a.jpg","Result":0,"Label":"Normal"}}}}"#
        ),
        format!(
            r#"{{"code":0,"message":"success","data":{{"event":"ReviewImage","trace_id":"{id}","result":0,"url":"https://{BUCKET}.cos.ap-beijing.myqcloud.com/a.jpg"}}}}"#
        ),
    ]
}

/// The id of moderation holds a hash of its body: that of CI's account, which has no form.
#[test]
fn both_forms_of_a_moderation_are_one_message() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &configuration(&ci, "refuse"));
    ci.add(Job::ended("si1", AGO));
    for body in moderation("si1") {
        assert_silent(&bridge.post(body));
    }
    let messages = Streams::of(&nats).messages("CI");
    let id = only(&messages).id().to_owned();
    assert!(id.starts_with("moderation:si1:Success:"), "{id}");
    assert_eq!(bridge.metric("ci_bridge_callbacks_total{outcome=\"duplicate\"}"), 1.0);
    // Neither the memory of this bridge nor that of the stream makes it so.
    let other = self::nats();
    let another = Bridge::start(&other, &configuration(&ci, "refuse"));
    let [_, simple] = moderation("si1");
    assert_silent(&another.post(simple));
    assert_eq!(only(&Streams::of(&other).messages("CI")).id(), id);
}

/// CI's answer does not name the bucket: it is the one that was asked.
#[test]
fn a_moderation_is_of_the_bucket_that_was_asked() {
    let (nats, ci) = (nats(), FakeCi::start());
    let endpoint = "[[ingress.endpoints]]\nallow_buckets = [\"media-*\"]\n\
        subjects = { moderation = \"ci.moderation.{bucket}.{event}.{verdict}\" }\n";
    let configuration = configuration(&ci, "refuse").replace("[[ingress.endpoints]]\n", endpoint);
    let bridge = Bridge::start(&nats, &configuration);
    ci.add(Job::ended("si1", AGO));
    let [detail, _] = moderation("si1");
    assert_silent(&bridge.post(detail));
    let messages = Streams::of(&nats).messages("CI");
    let message = only(&messages);
    assert_eq!(message.subject, format!("ci.moderation.{BUCKET}.ReviewImage.violation"));
    assert_eq!(message.header("ce-source"), Some(format!("/ci/{BUCKET}").as_str()));
    assert_eq!(message.json()["BucketId"], BUCKET);
}

/// Hours of speech, word by word: larger than NATS takes, and than what is remembered.
#[test]
fn a_large_result_is_the_object_that_its_callback_would_have_been() {
    let (nats, ci) = (nats(), FakeCi::start());
    let patient = configuration(&ci, "refuse").replace("timeout = \"1s\"", "timeout = \"10s\"");
    let patient = format!("[ingress]\ndeadline = \"15s\"\n{patient}");
    let bridge = Bridge::start(&nats, &patient);
    let sentences = 2000;
    let job = Job::ended("j1", AGO).with(|job| {
        job.tag = "SpeechRecognition";
        job.result = Arc::from(crate::support::sentences(sentences));
    });
    ci.add(job.clone());
    assert!(job.callback().len() > 2 << 20, "{}", job.callback().len());
    assert_silent(&bridge.post(job.callback().replace("This is my data.", "Pay 1,000,000")));
    let streams = Streams::of(&nats);
    // An object that takes longer than ack_timeout goes through the spool.
    let messages =
        eventually("stored", || Some(streams.messages("CI")).filter(|messages| !messages.is_empty()));
    assert_eq!(only(&messages).id(), "task:j1:Success");
    let (bucket, name) = messages[0].header("Ci-Object").unwrap().split_once('/').unwrap();
    assert!(name.starts_with("task:j1:Success"), "{name}");
    let whole: Value = serde_json::from_slice(&streams.object(bucket, name)).unwrap();
    let operation = &whole["Operation"];
    assert_eq!(operation["UserData"], "This is my data.");
    assert_eq!(operation["SpeechRecognitionResult"]["ResultDetail"].as_array().unwrap().len(), sentences);
    // It comes twice, and is the same message both times.
    assert_silent(&bridge.post(job.callback()));
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    assert_eq!(streams.messages("CI").len(), 1);
}
