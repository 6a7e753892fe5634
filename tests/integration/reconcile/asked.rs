//! What is asked for on the command line, and what is refused.

use super::*;

#[test]
fn single_jobs_are_found_by_their_ids_however_old() {
    let (nats, ci) = (nats(), FakeCi::start());
    let configuration = format!("{}\n[jetstream]\nmax_age = \"0s\"\n", ci.configuration(""));
    ci.add_all([Job::ended("j1", 20 * 86_400), Job::run("i1", 2 * 86_400)]);
    let output = reconcile(&nats, &configuration, &["--json", "--job", "j1", "--job", "i1"]);
    assert_eq!(totals(&output)["recovered"], 2, "{}", said(&output));
    // A right that is missing for documents says nothing of runs.
    ci.fail("/doc_jobs", Fault::Refused(403, "AccessDenied", ""), 1);
    let again = reconcile(&nats, &configuration, &["--json", "--job", "j1", "--job", "i1", "--job", "j9"]);
    assert_eq!(totals(&again), json!({"present": 2, "recovered": 0, "young": 0, "foreign": 0, "failed": 1}));
    assert_eq!(again.status.code(), Some(1));
    let sentence = format!("CI knows no job or run j9 in {BUCKET}@{REGION}");
    assert!(said(&again).contains(&sentence), "{}", said(&again));
    assert_eq!(Streams::of(&nats).messages("CI").len(), 2);
}

#[test]
fn a_bucket_that_answers_nothing_does_not_hide_the_job_in_another() {
    let (nats, ci) = (nats(), FakeCi::start());
    ci.add(Job::ended("j1", EARLIER));
    let buckets = ["--bucket", "other-1300000001@ap-beijing", "--bucket", &format!("{BUCKET}@{REGION}")];
    let find = |id: &str| {
        reconcile(&nats, &ci.configuration(""), &[&["--json", "--job", id], &buckets[..]].concat())
    };
    let output = find("j1");
    assert_eq!(
        (totals(&output)["recovered"].as_i64(), output.status.code()),
        (Some(1), Some(0)),
        "{}",
        said(&output)
    );
    // What is found nowhere may be where nobody answers.
    let output = find("j9");
    assert_eq!(
        (totals(&output)["failed"].as_i64(), output.status.code()),
        (Some(1), Some(1)),
        "{}",
        said(&output)
    );
    assert!(said(&output).contains("there is no such bucket in this region"), "{}", said(&output));
}

#[test]
fn a_stream_that_forgets_is_refused_with_the_reason() {
    let ci = FakeCi::start();
    ci.add(Job::ended("j1", EARLIER));
    type Change = fn(&mut Config);
    let rows: [(&str, Change); 3] = [
        ("drops what was read", |config| config.retention = RetentionPolicy::WorkQueue),
        ("lower --since (reconcile.since), or raise max_age", |config| {
            config.max_age = std::time::Duration::from_secs(3600);
        }),
        ("drops the oldest of each subject", |config| config.max_messages_per_subject = 1),
    ];
    for (reason, change) in rows {
        let nats = nats();
        let mut config = Config { name: "CI".into(), subjects: vec!["ci.>".into()], ..Config::default() };
        change(&mut config);
        let streams = Streams::of(&nats);
        streams.create(config);
        let output = reconcile(&nats, &ci.configuration(""), &["--json"]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(reason) && said.contains("cannot be told what stream CI has had"),
            "{reason}: {said}"
        );
        assert!(streams.messages("CI").is_empty(), "{reason}");
    }
    assert_eq!(ci.asked("/"), 0, "nobody asks for what cannot be compared");
}

#[test]
fn flags_and_keys_that_make_no_sense_are_refused() {
    let (nats, ci) = (nats(), FakeCi::start());
    let rows = [
        ("buckets = []", &["--json"][..], 1, "name a bucket with --bucket"),
        ("", &["--bucket", "media"], 2, "write its name with the APPID"),
        ("", &["--since", "5m"], 1, "must be longer than reconcile.grace"),
        ("", &["--since", "soon"], 2, "--since"),
        ("", &["--since", "1000000years"], 1, "must be at most 30d"),
        ("", &["--job", "a/../b"], 1, "is no job's id"),
        ("", &["--job", "j1", "--tag", "Concat"], 2, "cannot be used with"),
        ("every = \"10ms\"", &[], 78, "reconcile.every: must be at least 1s"),
        ("since = \"60d\"", &[], 78, "reconcile.since: must be"),
        ("grace = \"7h\"", &[], 78, "reconcile.grace: must be shorter"),
        ("lease_bucket = \"a.b\"", &[], 78, "reconcile.lease_bucket"),
        ("tag = []", &[], 78, "did you mean reconcile.tags?"),
    ];
    for (line, arguments, code, expected) in rows {
        let mut configuration = ci.configuration(line);
        if line.starts_with("buckets") {
            configuration = configuration.replace(&format!("buckets = [\"{BUCKET}@{REGION}\"]\n"), "");
        }
        let output = reconcile(&nats, &configuration, arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{line} {arguments:?}: {said}");
        assert!(said.contains(expected), "{line} {arguments:?}: {said}");
    }
}
