//! Where the bridge does on purpose what a suite does not ask for, or chooses where a suite allows either: the whole
//! list. A case that differs and is not here fails the command, and so does a number that is not right.

use super::case::{CameTo, Case};

/// Cases that have one reason.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) suite: &'static str,
    pub(super) came_to: CameTo,
    /// What a case's name holds.
    pub(super) named: &'static str,
    /// What the bridge says to it holds this.
    pub(super) found: &'static str,
    pub(super) cases: usize,
    pub(super) reason: &'static str,
}

impl Known {
    /// Whether this is the reason of a case.
    pub(super) fn explains(&self, case: &Case) -> bool {
        self.came_to == case.came_to && case.name.contains(self.named) && case.found.contains(self.found)
    }
}

const DOCTYPE: &str =
    "refused: a DOCTYPE. No callback has one, and a DTD's entities name files and grow without bound";
const DECLARED: &str = "refused: declares an encoding other than UTF-8. The vendor sends no other";
const ENCODED: &str = "refused: is in an encoding other than UTF-8. A second decoder would be a second opinion of where tags are";

/// The first that explains a case counts it.
pub(super) const KNOWN: &[Known] = &[
    of("xml", "", "a DOCTYPE is not accepted", 943, DOCTYPE),
    of("xml", "", "declares an encoding other than UTF-8", 13, DECLARED),
    of("xml", "", "not UTF-8", 22, ENCODED),
    of(
        "xml",
        "not-wf NS1.",
        "read: ",
        17,
        "read: breaks the rules of namespaces only. They are not checked: `a:b` is a name, as in XML 1.0 itself",
    ),
    of(
        "xml",
        "not-wf XML1.1",
        "read: ",
        31,
        "read: calls itself XML 1.1, which forbids U+007F to U+009F. It is read as XML 1.0, which allows them",
    ),
    open("xml", "", "a DOCTYPE is not accepted", 20, DOCTYPE),
    open("xml", "", "not UTF-8", 6, ENCODED),
    open("xml", "iso-2022-jp", "a character that XML does not allow", 2, ENCODED),
    open(
        "xml",
        "",
        "an XML declaration that is not",
        3,
        "refused: an XML declaration of another form, or of version 42.88",
    ),
    open(
        "xml",
        "rmt-e2e-57",
        "read: ",
        1,
        "read: `xml:space` with a value of its own. Attributes are left out",
    ),
];

const fn of(
    suite: &'static str,
    named: &'static str,
    found: &'static str,
    cases: usize,
    reason: &'static str,
) -> Known {
    Known { suite, came_to: CameTo::Differs, named, found, cases, reason }
}

const fn open(
    suite: &'static str,
    named: &'static str,
    found: &'static str,
    cases: usize,
    reason: &'static str,
) -> Known {
    Known { suite, came_to: CameTo::Open, named, found, cases, reason }
}
