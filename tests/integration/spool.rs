//! What waits in the spool, as an operator sees it and gives it up: `ci-bridge spool`, and the API that it asks.

mod api;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::{
    Bridge, LocalNats, Streams, ci_bridge, eventually, nats, nats_forbidding, signal, task, task_with,
};

/// `ci-bridge spool …` with the configuration of a bridge, in its folder: exit code, standard output and error.
fn spool(folder: &Path, admin: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = ci_bridge();
    command.arg("spool").args(arguments).args(["-c", "ci-bridge.toml"]).current_dir(folder);
    let output = command.env("CI_BRIDGE__ADMIN__LISTEN", admin).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn spool_of(bridge: &Bridge, arguments: &[&str]) -> (Option<i32>, String, String) {
    spool(bridge.folder(), &bridge.admin.to_string(), arguments)
}

fn stopped_nats() -> LocalNats {
    let mut nats = nats();
    nats.kill().unwrap();
    nats
}

/// A bridge with a message that no stream takes: `[subjects]` was wrong for a moment.
fn with_a_message_that_nobody_takes(nats: &LocalNats, more: &str) -> Bridge {
    let bridge = Bridge::start_towards(&nats.url(), &format!("[subjects]\ntask = \"wrong.{{tag}}\"\n{more}"));
    eventually("looked at", || bridge.get("/readyz").text().contains("does not take wrong").then_some(()));
    assert_eq!(bridge.post(task("lost")).json()["outcome"], "spooled");
    std::fs::write(bridge.folder().join("ci-bridge.toml"), more).unwrap();
    signal("HUP", bridge.id());
    bridge.wait_until_ready();
    bridge
}

#[test]
fn a_message_that_nobody_takes_is_named_and_keeps_nobody_from_being_ready() {
    let nats = nats();
    let bridge = with_a_message_that_nobody_takes(&nats, "");
    let named = |bridge: &Bridge| {
        eventually("named", || {
            let answer = bridge.get("/readyz");
            let readiness = answer.json();
            let first = &readiness["refused"]["oldest"][0];
            (answer.status == 200 && first.is_object())
                .then(|| (readiness["refused"]["messages"].clone(), first.clone()))
        })
    };
    let (count, first) = named(&bridge);
    assert_eq!(count, 1);
    assert_eq!(
        (&first["id"], &first["subject"]),
        (&"task:lost:Success".into(), &"wrong.NoiseReduction".into())
    );
    assert_eq!(
        (&first["stream"], &first["reason"]),
        (&"CI".into(), &"no stream takes the subject at the moment".into())
    );
    assert!(first["since"].as_str().unwrap().ends_with('Z'), "{first}");
    assert_eq!(bridge.metric("ci_bridge_spool_refused_messages"), 1.0);
    assert_eq!(bridge.metric("ci_bridge_ready{check=\"subjects\"}"), 1.0);
    // Others go on, and it is still named.
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
    let said = |log: &str| {
        log.lines()
            .filter(|line| line.contains("its messages wait") && line.contains("id=task:lost:Success"))
            .count()
    };
    eventually("said in the log", || (said(&bridge.log()) == 1).then_some(()));
    let bridge = bridge.kill_and_restart();
    assert_eq!(named(&bridge).1["id"], "task:lost:Success", "after a restart as well");
    let check = eventually("said by the check", || {
        let readiness = bridge.get("/readyz").json();
        let checks = readiness["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|check| check["name"] == "spool" && check["detail"].as_str().unwrap().contains("refused"))
    });
    assert_eq!(check["ok"], true);
    assert!(
        check["detail"].as_str().unwrap().contains("first task:lost:Success on wrong.NoiseReduction, since "),
        "{check}"
    );
}

#[test]
fn a_subject_that_new_callbacks_lead_to_keeps_the_bridge_from_being_ready() {
    let (_nats, url) = nats_forbidding(&["ci.task.Poison.>"]);
    let bridge = Bridge::start_towards(&url, "");
    bridge.wait_until_ready();
    for job in ["p1", "p2", "p3"] {
        assert_eq!(bridge.post(task_with(job, "Poison", "Success")).json()["outcome"], "spooled");
    }
    eventually("all are counted", || {
        (bridge.metric("ci_bridge_spool_refused_messages") == 3.0).then_some(())
    });
    let answer =
        eventually("not ready", || Some(bridge.get("/readyz")).filter(|answer| answer.status == 503));
    let readiness = answer.json();
    assert_eq!(readiness["refused"]["oldest"].as_array().unwrap().len(), 1, "one stands for its subject");
    assert_eq!(readiness["refused"]["oldest"][0]["id"], "task:p1:Success");
}

const WITH_TOKEN: &str = "[admin]\ntoken_file = \"admin-token\"\n";

#[test]
fn a_running_bridge_is_asked_what_waits_and_told_what_to_drop() {
    let nats = nats();
    let bridge = with_a_message_that_nobody_takes(&nats, "");
    let refused = eventually("tried", || {
        let (code, list, stderr) = spool_of(&bridge, &["list", "--refused", "--json"]);
        assert_eq!(code, Some(0), "{stderr}");
        Some(list).filter(|list| !list.is_empty())
    });
    let entry: Value = serde_json::from_str(&refused).unwrap();
    assert_eq!((&entry["id"], &entry["refused"]), (&"task:lost:Success".into(), &true.into()));
    assert!(entry["tries"].as_u64().unwrap() >= 1 && entry.get("body").is_none(), "{entry}");
    let (code, list, _) = spool_of(&bridge, &["list"]);
    let lines: Vec<_> = list.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 2), "{list}");
    assert!(
        lines[0].starts_with("ID ") && lines[1].starts_with("task:lost:Success  wrong.NoiseReduction  CI "),
        "{list}"
    );
    assert!(lines[1].ends_with("no stream takes the subject at the moment"), "{list}");
    let (_, status, _) = spool_of(&bridge, &["status"]);
    assert!(status.starts_with("messages 1\nbytes ") && status.contains("\nrefused 1\n"), "{status}");
    let (code, shown, _) = spool_of(&bridge, &["show", "task:lost:Success"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((code, &shown["headers"]["Nats-Msg-Id"]), (Some(0), &"task:lost:Success".into()));
    assert!(shown["body"].as_str().unwrap().contains("\"JobId\":\"lost\""), "{shown}");
    let (code, _, said) = spool_of(&bridge, &["drop", "task:lost:Success"]);
    assert!(
        code == Some(1) && said.contains("answers 403") && said.contains("set [admin] token_file"),
        "{said}"
    );
    let (code, _, said) = spool_of(&bridge, &["drain", "--seconds", "0"]);
    assert!(code == Some(1) && said.contains("1 message still in the spool, 1 of them refused"), "{said}");
    assert_eq!(bridge.metric("ci_bridge_spool_messages"), 1.0);
}

#[test]
fn what_is_dropped_is_gone_for_good_and_logged() {
    let nats = nats();
    let bridge = with_a_message_that_nobody_takes(&nats, "");
    std::fs::write(bridge.folder().join("admin-token"), "s3cret\n").unwrap();
    let bridge = bridge.kill_and_restart_with(WITH_TOKEN);
    bridge.wait_until_ready();
    eventually("tried", || (bridge.metric("ci_bridge_spool_refused_messages") == 1.0).then_some(()));
    let (code, _, said) = spool_of(&bridge, &["drop", "task:other:Success"]);
    assert_eq!(
        (code, &*said),
        (Some(1), "ci-bridge: no message \"task:other:Success\" waits in the spool\n")
    );
    let (code, said, _) = spool_of(&bridge, &["drop", "task:lost:Success"]);
    assert_eq!((code, &*said), (Some(0), "dropped task:lost:Success\n"));
    eventually("nothing is refused", || {
        (bridge.metric("ci_bridge_spool_refused_messages") == 0.0).then_some(())
    });
    // The next look is up to a second away.
    eventually("/readyz as well", || bridge.get("/readyz").json().get("refused").is_none().then_some(()));
    assert_eq!(bridge.metric("ci_bridge_spool_messages"), 0.0);
    let dropped = bridge.logged("dropped from the spool by an operator");
    assert!(
        dropped.contains("WARN") && dropped.contains("id=task:lost:Success subject=wrong.NoiseReduction"),
        "{dropped}"
    );
    let bridge = bridge.kill_and_restart();
    assert_eq!(bridge.metric("ci_bridge_spool_messages"), 0.0, "after a crash as well");
}

#[test]
fn a_list_of_nothing_says_so() {
    let nats = nats();
    let bridge = Bridge::start(&nats, "");
    for (arguments, expected) in [
        (&["list"][..], "ci-bridge: the spool is empty\n"),
        (&["list", "--refused"], "ci-bridge: NATS refuses none of what waits\n"),
        (&["list", "--json"], ""),
    ] {
        assert_eq!(
            spool_of(&bridge, arguments),
            (Some(0), String::new(), expected.to_owned()),
            "{arguments:?}"
        );
    }
    let folder = bridge.stop_and_keep_folder();
    let (code, list, stderr) = spool(folder.path(), "127.0.0.1:1", &["list"]);
    assert_eq!((code, list.as_str(), stderr.as_str()), (Some(0), "", "ci-bridge: the spool is empty\n"));
}

#[test]
fn the_files_are_asked_while_no_bridge_runs() {
    let mut nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "");
    for job in ["j1", "j2", "j1"] {
        assert_eq!(bridge.post(task(job)).json()["outcome"], "spooled");
    }
    let folder = bridge.stop_and_keep_folder();
    let ask = |arguments: &[&str]| spool(folder.path(), "127.0.0.1:1", arguments);
    let (code, list, stderr) = ask(&["list", "--limit", "2"]);
    assert_eq!((code, list.lines().count()), (Some(0), 3), "{list}{stderr}");
    assert!(list.lines().nth(1).unwrap().ends_with("no bridge runs"), "{list}");
    let (code, _, stderr) = ask(&["export", "-o", "kept.jsonl"]);
    assert!(
        code == Some(0) && stderr.contains("3 messages written to kept.jsonl; they still wait"),
        "{stderr}"
    );
    let kept = folder.path().join("kept.jsonl");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let exported = std::fs::read_to_string(&kept).unwrap();
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(exported.len(), 3);
    let (code, _, stderr) = ask(&["export", "-o", "kept.jsonl"]);
    assert!(code == Some(1) && stderr.contains("kept.jsonl: File exists"), "{stderr}");
    let (code, said, _) = ask(&["drop", "task:j1:Success"]);
    assert_eq!((code, &*said), (Some(0), "dropped task:j1:Success, which waited 2 times\n"));
    assert_eq!(ask(&["drop", "--all"]).0, Some(2), "not without --yes");
    assert_eq!(ask(&["show", "task:j1:Success"]).0, Some(1));
    assert!(ask(&["status"]).1.starts_with("messages 1\n"));
    assert_eq!(ask(&["drop", "--all", "--yes"]).1, "dropped 1 message\n");
    // What was exported can be published by hand: the same message under the same id.
    nats.restart(None).unwrap();
    let bridge = Bridge::start(&nats, "");
    assert_eq!(bridge.post(task("j2")).json()["outcome"], "published");
    let stored = Streams::of(&nats).messages("CI").remove(0);
    let same = exported.iter().find(|message| message["id"] == stored.id()).unwrap();
    assert_eq!(
        (same["subject"].as_str().unwrap(), same["body"].as_str().unwrap().as_bytes()),
        (&*stored.subject, &*stored.payload)
    );
    for (name, value) in same["headers"].as_object().unwrap() {
        assert_eq!(stored.header(name), value.as_str(), "{name}");
    }
}

#[test]
fn a_question_makes_no_spool() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ci-bridge.toml"), "").unwrap();
    for arguments in [&["status"][..], &["list"], &["drain"]] {
        let (code, said, stderr) = spool(folder.path(), "127.0.0.1:1", arguments);
        assert_eq!(
            (code, &*said),
            (Some(0), "no spool at ./spool: nothing waits\n"),
            "{arguments:?}: {stderr}"
        );
    }
    for (arguments, expected) in [
        (&["show", "x"][..], Some(1)),
        (&["drop", "x"], Some(1)),
        (&["export"], Some(0)),
        (&["drop", "--all", "--yes"], Some(0)),
    ] {
        assert_eq!(spool(folder.path(), "127.0.0.1:1", arguments).0, expected, "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn only_their_owner_may_read_the_files_of_a_spool() {
    let nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "");
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "spooled");
    let mut folders = vec![bridge.folder().join("spool")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).unwrap() {
            match entry.unwrap().path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    files += 1;
                    assert_eq!(mode(&path), 0o600, "{}", path.display());
                }
            }
        }
    }
    assert!(files >= 3, "{files}");
}

