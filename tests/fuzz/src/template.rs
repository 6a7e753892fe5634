//! Text of the operator's: templates, subjects, filters and patterns. Three lines are one input: a template or filter, a
//! pattern, and the value for both.

use ci_bridge_publisher::nats::covers;
use ci_bridge_publisher::{Field, Glob, Rule, Subject, Template, Values};

use super::callback::is_subject;
use super::invariants::hold;

pub(crate) fn check(input: &[u8]) -> Result<(), String> {
    let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
    let mut lines = text.splitn(3, '\n');
    let [template, pattern, value] = [(); 3].map(|()| lines.next().unwrap_or_default());
    if let Ok(subject) = Subject::parse(template) {
        is_subject(subject.as_str(), template)?;
    }
    let fields: Vec<_> = Field::ALL.iter().map(|(_, field)| *field).collect();
    for parsed in [Template::parse(template, &fields), Rule::template(template)].into_iter().flatten() {
        hold!(parsed.as_str() == template, "{template:?} became {:?}", parsed.as_str());
        let subject = parsed.render(&Same(value));
        is_subject(subject.as_str(), template)?;
        hold!(covers(&parsed.pattern(), subject.as_str()), "{} does not cover {subject}", parsed.pattern());
        hold!(covers(&parsed.pattern(), &parsed.pattern()), "{} does not cover itself", parsed.pattern());
        hold!(parsed.render(&Same(value)) == subject, "rendered twice, it differs from {subject}");
    }
    // Of any text, filters of streams that exist included.
    let _ = covers(template, pattern);
    let (ours, theirs) = (Glob::from(pattern).matches(value), matches(pattern, value));
    hold!(ours == theirs, "{pattern:?} on {value:?}: {ours}, not {theirs}");
    Ok(())
}

struct Same<'v>(&'v str);

impl Values for Same<'_> {
    fn value(&self, _: Field) -> Option<&str> {
        Some(self.0)
    }
}

/// A glob by its definition: which beginnings of the pattern match what has been read of the value.
fn matches(pattern: &str, value: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    // `reached[n]`: the first n characters of the pattern match.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_stars(&pattern, &mut reached);
    for read in value.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match wanted {
                '*' => next[at] = true,
                '?' => next[at + 1] = true,
                wanted => next[at + 1] |= *wanted == read,
            }
        }
        skip_stars(&pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

/// A star may also stand for nothing.
fn skip_stars(pattern: &[char], reached: &mut [bool]) {
    for (at, _) in pattern.iter().enumerate().filter(|(_, c)| **c == '*') {
        reached[at + 1] |= reached[at];
    }
}
