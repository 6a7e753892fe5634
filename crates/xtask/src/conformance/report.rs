//! What a suite came to, held to the list of differences. Pure.

use std::fmt::Write;

use super::case::{CameTo, Case};
use super::differences::{KNOWN, Known};

/// A suite that ran.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) suite: &'static str,
    pub(super) version: &'static str,
    pub(super) cases: Vec<Case>,
}

impl Report {
    fn count(&self, came_to: CameTo) -> usize {
        self.cases.iter().filter(|case| case.came_to == came_to).count()
    }

    /// The list for this suite, each with the number of cases that were found.
    fn explained(&self) -> impl Iterator<Item = (&'static Known, usize)> {
        KNOWN.iter().enumerate().filter(|(_, known)| known.suite == self.suite).map(|(index, known)| {
            (known, self.cases.iter().filter(|case| self.explanation(case) == Some(index)).count())
        })
    }

    fn explanation(&self, case: &Case) -> Option<usize> {
        KNOWN.iter().position(|known| known.suite == self.suite && known.explains(case))
    }

    /// What must not be: a case that differs without a reason, and a reason with another number of cases than listed.
    pub(super) fn complaints(&self) -> Vec<String> {
        let unexplained = self
            .cases
            .iter()
            .filter(|case| case.came_to != CameTo::Agreed && self.explanation(case).is_none());
        let mut complaints: Vec<_> = unexplained
            .map(|case| {
                format!("{}: {}: not in the list of differences: {}", self.suite, case.name, case.found)
            })
            .collect();
        let miscounted = self
            .explained()
            .filter(|(known, found)| known.cases != *found && !(known.at_times && *found < known.cases));
        complaints.extend(miscounted.map(|(known, found)| {
            format!("{}: {found} cases, not {}: {}", self.suite, known.cases, known.reason)
        }));
        complaints
    }
}

/// A line a suite, and below a line for each reason: Markdown, for `docs/conformance.md`.
pub(super) fn render(reports: &[Report]) -> String {
    let mut text = String::from(
        "| suite | version | cases | agreed | deliberate differences | left open by the suite |\n\
         | --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for report in reports {
        let Report { suite, version, cases } = report;
        let [agreed, differ, open] =
            [CameTo::Agreed, CameTo::Differs, CameTo::Open].map(|came_to| report.count(came_to));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {suite} | {version} | {} | {agreed} | {differ} | {open} |", cases.len());
    }
    let mut reasons = reports.iter().flat_map(Report::explained).peekable();
    if reasons.peek().is_some() {
        text.push_str("\n| suite | cases | what the bridge does, and why |\n| --- | ---: | --- |\n");
    }
    for (known, _) in reasons {
        let _ = writeln!(text, "{}", line(known));
    }
    text
}

/// As the list has it; that a run has found another number is a complaint of its own.
fn line(known: &Known) -> String {
    let which = if known.came_to == CameTo::Open { ", left open" } else { "" };
    let at_times = if known.at_times { "0 to " } else { "" };
    format!("| {}{which} | {at_times}{} | {} |", known.suite, known.cases, known.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cases: Vec<Case>) -> Report {
        Report { suite: "xml", version: "1", cases }
    }

    fn case(came_to: CameTo, found: &str) -> Case {
        Case { name: "a not-wf".to_owned(), found: found.to_owned(), came_to }
    }

    #[test]
    fn a_difference_without_a_reason_is_complained_of() {
        let complaints = report(vec![
            case(CameTo::Agreed, "refused: x"),
            case(CameTo::Differs, "read: x"),
            case(CameTo::Differs, "refused: a DOCTYPE is not accepted"),
        ])
        .complaints();
        assert_eq!(complaints[0], "xml: a not-wf: not in the list of differences: read: x");
        assert!(complaints[1].starts_with("xml: 1 cases, not "), "{}", complaints[1]);
    }

    #[test]
    fn every_suite_has_a_line_and_every_reason_one() {
        let text = render(&[report(vec![case(CameTo::Agreed, "refused: x")])]);
        assert!(text.contains("\n| xml | 1 | 1 | 1 | 0 | 0 |\n"), "{text}");
        let listed = KNOWN.iter().filter(|known| known.suite == "xml").count();
        assert_eq!(text.lines().count(), 3 + 3 + listed, "{text}");
    }

    #[test]
    fn the_document_lists_what_the_code_lists() {
        let document = crate::cargo::root().join("docs/conformance.md");
        let document = std::fs::read_to_string(document).expect("docs/conformance.md");
        for known in KNOWN {
            let line = line(known);
            assert!(document.contains(&line), "docs/conformance.md lacks: {line}");
        }
    }
}
