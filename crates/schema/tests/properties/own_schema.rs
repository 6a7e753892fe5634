//! What is published is what the schema of the typed events says, whatever a sender wrote.
//!
//! The schema is checked by a validator of its own: what schemars generates of our types is a small part of JSON Schema, and
//! a keyword that the validator does not know fails the test.

use ci_bridge_schema::{
    Kind, Limits, ModerationEvent, Normalised, TaskEvent, WorkflowEvent, normalise, parse,
};
use proptest::prelude::*;
use schemars::schema_for;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::config;
use crate::dress::{Whims, whims};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_published_is_valid_against_our_own_schema(mut whims in whims(), of in 0..FAMILIES.len()) {
        let (family, kind) = FAMILIES[of];
        let schema = schema(kind);
        let mut element = proper(&schema, &schema, &mut whims, 0);
        element["JobId"] = json!("j");
        element["State"] = json!(["Success", "Cancel", "Failed"][whims.pick(3)]);
        let body = match family {
            "simple" => {
                element["event"] = json!("ReviewVideo");
                json!({ "code": hostile(&mut whims), "message": "m", "data": element })
            }
            "query" => {
                let members = ["Tag", "Operation", "Input", "QueueId", "Workflow"];
                members.iter().for_each(|name| _ = element.as_object_mut().map(|element| element.remove(*name)));
                element["Label"] = json!("Normal");
                json!({ "JobsDetail": element })
            }
            "WorkflowFinish" => json!({ "EventName": family, "WorkflowExecution": element }),
            _ => json!({ "EventName": family, "JobsDetail": element }),
        };
        is_valid(&body.to_string(), kind, &schema)?;
        if let Some(body) = xml("Response", &body) {
            is_valid(&body, kind, &schema)?;
        }
    }
}

const FAMILIES: [(&str, Kind); 5] = [
    ("TaskFinish", Kind::Task),
    ("WorkflowFinish", Kind::Workflow),
    ("ReviewVideo", Kind::Moderation),
    ("query", Kind::Moderation),
    ("simple", Kind::Moderation),
];

fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Task => schema_for!(TaskEvent).into(),
        Kind::Workflow => schema_for!(WorkflowEvent).into(),
        Kind::Moderation => schema_for!(ModerationEvent).into(),
    }
}

fn is_valid(body: &str, kind: Kind, schema: &Value) -> Result<(), TestCaseError> {
    let callback = match parse(body.as_bytes(), &Limits::default()) {
        Ok(callback) => callback,
        Err(e) => return Err(TestCaseError::fail(format!("{e}: {body}"))),
    };
    let Normalised::Events(events) = normalise(callback) else { return Ok(()) };
    for event in &events {
        prop_assert_eq!(event.kind(), kind, "{}", body);
        let data: Value = serde_json::from_slice(event.data()).expect("JSON");
        let valid = validate(&data, schema, schema).and_then(|()| match kind {
            Kind::Task => is_read_as::<TaskEvent>(&data),
            Kind::Workflow => is_read_as::<WorkflowEvent>(&data),
            Kind::Moderation => is_read_as::<ModerationEvent>(&data),
        });
        if let Err(broken) = valid {
            return Err(TestCaseError::fail(format!("{broken}: {data} of {body}")));
        }
    }
    Ok(())
}

/// A subscriber written in Rust reads it, and loses nothing of it.
fn is_read_as<T: DeserializeOwned + Serialize>(data: &Value) -> Result<(), String> {
    let event: T = serde_json::from_value(data.clone()).map_err(|e| e.to_string())?;
    let again = serde_json::to_value(event).map_err(|e| e.to_string())?;
    if again == *data { Ok(()) } else { Err(format!("read as {again}")) }
}

/// What a schema asks for, but now and then something else at any place.
fn write(schema: &Value, root: &Value, whims: &mut Whims, depth: usize) -> Value {
    match whims.pick(3) {
        0 => hostile(whims),
        _ => proper(schema, root, whims, depth),
    }
}

