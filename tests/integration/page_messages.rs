//! What the page shows of single messages, of quarantine, of settings and of jobs; and posting again out of quarantine.

use serde_json::{Value, json};

use crate::fake_ci::{FakeCi, Job};
use crate::support::{
    Bridge, LocalNats, Streams, eventually, moderation, nats, nats_forbidding, request, signal, task,
};

const TOKEN: &str = "[admin]\ntoken_file = \"admin-token\"\n";

/// A bridge whose admin API has a token, and the header with it.
fn with_token(nats: &LocalNats, further: &str) -> Bridge {
    let bridge = Bridge::start(nats, further);
    std::fs::write(bridge.folder().join("admin-token"), "s3cret\n").unwrap();
    let bridge = bridge.kill_and_restart_with(&format!("{TOKEN}{further}"));
    bridge.wait_until_ready();
    bridge
}

const BEARER: (&str, &str) = ("Authorization", "Bearer s3cret");

fn ask(bridge: &Bridge, method: &str, path: &str) -> (u16, Value) {
    let answer = request(bridge.admin, method, &format!("/api/v1/{path}"), &[BEARER], b"");
    (answer.status, answer.json())
}

#[test]
fn a_message_is_read_from_its_stream_when_it_is_asked_for() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    bridge.post(task("j1"));
    let fact = bridge.get("/api/v1/callbacks").json()["callbacks"][0].clone();
    let path = format!("/api/v1/streams/{}/messages/{}", fact["stream"].as_str().unwrap(), fact["seq"]);
    let message = bridge.get(&path).json();
    assert_eq!(
        (&message["stream"], &message["seq"], &message["subject"]),
        (&fact["stream"], &fact["seq"], &fact["subject"])
    );
    let body: Value = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["JobId"], &message["kept"]), (&json!("j1"), &message["bytes"]));
    let headers = message["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["Nats-Msg-Id", "task:j1:Success"])), "{headers:?}");
    assert_eq!(message["object"], Value::Null);
    for path in ["streams/CI/messages/2", "streams/OTHER/messages/1", "streams/OBJ_CI_LARGE/messages/1"] {
        let answer = bridge.get(&format!("/api/v1/{path}"));
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
}

#[test]
fn a_large_message_is_shown_as_the_reference_that_it_is() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    bridge.post_and_store(moderation("j1", 2000));
    let message = bridge.get("/api/v1/streams/CI/messages/1").json();
    let object = &message["object"];
    assert_eq!(object["bucket"], "CI_LARGE");
    assert!(object["bytes"].as_u64() > Some(1 << 20) && object["name"].is_string(), "{object}");
    assert!(message["bytes"].as_u64() < Some(1 << 20));
}

#[test]
fn a_user_without_the_right_is_told_which_one() {
    let (_nats, url) = nats_forbidding(&["$JS.API.STREAM.MSG.GET.>"]);
    let bridge = Bridge::start_towards(&url, "");
    bridge.wait_until_ready();
    bridge.post(task("j1"));
    let answer = bridge.get("/api/v1/streams/CI/messages/1");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("$JS.API.STREAM.MSG.GET.CI"), "{}", answer.text());
    // Nobody else is held up by it.
    bridge.wait_until_ready();
}

