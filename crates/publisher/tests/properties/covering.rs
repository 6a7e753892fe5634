//! Whether a stream takes every subject of a template, or any of another filter, against trying all subjects of a small world.

use ci_bridge_publisher::nats::{covers, overlap};

/// Every filter of up to three tokens against every other. Subjects have a token more, and a name that no filter knows.
#[test]
fn filters_are_compared_as_trying_every_subject_would() {
    let subjects = texts(&["a", "b", "c"], 4);
    let mut filters = texts(&["a", "b", "*"], 3);
    let parents = filters.iter().filter(|filter| filter.matches('.').count() < 2);
    let open: Vec<_> = parents.map(|filter| format!("{filter}.>")).collect();
    filters.extend(open);
    filters.push(">".to_owned());
    let mut compared = 0;
    for one in &filters {
        for other in &filters {
            let mut of_other = subjects.iter().filter(|subject| takes(other, subject));
            let any = of_other.clone().any(|subject| takes(one, subject));
            assert_eq!(overlap(one, other), any, "{one} {other}");
            assert_eq!(covers(one, other), of_other.all(|subject| takes(one, subject)), "{one} {other}");
            compared += 1;
        }
    }
    assert_eq!(compared, 52 * 52);
}

/// Every text of one to `length` tokens.
fn texts(tokens: &[&str], length: usize) -> Vec<String> {
    let mut texts: Vec<String> = tokens.iter().map(|&token| token.to_owned()).collect();
    let mut longest = texts.clone();
    for _ in 1..length {
        longest = longest
            .iter()
            .flat_map(|text| tokens.iter().map(move |token| format!("{text}.{token}")))
            .collect();
        texts.extend(longest.iter().cloned());
    }
    texts
}

/// NATS's own rule: `*` is one token, a last `>` one or more.
fn takes(filter: &str, subject: &str) -> bool {
    match (filter.split_once('.'), subject.split_once('.')) {
        (None, _) if filter == ">" => true,
        (None, None) => filter == "*" || filter == subject,
        (Some((token, filter)), Some((name, subject))) => {
            (token == "*" || token == name) && takes(filter, subject)
        }
        _ => false,
    }
}
