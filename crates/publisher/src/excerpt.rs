//! What a small message says of a large event: the event without its long lists.

use serde::Serialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A list that takes more, in bytes, is left out; so is any other value, if the rest is still too large.
const LONG: usize = 1024;

/// The event without what is long in it, as JSON of at most `limit` bytes. `{}` when it is no JSON object, or nothing of
/// it fits.
pub(crate) fn excerpt(event: &[u8], limit: usize) -> Vec<u8> {
    let empty = || b"{}".to_vec();
    let Ok(text) = std::str::from_utf8(event) else { return empty() };
    let without = |what: What| {
        let mut json = String::with_capacity(limit.min(text.len()));
        write(&mut json, text, what).then(|| json.into_bytes()).filter(|json| json.len() <= limit)
    };
    without(What::LongLists).or_else(|| without(What::AllThatIsLong)).unwrap_or_else(empty)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    LongLists,
    AllThatIsLong,
}

/// The members of a JSON object, in their order, unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Writes an object without what is to be left out; returns whether it is one.
fn write(json: &mut String, object: &str, without: What) -> bool {
    let Ok(Members(members)) = serde_json::from_str(object) else { return false };
    json.push('{');
    let first = json.len();
    for (name, value) in members {
        let value = value.get();
        let is_long = value.len() > LONG;
        let left_out = match value.as_bytes().first() {
            Some(b'[') => is_long,
            Some(b'{') => false,
            _ => is_long && without == What::AllThatIsLong,
        };
        if left_out {
            continue;
        }
        let before = json.len();
        if before > first {
            json.push(',');
        }
        push_name(json, &name);
        match value.starts_with('{') && is_long {
            true if !write(json, value, without) => json.truncate(before),
            true => {}
            false => json.push_str(value),
        }
    }
    json.push('}');
    true
}

fn push_name(json: &mut String, name: &str) {
    let mut quoted = Vec::with_capacity(name.len() + 3);
    // Writing a text to memory has no way to fail.
    let _ = name.serialize(&mut serde_json::Serializer::new(&mut quoted));
    json.push_str(std::str::from_utf8(&quoted).unwrap_or("\"\""));
    json.push(':');
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    fn text(event: &str, limit: usize) -> String {
        String::from_utf8(excerpt(event.as_bytes(), limit)).unwrap()
    }

    #[test]
    fn long_lists_are_left_out_wherever_they_stand_and_the_order_stays() {
        let list = format!("[{}]", vec!["{\"a\":1}"; 1000].join(","));
        let event = format!(
            r#"{{"JobId":"j1","Operation":{{"Output":{{"Object":"o"}},"Result":{{"Words":{list},"Total":1000}}}},"Short":[1,2],"A\"b":"\u00e9"}}"#
        );
        let expected = r#"{"JobId":"j1","Operation":{"Output":{"Object":"o"},"Result":{"Total":1000}},"Short":[1,2],"A\"b":"\u00e9"}"#;
        assert_eq!(text(&event, 100_000), expected);
    }

    #[test]
    fn if_that_is_not_enough_long_texts_go_as_well() {
        let event = format!(r#"{{"JobId":"j1","Text":"{}","State":"Success"}}"#, "x".repeat(5000));
        assert_eq!(text(&event, 10_000), event);
        assert_eq!(text(&event, 1000), r#"{"JobId":"j1","State":"Success"}"#);
        assert_eq!(text(&event, 10), "{}");
        assert_eq!(text("[1]", 1000), "{}");
    }
}