#[test]
fn without_nats_a_message_cannot_be_had_and_the_rest_can() {
    let mut nats = nats();
    let bridge = Bridge::start(&nats, "");
    bridge.post(task("j1"));
    nats.kill().unwrap();
    let answer = eventually("away", || {
        let answer = bridge.get("/api/v1/streams/CI/messages/1");
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{}", answer.text());
    assert_eq!(bridge.get("/api/v1/quarantine").status, 503);
    assert_eq!(bridge.get("/api/v1/callbacks").status, 200);
    assert_eq!(bridge.get("/api/v1/settings").status, 200);
}

#[test]
fn quarantine_is_listed_newest_first_and_shows_the_place_of_the_fault() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    for number in 1..=5 {
        bridge.post(format!("<Response>\n  <Broken{number}"));
    }
    bridge.post(b"\xff\xfe not UTF-8");
    let page = bridge.get("/api/v1/quarantine?limit=2").json();
    assert_eq!((&page["total"], &page["next"]), (&json!(6), &json!(5)));
    let numbers = |page: &Value| -> Vec<u64> {
        page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&page), [6, 5]);
    let page = bridge.get("/api/v1/quarantine?limit=200&before=5").json();
    assert_eq!((numbers(&page), &page["next"]), (vec![4, 3, 2, 1], &Value::Null));
    let entry = bridge.get("/api/v1/quarantine/5").json();
    assert_eq!((&entry["reason"], &entry["endpoint"]), (&json!("syntax"), &json!("default")));
    assert_eq!((&entry["body"], &entry["line"]), (&json!("<Response>\n  <Broken5"), &json!(2)));
    assert!(entry["column"].as_u64().is_some_and(|column| column >= 3), "{entry}");
    assert!(entry["headers"].as_array().unwrap().iter().any(|header| header[0] == "Ci-Reason"));
    let binary = bridge.get("/api/v1/quarantine/6").json();
    assert_eq!((&binary["body"], &binary["body_base64"]), (&Value::Null, &json!("//4gbm90IFVURi04")));
    let body = bridge.get("/api/v1/quarantine/5/body");
    assert_eq!(body.text(), "<Response>\n  <Broken5");
    assert_eq!(body.header("content-disposition"), Some("attachment; filename=\"quarantine-5\""));
    assert_eq!(body.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert_eq!(body.header("content-type"), Some("application/octet-stream"));
    assert_eq!(bridge.get("/api/v1/quarantine/7").status, 404);
    // Nothing can be changed without a token.
    let refused = request(bridge.admin, "POST", "/api/v1/quarantine/5/replay", &[], b"");
    assert_eq!(refused.status, 403, "{}", refused.text());
}

/// A callback with two jobs, which `max_jobs` decides about.
fn two_jobs() -> String {
    let job = |id: &str| json!({ "JobId": id, "Tag": "Transcode", "State": "Success" });
    json!({ "EventName": "TaskFinish", "JobsDetail": [job("j1"), job("j2")] }).to_string()
}

#[test]
fn a_body_is_posted_again_and_leaves_quarantine_when_it_is_taken() {
    let nats = nats();
    let bridge = with_token(&nats, "[ingress]\nmax_jobs = 1\n");
    bridge.post(two_jobs());
    bridge.post("<Response><Broken");
    let (status, problem) = ask(&bridge, "POST", "quarantine/1/replay");
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().starts_with("not posted, it still cannot be read"),
        "{problem}"
    );
    let bridge = bridge.kill_and_restart_with(TOKEN);
    bridge.wait_until_ready();
    let (status, replayed) = ask(&bridge, "POST", "quarantine/1/replay");
    assert_eq!(status, 200, "{replayed}");
    assert_eq!(
        (&replayed["status"], &replayed["outcome"], &replayed["removed"]),
        (&json!(200), &json!("published"), &json!(true))
    );
    assert_eq!(replayed["messages"][1]["id"], "task:j2:Success");
    assert!(replayed["detail"].as_str().unwrap().contains("ci.task.Transcode.success, CI #1"), "{replayed}");
    assert_eq!(ask(&bridge, "GET", "quarantine/1").0, 404);
    assert_eq!(ask(&bridge, "GET", "quarantine").1["entries"][0]["seq"], 2);
    assert_eq!(ask(&bridge, "POST", "quarantine/1/replay").0, 404);
    assert_eq!(Streams::of(&nats).messages("CI").len(), 2);
    // It is a callback like others, and leaves a fact like others.
    let facts = ask(&bridge, "GET", "callbacks").1;
    assert_eq!(
        (&facts["callbacks"][0]["outcome"], &facts["callbacks"][0]["jobs"]),
        (&json!("published"), &json!(2))
    );
    bridge.assert_every_callback_is_accounted_for();
}

#[test]
fn what_came_to_an_endpoint_that_is_gone_goes_to_no_other() {
    let nats = nats();
    let tenant = |name: &str, max_jobs: usize| {
        format!(
            "[ingress]\nmax_jobs = {max_jobs}\n[[ingress.endpoints]]\nname = {name:?}\npath = \"/ci/callback\"\n"
        )
    };
    let bridge = with_token(&nats, &tenant("a", 1));
    bridge.post(two_jobs());
    let bridge = bridge.kill_and_restart_with(&format!("{TOKEN}{}", tenant("b", 9)));
    bridge.wait_until_ready();
    let (status, problem) = ask(&bridge, "POST", "quarantine/1/replay");
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("endpoint \"a\""), "{problem}");
    assert_eq!(ask(&bridge, "GET", "quarantine/1").0, 200, "it is still there");
}

#[test]
fn what_ci_denies_stays_in_quarantine_and_its_replay_says_so() {
    let (nats, ci) = (nats(), FakeCi::start());
    let verified = format!("[[ingress.endpoints]]\nverify = \"all\"\n\n{}", ci.configuration(""));
    let bridge = with_token(&nats, &verified);
    let (forged, late) = (Job::ended("j1", 60), Job::ended("j2", 60));
    bridge.post(forged.callback());
    bridge.post(late.callback());
    // CI knows of one of them by now.
    ci.add_all([late]);
    let (status, replayed) = ask(&bridge, "POST", "quarantine/1/replay");
    assert_eq!(
        (status, &replayed["outcome"], &replayed["removed"]),
        (200, &json!("quarantined"), &json!(false))
    );
    assert_eq!(replayed["detail"], "it is in quarantine again: CI denies it");
    assert_eq!(ask(&bridge, "GET", "quarantine/1").0, 200, "it is still there");
    let (status, replayed) = eventually("what CI was asked before is forgotten", || {
        let (status, replayed) = ask(&bridge, "POST", "quarantine/2/replay");
        (replayed["outcome"] != "quarantined").then_some((status, replayed))
    });
    assert_eq!(
        (status, &replayed["outcome"], &replayed["removed"]),
        (200, &json!("published"), &json!(true))
    );
    assert_eq!(replayed["detail"], "published as CI describes it");
    assert_eq!(ask(&bridge, "GET", "quarantine/2").0, 404);
}

