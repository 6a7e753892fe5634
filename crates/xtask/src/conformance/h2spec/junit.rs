//! h2spec's report. Pure.

use super::super::case::{CameTo, Case};

/// Each case of a report in JUnit's form.
pub(super) fn cases(text: &str) -> Vec<Case> {
    text.split("<testcase ").skip(1).map(case).collect()
}

/// From behind `<testcase ` to the next.
fn case(text: &str) -> Case {
    let (tag, rest) = text.split_once('>').unwrap_or((text, ""));
    let inside = rest.split_once("</testcase>").map_or(rest, |(inside, _)| inside).trim();
    let attribute = |name: &str| {
        let value = tag.split_once(&format!("{name}=\"")).and_then(|(_, value)| value.split_once('"'));
        value.map_or("", |(value, _)| value)
    };
    Case {
        name: format!("{} {}", attribute("package"), attribute("classname")),
        found: inside.split_whitespace().collect::<Vec<_>>().join(" "),
        // A case that is skipped shows nothing.
        came_to: if inside.is_empty() { CameTo::Agreed } else { CameTo::Differs },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_agree_when_nothing_is_said_of_them() {
        let text = "<testsuites><testsuite name=\"3\">\
            <testcase package=\"generic/3.1\" classname=\"Sends &#34;DATA&#34;\" time=\"0.1\"></testcase>\n\
            <testcase package=\"http2/5\" classname=\"b\" time=\"2\">\n<error>GOAWAY\n  Timeout</error></testcase>\
            <testcase package=\"http2/6\" classname=\"c\" time=\"0\"><skipped></skipped></testcase></testsuite></testsuites>";
        let cases: Vec<_> =
            cases(text).into_iter().map(|case| (case.name, case.came_to, case.found)).collect();
        let expect = [
            ("generic/3.1 Sends &#34;DATA&#34;".to_owned(), CameTo::Agreed, String::new()),
            ("http2/5 b".to_owned(), CameTo::Differs, "<error>GOAWAY Timeout</error>".to_owned()),
            ("http2/6 c".to_owned(), CameTo::Differs, "<skipped></skipped>".to_owned()),
        ];
        assert_eq!(cases, expect);
    }
}
