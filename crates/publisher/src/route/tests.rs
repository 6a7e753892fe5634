use super::*;
use crate::message::HeaderName;

const SHARED: [&str; 4] =
    ["ci.task.{tag}", "ci.workflow.{state}", "ci.moderation.{event}", "ci-quarantine.{reason}"];

fn router(subjects: [&str; 4], rules: &[Rule]) -> Router {
    let destinations = Destinations {
        stream: "CI".into(),
        quarantine_stream: "CI_QUARANTINE".into(),
        jobs: None,
        format: Format::default(),
    };
    Router::new(subjects, rules.to_vec(), destinations).unwrap()
}

#[test]
fn endpoints_differ_when_an_event_can_go_elsewhere() {
    let rule =
        |matches: serde_json::Value, then| Rule { matches: serde_json::from_value(matches).unwrap(), then };
    let to = |subject: &str| Then::To(Rule::template(subject).unwrap(), None);
    let any = serde_json::json!({});
    let own_task = ["tenant.task.{tag}", SHARED[1], SHARED[2], SHARED[3]];
    let own_quarantine = [SHARED[0], SHARED[1], SHARED[2], "ci-quarantine.{reason}.{endpoint}"];
    let rows = [
        (SHARED, vec![], false),
        (SHARED, vec![rule(any.clone(), to("ci.{tag}")), rule(any.clone(), Then::Drop)], false),
        (SHARED, vec![rule(any.clone(), to("ci.{endpoint}.{tag}"))], true),
        (SHARED, vec![rule(serde_json::json!({ "endpoint": "b" }), Then::Drop)], true),
        (own_task, vec![], true),
        (own_quarantine, vec![], true),
    ];
    for (subjects, rules, differs) in rows {
        let (first, second) = (router(SHARED, &rules), router(subjects, &rules));
        assert_eq!(second.differs_from(&first), differs, "{subjects:?} {rules:?}");
    }
    let everywhere = router(["ci.{endpoint}.{tag}", SHARED[1], SHARED[2], SHARED[3]], &[]);
    assert!(everywhere.differs_from(&everywhere), "the same template, and another value for it");
}

#[test]
fn what_is_refused_keeps_everything_and_says_where_it_belongs() {
    let rejected = Quarantined {
        body: b"x",
        kept: "x".into(),
        reason: "syntax",
        detail: "here",
        media_type: "text/plain",
    };
    let router = router(SHARED, &[]);
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = TraceContext::parse(traceparent, Some("a=b")).unwrap();
    let origin = Origin { endpoint: "b", trace: Some(&trace) };
    let message = router.quarantine(&rejected, origin);
    let refused = router.refused(&message, "sealed (10109)");
    assert_eq!(refused.subject.as_str(), "ci-quarantine.refused");
    assert_eq!(MessageId::before_quarantine(refused.id.as_str()), Some(message.id.as_str()));
    assert_eq!(refused.payload, message.payload);
    let header = |wanted: HeaderName| {
        let mut values = refused.headers.iter().filter(|(name, _)| *name == wanted);
        let value = values.next().map(|(_, value)| value.to_owned());
        assert_eq!(values.next(), None, "{wanted:?} comes once");
        value
    };
    for (name, value) in message.headers.iter() {
        let is_added = HeaderName::OF_REFUSED.contains(&name);
        assert!(is_added || header(name).as_deref() == Some(value), "{name:?}");
    }
    let added = HeaderName::OF_REFUSED.map(header);
    let expected = ["refused", "sealed (10109)", "ci-quarantine.syntax", "CI_QUARANTINE"];
    assert_eq!(added, expected.map(|value| Some(value.to_owned())));
}

#[test]
fn an_endpoint_in_ids_is_one_value_of_them() {
    let rejected =
        Quarantined { body: b"x", kept: "x".into(), reason: "syntax", detail: "", media_type: "text/plain" };
    let plain = router(SHARED, &[]).quarantine(&rejected, Origin::default()).id;
    let long = "e".repeat(300);
    for (name, end) in [("tenant-b", ":tenant-b"), ("b:1 é", ":b%3A1%20%C3%A9"), ("", ":")] {
        let router = router(SHARED, &[]).with_endpoint_in_ids(name);
        let id = router.quarantine(&rejected, Origin::default()).id;
        assert_eq!(id.as_str(), format!("{plain}{end}"));
    }
    let id = router(SHARED, &[]).with_endpoint_in_ids(&long).quarantine(&rejected, Origin::default()).id;
    assert_eq!(id.as_str().len(), plain.as_str().len() + ":".len() + 32, "its hash");
}

/// The rules as they stand in a configuration, the event, and what decides where it goes.
#[test]
fn the_first_rule_whose_conditions_all_hold_decides() {
    let body = "<Response><EventName>TaskFinish</EventName><JobsDetail><Code>Success</Code><JobId>j1</JobId>\
         <State>Failed</State><Tag>Transcode</Tag><Input><BucketId>prod-1250000000</BucketId></Input>\
         </JobsDetail></Response>";
    let callback = ci_bridge_schema::parse(body.as_bytes(), &ci_bridge_schema::Limits::default()).unwrap();
    let ci_bridge_schema::Normalised::Events(events) = ci_bridge_schema::normalise(callback) else {
        panic!("a callback");
    };
    let origin = Origin { endpoint: "tenant", trace: None };
    let to = || Then::To(Rule::template("ci.alerts.{tag}").unwrap(), None);
    let copy = || Then::Copy(Rule::template("ci.alerts.{tag}").unwrap(), None);
    let (elsewhere, usual) = ("ci.alerts.Transcode", "ci.task.Transcode");
    let all = r#"{"kind":"task","tag":["Snapshot","Trans*"],"state":"Failed","bucket":"prod-*","endpoint":"tenant"}"#;
    let rows = [
        (vec![], Decision::Template, vec![usual]),
        (vec![("{}", to())], Decision::Rule(0), vec![elsewhere]),
        (vec![(all, to())], Decision::Rule(0), vec![elsewhere]),
        (vec![(r#"{"kind":"workflow"}"#, to()), (all, copy())], Decision::Copy(1), vec![usual, elsewhere]),
        (vec![(r#"{"tag":"Transcode","state":"Success"}"#, to())], Decision::Template, vec![usual]),
        // The event has no such value, so no pattern describes it.
        (vec![(r#"{"workflow_id":"*"}"#, to())], Decision::Template, vec![usual]),
        (vec![(r#"{"tag":"Trans*"}"#, Then::Drop), ("{}", to())], Decision::Rule(0), vec![]),
    ];
    for (rules, decision, subjects) in rows {
        let rules: Vec<_> = rules
            .into_iter()
            .map(|(matches, then)| Rule { matches: serde_json::from_str(matches).unwrap(), then })
            .collect();
        let router = router(SHARED, &rules);
        let (routed, decided) = router.route_and_decision(&events[0], origin);
        let messages = routed.into_messages();
        let found: Vec<_> = messages.iter().map(|message| message.subject.as_str()).collect();
        assert_eq!((decided, found), (decision, subjects), "{rules:?}");
        assert_eq!(router.decide(&events[0], origin), decision, "{rules:?}");
    }
}
