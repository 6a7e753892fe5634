//! Messages that are larger than NATS takes: whole in the object store, and a small message that says where.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{
    Bridge, LocalNats, PATIENCE, Streams, eventually, eventually_within, moderation, nats, rendered, speech,
    task,
};

/// What is built for debugging reads some fifty times slower than what is shipped.
const PATIENT: &str = "[ingress]\ndeadline = \"15s\"\n";

/// The most memory that a process has ever taken, in KiB; `None` where the system does not say.
fn most_memory(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// With the defaults of the bridge and of nats-server. A sentence of ten words each three seconds, and a frame a second.
#[test]
fn five_hours_of_speech_and_an_hour_of_video_are_stored_whole() {
    /// `max_bytes_in_flight`, and what the bridge takes beside it.
    const MOST_KIB: u64 = (256 + 48) * 1024;
    let nats = nats();
    let bridge = Bridge::start(&nats, PATIENT);
    let (speech, video) = (speech("speech", 6000), moderation("video", 3600));
    assert!(speech.len() > 5 << 20 && video.len() > 3 << 20, "{} {}", speech.len(), video.len());
    for body in [&speech, &video] {
        bridge.post_and_store(body);
    }
    let streams = Streams::of(&nats);
    for (at, body) in [&speech, &video].into_iter().enumerate() {
        let (message, object) = stored(&streams, at);
        assert!(message.payload.len() < 4096, "{}", message.payload.len());
        assert!(object == rendered(body), "{}: byte for byte", message.id());
    }
    if let Some(most) = most_memory(bridge.id()) {
        assert!(most < MOST_KIB, "{most} KiB");
    }
}

/// What a bridge takes beside the bodies: the program, built for debugging.
const IDLE_KIB: u64 = 48 * 1024;

/// As many at once as `max_bytes_in_flight` lets in; what it does not is asked to come again.
#[test]
fn many_large_callbacks_at_once_stay_within_the_bound_of_memory() {
    // The allocator keeps for a second what was given back, which may be more than a low limit.
    for (limit_mib, shell) in [(256, ":"), (64, "export MIMALLOC_PURGE_DELAY=0")] {
        let nats = nats();
        let limited = format!("{PATIENT}max_bytes_in_flight = \"{limit_mib}MiB\"\n");
        let bridge = Bridge::start_in_shell(&nats, shell, &limited);
        let ids = ["a", "b", "c", "d", "e", "f"];
        std::thread::scope(|scope| {
            for id in ids {
                let bridge = &bridge;
                scope.spawn(move || {
                    let body = moderation(id, 4000);
                    // One after another, and built for debugging: the last waits for its turn more than once.
                    eventually_within(6 * PATIENCE, "taken", || {
                        (bridge.post(&body).status == 200).then_some(())
                    });
                });
            }
        });
        eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
        let streams = Streams::of(&nats);
        for (at, message) in streams.messages("CI").iter().enumerate() {
            let (_, object) = stored(&streams, at);
            let id = message.id().split(':').nth(1).unwrap();
            assert!(object == rendered(&moderation(id, 4000)), "{id}: byte for byte");
        }
        assert_eq!(streams.messages("CI").len(), ids.len());
        if let Some(most) = most_memory(bridge.id()) {
            println!(
                "six moderations of {} bytes, {limit_mib} MiB: {most} KiB at most",
                moderation("a", 4000).len()
            );
            assert!(most < limit_mib * 1024 + IDLE_KIB, "{limit_mib} MiB: {most} KiB");
        }
    }
}

/// What stands of a body in its object's name.
fn hash(body: &[u8]) -> String {
    Sha256::digest(body)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One message in the stream, and the object that it names.
fn stored(streams: &Streams, at: usize) -> (crate::support::Stored, Vec<u8>) {
    let message = streams.messages("CI").swap_remove(at);
    let (bucket, name) = message.header("Ci-Object").expect("it names an object").split_once('/').unwrap();
    let object = streams.object(bucket, name);
    assert_eq!(message.header("Ci-Object-Bytes"), Some(object.len().to_string().as_str()));
    (message, object)
}

#[test]
fn a_large_message_is_whole_in_the_object_store_and_a_small_one_says_where() {
    let nats = nats();
    let bridge = Bridge::start(&nats, PATIENT);
    let body = speech("large", 5000);
    assert!(body.len() > 4 << 20, "{}", body.len());
    bridge.post_and_store(&body);
    assert_eq!(bridge.post(task("small")).status, 200);
    let streams = Streams::of(&nats);
    let (message, object) = stored(&streams, 0);
    assert_eq!(message.subject, "ci.task.NoiseReduction.success");
    assert_eq!((message.id(), message.header("ce-id")), ("task:large:Success", Some("task:large:Success")));
    assert_eq!(message.header("Ci-Object"), Some(&*format!("CI_LARGE/task:large:Success:{}", hash(&object))));
    let whole: Value = serde_json::from_slice(&object).unwrap();
    assert!(object == rendered(&body), "byte for byte");
    assert_eq!(whole["Operation"]["SpeechRecognitionResult"]["ResultDetail"].as_array().unwrap().len(), 5000);
    // The event without its long lists.
    let small = message.json();
    assert_eq!((&small["JobId"], &small["Input"]), (&whole["JobId"], &whole["Input"]));
    assert_eq!(small["Operation"]["SpeechRecognitionResult"], json!({ "AudioTime": "18000" }));
    assert!(streams.messages("CI")[1].header("Ci-Object").is_none());
    // A repetition stores neither the message nor the object again.
    let chunks = streams.messages("OBJ_CI_LARGE").len();
    bridge.post_and_store(&body);
    assert_eq!((streams.messages("CI").len(), streams.messages("OBJ_CI_LARGE").len()), (2, chunks));
    assert_eq!(bridge.metric("ci_bridge_nats_connections_total"), 1.0);
    bridge.wait_until_ready();
}

/// Somebody has purged the stream, or it has dropped the oldest: a name is left that leads to nothing.
#[test]
fn an_object_that_is_no_longer_whole_is_stored_again() {
    let nats = nats();
    let bridge = Bridge::start(&nats, PATIENT);
    let body = speech("large", 2000);
    bridge.post_and_store(&body);
    let streams = Streams::of(&nats);
    let messages = streams.messages("OBJ_CI_LARGE").len();
    let purged = streams.ask("$JS.API.STREAM.PURGE.OBJ_CI_LARGE", &json!({ "filter": "$O.CI_LARGE.C.>" }));
    assert_eq!(purged["success"], true, "{purged}");
    bridge.post_and_store(&body);
    assert!(stored(&streams, 0).1 == rendered(&body), "byte for byte");
    assert_eq!(streams.messages("OBJ_CI_LARGE").len(), messages);
}

/// JetStream drops the second small message as a repetition of the first: what that one refers to must stay what it was.
#[test]
fn another_body_under_the_same_id_leaves_the_object_of_the_first() {
    let nats = nats();
    let bridge = Bridge::start(&nats, PATIENT);
    let streams = Streams::of(&nats);
    let bodies = [speech("large", 1500), speech("large", 2000)];
    for body in &bodies {
        bridge.post_and_store(body);
    }
    assert_eq!(streams.messages("CI").len(), 1, "one of the two is dropped");
    assert!(stored(&streams, 0).1 == rendered(&bodies[0]), "byte for byte");
    assert_eq!(bridge.metric("ci_bridge_large_messages_total"), 2.0);
}

#[test]
fn while_nats_is_away_a_large_message_waits_whole_and_is_stored_in_its_turn() {
    let mut nats = nats();
    nats.kill().unwrap();
    let bridge = Bridge::start_towards(&nats.url(), PATIENT);
    let body = speech("large", 2000);
    for callback in [task("before"), body.clone(), task("after")] {
        assert_eq!(bridge.post(&callback).json()["outcome"], "spooled");
    }
    let bridge = bridge.kill_and_restart();
    nats.restart(None).unwrap();
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    bridge.wait_until_ready();
    let streams = Streams::of(&nats);
    let mut ids: Vec<_> = streams.messages("CI").iter().map(|message| message.id().to_owned()).collect();
    ids.sort();
    assert_eq!(ids, ["task:after:Success", "task:before:Success", "task:large:Success"]);
    let place = streams.messages("CI").iter().position(|message| message.id().contains("large")).unwrap();
    let (_, object) = stored(&streams, place);
    assert!(object == rendered(&body), "byte for byte");
    assert_eq!(bridge.metric("ci_bridge_large_messages_total"), 1.0);
}

#[test]
fn a_limit_of_stream_or_account_leads_to_the_object_store_as_well() {
    let account = "accounts { A { jetstream: enabled, users: [{user: a, password: p}], limits: { max_payload: 20000 } } }";
    for configuration in ["", account] {
        let nats = LocalNats::start(configuration).unwrap();
        let url = match configuration {
            "" => nats.url(),
            _ => nats.url().replace("nats://", "nats://a:p@"),
        };
        let streams = Streams::at(&url);
        if configuration.is_empty() {
            let config = json!({ "name": "CI", "subjects": ["ci.>"], "max_msg_size": 20000 });
            assert!(streams.ask("$JS.API.STREAM.CREATE.CI", &config)["error"].is_null());
        }
        let bridge = Bridge::start_towards(&url, PATIENT);
        bridge.wait_until_ready();
        let body = speech("large", 100);
        assert_eq!(bridge.post(&body).status, 200, "{configuration}");
        eventually("stored", || (!streams.messages("CI").is_empty()).then_some(()));
        let (message, object) = stored(&streams, 0);
        assert!(message.payload.len() < 20000, "{configuration}");
        assert_eq!(object.len(), rendered(&body).len(), "{configuration}");
    }
}

#[test]
fn an_object_store_that_cannot_be_made_keeps_large_messages_in_the_spool_and_no_others() {
    let denied = "permissions: { publish: { deny: [\"$JS.API.STREAM.CREATE.OBJ_CI_LARGE\"] } }";
    let mut nats =
        LocalNats::start(&format!("authorization {{ users: [{{ user: b, password: p, {denied} }}] }}"))
            .unwrap();
    let url = nats.url().replace("nats://", "nats://b:p@");
    let bridge = Bridge::start_towards(&url, PATIENT);
    bridge.wait_until_ready();
    assert_eq!(bridge.post(speech("large", 2000)).json()["outcome"], "spooled");
    assert_eq!(bridge.post(task("small")).json()["outcome"], "published");
    eventually("said", || bridge.log().contains("the object store for large messages").then_some(()));
    nats.restart(Some("authorization { users: [{ user: b, password: p }] }")).unwrap();
    eventually("drained", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    bridge.wait_until_ready();
}

#[test]
fn oversize_refuse_answers_413() {
    let nats = nats();
    let bridge = Bridge::start(&nats, &format!("{PATIENT}[messages]\noversize = \"refuse\"\n"));
    assert_eq!(bridge.post(speech("large", 2000)).status, 413);
    assert_eq!(Streams::of(&nats).subjects("CI_QUARANTINE"), ["ci-quarantine.oversize"]);
}

/// Of twenty seconds of life, one is young.
#[test]
fn an_object_that_max_age_will_soon_delete_is_stored_again() {
    let nats = nats();
    let short = "[jetstream.large]\nmax_age = \"20s\"\n";
    let bridge = Bridge::start(&nats, &format!("{PATIENT}{short}"));
    let body = speech("large", 2000);
    bridge.post_and_store(&body);
    let streams = Streams::of(&nats);
    // Each object's chunks have a subject of their own.
    let chunks = || {
        let mut subjects = streams.subjects("OBJ_CI_LARGE");
        subjects.retain(|subject| subject.contains(".C."));
        subjects.dedup();
        subjects
    };
    let first = chunks();
    eventually("stored again, and only the new chunks are left", || {
        assert_eq!(bridge.post(&body).status, 200);
        let now = chunks();
        (now.len() == 1 && now != first).then_some(())
    });
}