#[test]
fn settings_say_who_set_them_and_no_secret() {
    let nats = nats();
    let own = "
        [ingress]
        max_jobs = 50
        [[ingress.endpoints]]
        name = \"default\"
        path = \"/ci/callback\"
        tokens = [\"s3cret-of-a-sender\"]
    ";
    let bridge = Bridge::start(&nats, own);
    let answer = bridge.get("/api/v1/settings");
    assert!(!answer.text().contains("s3cret"), "{}", answer.text());
    let settings = answer.json();
    let row = |settings: &Value, key: &str| {
        settings["settings"].as_array().unwrap().iter().find(|row| row["key"] == key).cloned().unwrap()
    };
    let max_jobs = row(&settings, "ingress.max_jobs");
    assert_eq!(max_jobs["value"], "50");
    assert!(max_jobs["source"].as_str().unwrap().contains("ci-bridge.toml"), "{max_jobs}");
    assert!(row(&settings, "admin.listen")["source"].as_str().unwrap().contains("CI_BRIDGE__ADMIN__LISTEN"));
    assert_eq!(settings["reload"], Value::Null);
    let streams = eventually("the streams were seen", || {
        let streams = bridge.get("/api/v1/settings").json()["streams"].clone();
        streams[0]["messages"].is_u64().then_some(streams)
    });
    let holds: Vec<_> =
        streams.as_array().unwrap().iter().map(|stream| stream["holds"].as_str().unwrap()).collect();
    assert_eq!(holds, ["messages", "quarantine", "objects"]);
    let limits = streams[0]["limits"].as_str().unwrap();
    assert!(limits.contains("max_age 7d") && limits.contains("discard new"), "{limits}");
    // A reload that is refused, and one that is not.
    let file = bridge.folder().join("ci-bridge.toml");
    let reload = |text: &str, applied: bool| {
        std::fs::write(&file, text).unwrap();
        signal("HUP", bridge.id());
        eventually("reloaded", || {
            let reload = bridge.get("/api/v1/settings").json()["reload"].clone();
            (reload["applied"] == json!(applied)).then_some(reload)
        })
    };
    let refused = reload(&own.replace("max_jobs = 50", "max_jobs = 51"), false);
    assert!(
        refused["why"].as_str().unwrap().contains("ingress.max_jobs can only change with a restart"),
        "{refused}"
    );
    let subjects = format!("{own}\n[subjects]\ntask = \"ci.changed.{{tag}}\"\n");
    let applied = reload(&subjects, true);
    assert!(applied["changed"].as_str().unwrap().contains("subjects.task"), "{applied}");
    let settings = bridge.get("/api/v1/settings").json();
    assert_eq!(row(&settings, "subjects.task")["value"], "\"ci.changed.{tag}\"");
}

#[test]
fn the_last_account_with_ci_names_what_it_recovered() {
    let (nats, ci) = (nats(), FakeCi::start());
    let bridge = Bridge::start(&nats, &ci.configuration("every = \"1s\"\ntags = [\"Transcode\"]"));
    ci.add(Job::ended("j1", 3600));
    let reconcile = eventually("recovered", || {
        let reconcile = bridge.get("/api/v1/status").json()["reconcile"].clone();
        (reconcile["last"]["results"]["recovered"] == 1).then_some(reconcile)
    });
    assert_eq!(reconcile["every_seconds"], 1);
    let last = &reconcile["last"];
    assert_eq!(
        last["recovered"],
        json!([{ "id": "task:j1:Success", "subject": "ci.task.Transcode.success" }])
    );
    assert_eq!((&last["trouble"], &last["results"]["failed"]), (&Value::Null, &json!(0)));
}

#[test]
fn a_job_is_looked_up_by_its_id() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "[jobs]\nbucket = \"jobs\"\n");
    bridge.post(task("j1"));
    assert_eq!(bridge.get("/api/v1/status").json()["jobs"], true);
    let job = bridge.get("/api/v1/jobs/j1").json();
    assert_eq!((&job["id"], &job["subject"]), (&json!("j1"), &json!("$KV.jobs.j1")));
    let body: Value = serde_json::from_str(job["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["JobId"], "j1");
    for id in ["j2", "a.b", "%3E", "*", &"x".repeat(5000)] {
        let answer = bridge.get(&format!("/api/v1/jobs/{id}"));
        assert_eq!(answer.status, 404, "{id}: {}", answer.text());
    }
    let without = Bridge::start(&nats, "");
    assert_eq!(without.get("/api/v1/status").json()["jobs"], false);
    let answer = without.get("/api/v1/jobs/j1");
    assert!(answer.status == 404 && answer.text().contains("set [jobs] bucket"), "{}", answer.text());
}
