//! Filters of subjects, as NATS writes them: `*` is one token, a last `>` one or more.

/// Whether every subject of `pattern`, which may be a filter itself, is one of `filter`.
#[must_use]
pub fn covers(filter: &str, pattern: &str) -> bool {
    let mut wanted = pattern.split('.');
    for token in filter.split('.') {
        match (token, wanted.next()) {
            (">", Some(_)) => return true,
            (_, None | Some(">")) => return false,
            ("*", Some(_)) => {}
            (literal, Some(other)) if literal == other => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

/// Whether any subject is one of both.
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
            (Some(token), Some(same)) if token == same => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_what_it_lets_through() {
        let rows = [
            ("ci.>", "ci.task.*.*", true),
            ("ci.*.*.*", "ci.task.*.*", true),
            ("ci.task.*.success", "ci.task.*.*", false),
            ("ci.workflow.>", "ci.task.*.*", false),
            (">", "ci", true),
            ("ci.>", "ci", false),
            ("ci.task", "ci.task.x", false),
            ("ci.task.*.*", "ci.task.*", false),
            ("ci.>", "ci.task.>", true),
            ("ci.*", "ci.>", false),
        ];
        for (filter, pattern, expected) in rows {
            assert_eq!(covers(filter, pattern), expected, "{filter} {pattern}");
        }
    }

    #[test]
    fn filters_overlap_where_a_subject_is_of_both() {
        let rows = [
            ("ci.>", "ci.await.*", true),
            ("ci.*.x", "ci.await.*", true),
            ("ci.await", "ci.await.*", false),
            ("ci.*.*.*", "ci.await.*", false),
            ("ci.task.>", "ci.await.*", false),
            ("*.>", "ci.await.*", true),
        ];
        for (one, other, expected) in rows {
            assert_eq!((overlap(one, other), overlap(other, one)), (expected, expected), "{one} {other}");
        }
    }
}
