//! Headers and message ids: nothing of a sender's ends a line, names a header, or makes two jobs one.

use std::collections::BTreeSet;

use ci_bridge_publisher::{Format, Message, Origin, Quarantined, TraceContext};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::callback::{as_json, as_xml, hostile, messages, moderation, router, values, writable};
use crate::config;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn headers_and_ids_are_printable_and_names_are_never_natss(
        values in values(),
        endpoint in hostile(),
        tracestate in hostile(),
        structured in any::<bool>(),
    ) {
        let format = if structured { Format::CloudeventsStructured } else { Format::CloudeventsBinary };
        let router = router("ci.task.{tag}.{state:lower}", format);
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = TraceContext::parse(traceparent, Some(&tracestate));
        let origin = Origin { endpoint: &endpoint, trace: trace.as_ref() };
        let apart = router.clone().with_endpoint_in_ids(&endpoint);
        for body in [as_json(&values), moderation("ReviewImage", &values)] {
            let all = messages(&router, &body, origin).into_iter().chain(messages(&apart, &body, origin));
            for message in all {
                is_printable(&message)?;
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&message.payload).is_ok());
            }
        }
        let rejected = Quarantined { body: b"x", kept: "x".into(), reason: &values[0], detail: &values[1], media_type: &values[2] };
        is_printable(&router.quarantine(&rejected, origin))?;
        is_printable(&apart.quarantine(&rejected, origin))?;
    }

    #[test]
    fn attributes_are_the_same_in_both_modes_and_what_cloudevents_allows(values in values()) {
        let modes = [Format::CloudeventsBinary, Format::CloudeventsStructured];
        let [binary, structured] = modes.map(|format| router("ci.task.{tag}", format).with_endpoint_in_ids("b:1 é"));
        for body in [as_json(&values), moderation("ReviewImage", &values)] {
            let [binary, structured] =
                [&binary, &structured].map(|router| messages(router, &body, Origin::default()));
            for (binary, structured) in binary.iter().zip(&structured) {
                let event: serde_json::Value = serde_json::from_slice(&structured.payload).expect("JSON");
                let names = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype"];
                for name in names {
                    let attribute = event.get(name).and_then(|value| value.as_str().map(str::to_owned));
                    prop_assert_eq!(&header(binary, &format!("ce-{name}")), &attribute, "{}", name);
                    let is_allowed = |c: char| !c.is_control() && !matches!(u32::from(c) & 0xFFFF, 0xFFFE | 0xFFFF);
                    prop_assert!(attribute.is_none_or(|text| !text.is_empty() && text.chars().all(is_allowed)));
                }
                prop_assert_eq!(&event["id"], binary.id.as_str());
                let source = event["source"].as_str().unwrap_or_default();
                let is_of_uri = |b: u8| b.is_ascii_alphanumeric() || b"-._~%/".contains(&b);
                prop_assert!(source.starts_with("/ci/") && source.bytes().all(is_of_uri), "{}", source);
                let escapes: Vec<_> = source.split('%').skip(1).collect();
                let is_escape = |after: &&str| u8::from_str_radix(after.get(..2).unwrap_or(""), 16).is_ok();
                prop_assert!(escapes.iter().all(is_escape), "{}", source);
            }
        }
    }

    #[test]
    fn xml_and_json_of_one_job_are_one_message(values in values(), structured in any::<bool>()) {
        let values = writable(&values);
        let format = if structured { Format::CloudeventsStructured } else { Format::CloudeventsBinary };
        let router = router("ci.task.{tag}.{state:lower}.{object}", format);
        let origin = Origin::default();
        prop_assert_eq!(messages(&router, &as_xml(&values), origin), messages(&router, &as_json(&values), origin));
    }

    #[test]
    fn different_jobs_and_states_have_different_ids([a, b, c] in [name(), name(), name()]) {
        let router = router("ci.task.{tag}", Format::CloudeventsBinary);
        // Alike but for where the id ends, or for an escape that was there before.
        let jobs = [":", "%3A", "%253A"].map(|between| {
            [(format!("{a}{between}{b}"), c.clone()), (a.clone(), format!("{b}{between}{c}"))]
        });
        let jobs: BTreeSet<_> = jobs.into_iter().flatten().collect();
        let ids = jobs.iter().map(|(id, state)| {
            let body = json!({ "JobsDetail": { "JobId": id, "State": state } }).to_string();
            messages(&router, body.as_bytes(), Origin::default())[0].id.as_str().to_owned()
        });
        let ids: BTreeSet<_> = ids.collect();
        prop_assert_eq!(ids.len(), jobs.len(), "{:?} {:?}", jobs, ids);
    }
}

/// A header's value as the NATS binding of CloudEvents has it read.
fn header(message: &Message, wanted: &str) -> Option<String> {
    let (_, value) = message.headers.iter().find(|(name, _)| name.as_str() == wanted)?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8().expect("UTF-8").into_owned())
}

/// Short values of the characters that an id gives a meaning to.
fn name() -> impl Strategy<Value = String> {
    vec(select(&["a", ":", "%", "3", "A", "%3A", "@", "é", "\""][..]), 1..4)
        .prop_map(|pieces| pieces.concat())
}

fn is_printable(message: &Message) -> Result<(), TestCaseError> {
    let id = message.id.as_str();
    prop_assert!(!id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic()), "{}", id);
    for (name, value) in message.headers.iter() {
        let name = name.as_str();
        prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{}", name);
        prop_assert!(!name.to_ascii_lowercase().starts_with("nats-"), "{}", name);
        prop_assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "{}: {:?}", name, value);
    }
    Ok(())
}
