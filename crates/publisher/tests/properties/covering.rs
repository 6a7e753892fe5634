//! Whether a stream takes every subject of a template, against trying all subjects of a small world.

use ci_bridge_publisher::nats::covers;

/// Every filter of up to three tokens against every template's pattern of up to three. A pattern has no `>`, but
/// may hold `*` wherever a placeholder stands. Subjects have a token more, and a name that neither side knows.
#[test]
fn a_filter_covers_a_pattern_when_it_takes_every_subject_of_it() {
    let subjects = texts(&["a", "b", "c"], 4);
    let patterns = texts(&["a", "b", "*"], 3);
    let mut filters = patterns.clone();
    let parents = patterns.iter().filter(|pattern| pattern.matches('.').count() < 2);
    filters.extend(parents.map(|pattern| format!("{pattern}.>")));
    filters.push(">".to_owned());
    let mut compared = 0;
    for filter in &filters {
        for pattern in &patterns {
            let expected = subjects
                .iter()
                .filter(|subject| takes(pattern, subject))
                .all(|subject| takes(filter, subject));
            assert_eq!(covers(filter, pattern), expected, "{filter} {pattern}");
            compared += 1;
        }
    }
    assert_eq!(compared, 52 * 39);
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
