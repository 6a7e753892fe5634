//! One shape out: what is published of a callback does not tell how the callback was written.

use ci_bridge_schema::{Callback, Event, Family, Kind, Limits, Normalised, normalise, parse};
use proptest::prelude::*;
use serde_json::Value;

use crate::config;
use crate::dress::{Json, Whims, json, whims, xml};
use crate::invariants::tree::{Tree, canonical};
use crate::json_reader::value;
use crate::model::callback;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn xml_and_json_of_one_callback_give_the_same_messages(root in callback(), whims in whims()) {
        let expected = expected_messages(&root);
        for (dress, body) in dresses(&root, &whims) {
            let events = events(&body);
            let data: Vec<_> = events.iter().map(data_of).collect();
            prop_assert_eq!(&data, &expected, "{}: {}", dress, String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn xml_and_json_of_one_callback_are_routed_alike(root in callback(), whims in whims()) {
        let mut dresses = dresses(&root, &whims).into_iter();
        let (_, first) = dresses.next().expect("there are three");
        let first = events(&first);
        for (dress, body) in dresses {
            let events = events(&body);
            prop_assert_eq!(events.len(), first.len());
            for (event, first) in events.iter().zip(&first) {
                prop_assert_eq!(event.routing(), first.routing(), "{}: {}", dress, String::from_utf8_lossy(&body));
            }
        }
        for (event, element) in first.iter().zip(elements(&root)) {
            let routing = event.routing();
            let text = |name| element.member(name).and_then(scalar);
            prop_assert_eq!(routing.id.as_deref(), text("JobId").or(text("RunId")));
            prop_assert_eq!(routing.state.as_deref(), text("State"));
            prop_assert_eq!(routing.tag.as_deref(), text("Tag").filter(|_| event.kind() == Kind::Task));
            let input = |name| element.member("Input")?.member(name).and_then(scalar);
            prop_assert_eq!(routing.bucket.as_deref(), input("BucketId"));
            prop_assert_eq!(routing.object.as_deref(), input("Object"));
        }
    }

    #[test]
    fn a_published_message_comes_to_itself(root in callback(), whims in whims()) {
        let body = xml(&root, &mut whims.clone());
        for event in events(&body) {
            let (name, element) = match event.kind() {
                Kind::Workflow => ("WorkflowFinish", "WorkflowExecution"),
                _ => ("TaskFinish", "JobsDetail"),
            };
            let again = wrapped(name, element, &data_of(&event));
            let again = events_of(&again);
            prop_assert_eq!(again.len(), 1);
            prop_assert_eq!(data_of(&again[0]), data_of(&event));
            prop_assert_eq!(again[0].routing(), event.routing());
        }
    }

    #[test]
    fn whatever_json_a_callback_holds_its_message_comes_to_itself(members in element(), of in 0..3usize) {
        let (name, element) = FAMILIES[of];
        let body = wrapped(name, element, &members);
        let first = events_of(&body);
        let again = wrapped(name, element, &data_of(&first[0]));
        let again = events_of(&again);
        prop_assert_eq!(data_of(&again[0]), data_of(&first[0]), "{}", body);
        prop_assert_eq!(again[0].routing(), first[0].routing(), "{}", body);
    }

    #[test]
    fn the_order_of_members_does_not_show(members in element(), of in 0..5usize, orders in [whims(), whims()]) {
        let members: Value = serde_json::from_str(&members).expect("our own JSON");
        let body = match of {
            3 => serde_json::json!({ "code": 0, "message": "success", "data": members }),
            4 => serde_json::json!({ "code": 1, "message": "x", "data": members, "EventName": "ReviewText" }),
            of => serde_json::json!({ "EventName": FAMILIES[of].0, FAMILIES[of].1: members }),
        };
        let [one, other] = orders.map(|mut whims| crate::dress::shuffled(&body, &mut whims));
        let (one_events, other_events) = (events_of(&one), events_of(&other));
        prop_assert_eq!(data_of(&one_events[0]), data_of(&other_events[0]), "{}\n{}", one, other);
        prop_assert_eq!(one_events[0].routing(), other_events[0].routing());
    }

}

const FAMILIES: [(&str, &str); 3] =
    [("TaskFinish", "JobsDetail"), ("WorkflowFinish", "WorkflowExecution"), ("ReviewImage", "JobsDetail")];

/// Members under names that mean something to some family, and values that need not make sense there.
fn element() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(
        &[
            "JobId",
            "RunId",
            "State",
            "Tag",
            "Url",
            "Result",
            "Code",
            "CreateTime",
            "Createtime",
            "EndTime",
            "Operation",
            "Input",
            "Tasks",
            "CosHeaders",
            "Md5Info",
            "Stream",
            "OutputFile",
            "JobLevel",
            "Workflow",
            "BucketId",
            "X",
            "porn_info",
            "PornInfo",
            "trace_id",
            "event",
            "cos_headers",
            "code",
        ][..],
    );
    let known_by = proptest::sample::select(&["JobId", "Tag", "State"][..]);
    let members = proptest::collection::btree_map(name, value(), 0..8);
    (members, known_by).prop_map(|(mut members, known_by)| {
        // Without one of which it is no job.
        members.insert(known_by, "\"T\"".to_owned());
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn dresses(root: &Tree, whims: &Whims) -> [(&'static str, Vec<u8>); 3] {
    [
        ("XML", xml(root, &mut whims.clone())),
        ("JSON", json(root, Json::Typed, &mut whims.clone())),
        ("mechanical JSON", json(root, Json::Mechanical, &mut whims.clone())),
    ]
}

fn elements(root: &Tree) -> &[Tree] {
    let Tree::Branch(members) = root else { unreachable!("a callback is a branch") };
    members.get("JobsDetail").or(members.get("WorkflowExecution")).expect("a callback has one")
}

fn expected_messages(root: &Tree) -> Vec<String> {
    let is_task = root.member("WorkflowExecution").is_none();
    let name = if is_task { "JobsDetail" } else { "WorkflowExecution" };
    elements(root).iter().map(|element| canonical(element, &[name]).unwrap_or("{}".into())).collect()
}

fn scalar(tree: &Tree) -> Option<&str> {
    match tree {
        Tree::Text(text) | Tree::Literal(text) => {
            (!text.trim_matches([' ', '\t', '\r', '\n']).is_empty()).then_some(text)
        }
        _ => None,
    }
}

fn callback_of(body: &[u8]) -> Callback<'_> {
    match parse(body, &Limits::default()) {
        Ok(callback) => callback,
        Err(e) => unreachable!("{e} in {}", String::from_utf8_lossy(body)),
    }
}

fn events(body: &[u8]) -> Vec<Event<'_>> {
    let callback = callback_of(body);
    assert_ne!(callback.family(), Family::Probe);
    match normalise(callback) {
        Normalised::Events(events) => events,
        Normalised::Probe => unreachable!("it is not the family"),
    }
}

fn events_of(body: &str) -> Vec<Event<'_>> {
    events(body.as_bytes())
}

fn data_of(event: &Event<'_>) -> String {
    String::from_utf8(event.data().to_vec()).expect("canonical JSON is UTF-8")
}

fn wrapped(event: &str, element: &str, data: &str) -> String {
    format!("{{\"EventName\":\"{event}\",\"{element}\":{data}}}")
}

/// Bodies whose messages once depended on how they were written.
#[test]
fn messages_that_were_a_defect_once_come_out_canonical() {
    let rows = [
        // A number that had to be unescaped stayed a string.
        ("<JobLevel>&#49;</JobLevel>", "\"JobLevel\":1,"),
        ("<JobLevel>1<!-- 0 -->2</JobLevel>", "\"JobLevel\":12,"),
        ("\"JobLevel\":\"\\u0031\"", "\"JobLevel\":1,"),
        // An empty name of a header stayed as an empty Key, which then normalised away.
        ("\"CosHeaders\":{\"\":\"x\"}", "\"CosHeaders\":[{\"Value\":\"x\"}],"),
        ("\"CosHeaders\":{\"\":\"\"}", ""),
    ];
    for (member, published) in rows {
        let body = match member.starts_with('<') {
            true => format!("<Response><JobsDetail>{member}<Tag>T</Tag></JobsDetail></Response>"),
            false => format!("{{\"JobsDetail\":{{{member},\"Tag\":\"T\"}}}}"),
        };
        assert_eq!(data_of(&events_of(&body)[0]), format!("{{{published}\"Tag\":\"T\"}}"), "{body}");
    }
}