#[test]
fn a_folder_that_everybody_may_read_stays_so_and_is_warned_of() {
    let nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "");
    let spool = bridge.folder().join("spool");
    let bridge = bridge.kill_and_restart_after(|| {
        std::fs::set_permissions(&spool, std::fs::Permissions::from_mode(0o755)).unwrap();
    });
    let spool = bridge.folder().join("spool");
    assert_eq!(std::fs::metadata(spool).unwrap().permissions().mode() & 0o777, 0o755);
    let (_, log) = bridge.terminate();
    assert!(log.contains("may look into the spool's folder: chmod 700 it"), "{log}");
}

/// As many batches as it takes that somebody can hang up between two of them.
#[test]
fn whoever_hangs_up_leaves_nothing_dropped_without_a_line() {
    const CALLBACKS: usize = 15;
    const JOBS: usize = 200;
    let nats = stopped_nats();
    let bridge = Bridge::start_towards(&nats.url(), "");
    std::fs::write(bridge.folder().join("admin-token"), "s3cret\n").unwrap();
    let bridge = bridge.kill_and_restart_with(WITH_TOKEN);
    for callback in 0..CALLBACKS {
        let one = task("j");
        let (begin, end) = (one.find("<JobsDetail>").unwrap(), one.find("</Response>").unwrap());
        let jobs: String = (0..JOBS)
            .map(|job| one[begin..end].replace("<JobId>j<", &format!("<JobId>j{callback}-{job}<")))
            .collect();
        let body = format!("{}{jobs}</Response>", &one[..begin]);
        assert_eq!(bridge.post(body).json()["outcome"], "spooled");
    }
    let all = CALLBACKS * JOBS;
    assert_eq!(bridge.metric("ci_bridge_spool_messages"), all as f64);
    let mut connection = crate::support::Connection::open(bridge.admin);
    let head = "DELETE /api/v1/spool/messages?all=true HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n\r\n";
    connection.write(head.as_bytes());
    drop(connection);
    eventually("everything is dropped", || (bridge.metric("ci_bridge_spool_messages") == 0.0).then_some(()));
    eventually("and each has its line", || {
        (bridge.log().matches("dropped from the spool by an operator").count() == all).then_some(())
    });
}

#[test]
fn a_callback_larger_than_the_spool_does_not_make_it_count_as_full() {
    let mut nats = nats();
    nats.kill().unwrap();
    let limits = "[ingress]\nmax_body = \"4KiB\"\n[spool]\nmax_bytes = \"4KiB\"\n";
    let bridge = Bridge::start_towards(&nats.url(), limits);
    // As large as a body may be; as a message, with its headers, it is larger.
    let room = 4096 - task("large").len() - "<Note></Note>".len();
    let note = format!("<Note>{}</Note></JobsDetail>", "x".repeat(room));
    let answer = bridge.post(task("large").replace("</JobsDetail>", &note));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text().contains("larger than the whole spool: raise spool.max_bytes"), "{answer:?}");
    // Before the next message comes: that would take a look of its own.
    nats.restart(None).unwrap();
    bridge.wait_until_ready();
    assert_eq!(bridge.post(task("j1")).json()["outcome"], "published");
}
