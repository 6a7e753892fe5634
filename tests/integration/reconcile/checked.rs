//! `ci-bridge check --tencent`: credentials, queues and whom they call.

use crate::fake_ci::{BUCKET, FakeCi, Fault, REGION, SECRET_KEY};
use crate::support::run;

const BOTH: &str = "TaskFinish,WorkflowFinish";
const TOKEN: &str = "hush-hush-hush";

/// The exit code, and what it prints about Tencent.
fn check(configuration: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci-bridge.toml");
    std::fs::write(&file, configuration).unwrap();
    let output = run(&["check", "--tencent", "-c", file.to_str().unwrap()], b"");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    for text in [&stdout, &String::from_utf8_lossy(&output.stderr).into_owned()] {
        assert!(!text.contains(TOKEN) && !text.contains(SECRET_KEY) && !text.contains("stale"), "{text}");
    }
    assert!(stdout.starts_with("configuration is valid"), "{stdout}");
    let about_tencent =
        stdout.lines().filter(|line| line.contains(" tencent")).map(|line| format!("{line}\n"));
    (output.status.code(), about_tencent.collect())
}

fn configuration(ci: &FakeCi, endpoint: &str) -> String {
    format!("[[ingress.endpoints]]\ntokens = [\"{TOKEN}\"]\n{endpoint}\n\n{}", ci.configuration(""))
}

#[test]
fn each_queue_is_one_line_with_what_to_do() {
    let rows = [
        (
            format!("https://cb.example.com/ci/callback/{TOKEN}"),
            "On",
            BOTH,
            0,
            "calls endpoint default at cb.example.com: XML, TaskFinish,WorkflowFinish",
        ),
        (format!("https://cb.example.com/ci/callback?a=b&token={TOKEN}"), "On", BOTH, 0, "ok     tencent"),
        (format!("https://user:{TOKEN}@cb.example.com/ci/callback"), "On", BOTH, 0, "ok     tencent"),
        (
            format!("https://cb.example.com/ci/callback/{TOKEN}"),
            "On",
            "TaskFinish",
            0,
            "not WorkflowFinish: add it to Event",
        ),
        (
            "https://cb.example.com/ci/callback/stale".to_owned(),
            "On",
            BOTH,
            78,
            "with a token that it does not accept: put one of its tokens",
        ),
        (
            "https://cb.example.com/ci/callback".to_owned(),
            "On",
            BOTH,
            78,
            "with a token that it does not accept",
        ),
        (
            "https://other.example.com/hook".to_owned(),
            "On",
            BOTH,
            0,
            "calls other.example.com, at the path of no endpoint",
        ),
        (String::new(), "Off", "", 0, "calls nobody: set NotifyConfig"),
        ("nonsense".to_owned(), "On", BOTH, 78, "something that is no URL"),
    ];
    for (url, state, events, code, expected) in rows {
        let ci = FakeCi::start();
        ci.add_queue(&url, state, events);
        let (exit, text) = check(&configuration(&ci, ""));
        let line = text.lines().find(|line| line.contains("queue p0 (Transcoding queue-0)"));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        assert!(line.contains(expected), "{url}: {line}");
        assert_eq!(exit, Some(code), "{url}: {text}");
    }
    let ci = FakeCi::start();
    ci.add_queue(&format!("https://cb.example.com/ci/callback/{TOKEN}"), "On", BOTH);
    let (exit, text) = check(&configuration(&ci, "allow_buckets = [\"other-*\"]"));
    assert!(
        exit == Some(78) && text.contains("does not take this bucket: add it to allow_buckets"),
        "{text}"
    );
}

#[test]
fn credentials_and_permissions_are_tried() {
    let ci = FakeCi::start();
    let (exit, text) = check(&configuration(&ci, ""));
    assert_eq!(exit, Some(0), "{text}");
    for what in ["jobs", "document jobs", "workflow runs"] {
        assert!(text.contains(&format!("ok     tencent {BUCKET}@{REGION}: {what} can be listed")), "{text}");
    }
    ci.fail("/workflowexecution", Fault::Refused(403, "AccessDenied", ""), 1);
    let (exit, text) = check(&configuration(&ci, ""));
    assert!(exit == Some(78) && text.contains("allow the key ci:DescribeMediaWorkflowExecutions"), "{text}");
    ci.write_keys("AKIDother", SECRET_KEY);
    let (exit, text) = check(&configuration(&ci, ""));
    assert_eq!((exit, text.lines().count()), (Some(78), 1), "{text}");
    assert!(text.contains("FAILED tencent") && text.contains("there is no such secret_id"), "{text}");
    let nowhere = configuration(&ci, "").replace(&format!("buckets = [\"{BUCKET}@{REGION}\"]"), "");
    let (exit, text) = check(&nowhere);
    assert!(exit == Some(78) && text.contains("name it in reconcile.buckets"), "{text}");
}