fn proper(schema: &Value, root: &Value, whims: &mut Whims, depth: usize) -> Value {
    let schema = resolved(schema, root);
    if let Some(choices) = schema["anyOf"].as_array() {
        return proper(&choices[whims.pick(choices.len())], root, whims, depth);
    }
    match types(schema).first().copied() {
        Some("object") => {
            let mut members = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if depth == 0 || whims.pick(3) > 0 {
                    members.insert(name.clone(), write(schema, root, whims, depth + 1));
                }
            }
            members.insert("Unknown".to_owned(), hostile(whims));
            Value::Object(members)
        }
        Some("array") => {
            let count = 1 + whims.pick(2);
            (0..count).map(|_| write(&schema["items"], root, whims, depth + 1)).collect()
        }
        Some("integer") => json!(whims.pick(3)),
        Some("string") => json!(["x", "2024-03-05T09:12:31+0800", "normal"][whims.pick(3)]),
        _ => Value::Null,
    }
}

fn hostile(whims: &mut Whims) -> Value {
    let values = [
        json!("text"),
        json!(""),
        json!("007"),
        json!(" 7 "),
        json!("99999999999999999999"),
        json!("1.0"),
        json!("-"),
        json!(u64::MAX),
        json!(-1.5),
        json!(true),
        json!(null),
        json!([]),
        json!(["a"]),
        json!(["a", "b"]),
        json!([1, 2]),
        json!([{ "Key": "a" }, "b", null]),
        json!([["a", "b"], ["c"]]),
        json!([[{ "Object": "a" }]]),
        json!({ "Object": ["a", "b"] }),
        json!({ "Key": { "Key": "a" }, "Value": ["b", { "c": 1 }] }),
        json!({ "CosHeaders": [{ "Key": { "CosHeaders": { "Key": { "Value": "\"\\" } } } }] }),
    ];
    values[whims.pick(values.len())].clone()
}

/// The same as the vendor's XML; `None` where a list is in a list, for which it has no way.
fn xml(name: &str, value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => format!("<{name}/>"),
        Value::Array(items) => {
            if items.iter().any(Value::is_array) {
                return None;
            }
            items.iter().map(|item| xml(name, item)).collect::<Option<String>>()?
        }
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| xml(name, value)).collect::<Option<String>>()?;
            format!("<{name}>{members}</{name}>")
        }
        Value::String(text) => format!("<{name}>{text}</{name}>"),
        scalar => format!("<{name}>{scalar}</{name}>"),
    })
}

fn resolved<'s>(schema: &'s Value, root: &'s Value) -> &'s Value {
    match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("a definition"),
        None => schema,
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn validate(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let schema = resolved(schema, root);
    let Some(keywords) = schema.as_object() else {
        return if *schema == true { Ok(()) } else { Err(format!("no schema: {schema}")) };
    };
    for (keyword, argument) in keywords {
        match keyword.as_str() {
            "type" => is_of(value, &types(schema))?,
            "format" if argument == "int64" => {
                if value.is_number() && !value.is_i64() {
                    return Err(format!("{value} is no 64-bit integer"));
                }
            }
            "anyOf" => {
                let choices = argument.as_array().into_iter().flatten();
                let errors: Vec<_> = choices.map(|choice| validate(value, choice, root)).collect();
                if errors.iter().all(Result::is_err) {
                    return Err(format!("{errors:?}"));
                }
            }
            "properties" => {
                for (name, schema) in argument.as_object().into_iter().flatten() {
                    if let Some(member) = value.get(name) {
                        validate(member, schema, root).map_err(|e| format!("{name}: {e}"))?;
                    }
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    validate(item, argument, root)?;
                }
            }
            "additionalProperties" if *argument == true => {}
            "$schema" | "$defs" | "title" | "description" => {}
            other => return Err(format!("the validator does not know {other}: {argument}")),
        }
    }
    Ok(())
}

fn is_of(value: &Value, types: &[&str]) -> Result<(), String> {
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if types.contains(&own) { Ok(()) } else { Err(format!("{value} is not {types:?}")) }
}
