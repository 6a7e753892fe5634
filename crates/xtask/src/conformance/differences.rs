//! Where the bridge does on purpose what a suite does not ask for, or chooses where a suite allows either: the whole
//! list. A case that differs and is not here fails the command, and so does a number that is not right.

use super::case::{CameTo, Case};

/// Cases that have one reason.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) suite: &'static str,
    pub(super) came_to: CameTo,
    /// A case's name holds one of these; empty for every case.
    pub(super) named: &'static [&'static str],
    /// What the bridge says to it holds this.
    pub(super) found: &'static str,
    pub(super) cases: usize,
    /// They need not differ in each run.
    pub(super) at_times: bool,
    pub(super) reason: &'static str,
}

impl Known {
    /// Whether this is the reason of a case.
    pub(super) fn explains(&self, case: &Case) -> bool {
        let is_named = self.named.is_empty() || self.named.iter().any(|name| case.name.contains(name));
        self.came_to == case.came_to && is_named && case.found.contains(self.found)
    }
}

const DOCTYPE: &str =
    "refused: a DOCTYPE. No callback has one, and a DTD's entities name files and grow without bound";
const DECLARED: &str = "refused: declares an encoding other than UTF-8. The vendor sends no other";
const ENCODED: &str = "refused: is in an encoding other than UTF-8. A second decoder would be a second opinion of where tags are";

const NAMESPACES: &str =
    "read: breaks the rules of namespaces only. They are not checked: `a:b` is a name, as in XML 1.0 itself";
const CONTROLS: &str = "read: calls itself XML 1.1, which forbids most of U+007F to U+009F. It is read as XML 1.0, which allows them";
const NUMBERS: &str =
    "read: a number beyond a double. It is published as it is spelt, so nothing can overflow";
const SURROGATES: &str =
    "refused: half of a surrogate pair is no character, and no UTF-8 could be published of it";
const DEPTH: &str = "refused: 500 nested arrays, where callbacks nest to 8 and 64 are read (`max_depth`)";
const NS: &[&str] = &["not-wf NS1."];
const XML_1_1: &[&str] = &["not-wf XML1.1"];

/// The first that explains a case counts it.
pub(super) const KNOWN: &[Known] = &[
    Known {
        suite: "h2spec",
        came_to: CameTo::Differs,
        named: &[
            "http2/6.9.1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
        ],
        found: "RST_STREAM Frame (length:4, flags:0x00, stream_id:1)</error> (not each time)",
        cases: 1,
        at_times: true,
        reason: "the answer, 405 and RST_STREAM without an error, overtakes the case's second frame (RFC 9113, section 8.1)",
    },
    of("xml", &[], "a DOCTYPE is not accepted", 943, DOCTYPE),
    of("xml", &[], "declares an encoding other than UTF-8", 13, DECLARED),
    of("xml", &[], "not UTF-8", 22, ENCODED),
    of("xml", NS, "read: ", 17, NAMESPACES),
    of("xml", XML_1_1, "read: ", 31, CONTROLS),
    open("xml", &[], "a DOCTYPE is not accepted", 20, DOCTYPE),
    open("xml", &[], "not UTF-8", 6, ENCODED),
    open(
        "xml",
        &["iso-2022-jp"],
        "a character that XML does not allow",
        2,
        "refused: is in ISO-2022-JP, which looks like UTF-8 with control characters",
    ),
    open(
        "xml",
        &[],
        "an XML declaration that is not",
        3,
        "refused: an XML declaration of another form, or of version 42.88",
    ),
    open(
        "xml",
        &["rmt-e2e-57"],
        "read: ",
        1,
        "read: `xml:space` with a value of its own. Attributes are left out",
    ),
    of(
        "xml-in-callback",
        &[],
        "is not one of XML's five entities",
        116,
        "refused: an entity of the DTD that was cut out",
    ),
    of(
        "xml-in-callback",
        &[" valid XML1.1"],
        "a character reference to no XML character",
        3,
        "refused: a control character that only XML 1.1 has",
    ),
    of("xml-in-callback", NS, "read: ", 17, NAMESPACES),
    of("xml-in-callback", XML_1_1, "read: ", 31, CONTROLS),
    of(
        "xml-in-callback",
        &[
            "not-wf-sa-09",
            "not-wf-sa-100 ",
            "not-wf-sa-101 ",
            "not-wf-sa-102 ",
            "not-wf-sa-152 ",
            "encoding0",
            "o-p23fail",
            "o-p24fail",
            "o-p25fail1 ",
            "o-p26fail",
            "o-p32fail",
            "rmt-e2e-61 ",
            "hst-lhs-007 ",
        ],
        "read: ",
        31,
        "read: only the declaration was wrong, which was cut out. Refused as it is: see `xml`",
    ),
    of(
        "xml-in-callback",
        &[
            "not-wf-sa-03",
            "not-wf-sa-04",
            "not-wf-sa-05",
            "not-wf-sa-105 ",
            "not-wf-sa-106 ",
            "o-p01fail3 ",
            "o-p27fail1 ",
            "o-p39fail3 ",
        ],
        "read: ",
        15,
        "read: only the place was wrong, outside of the root element. Refused as it is: see `xml`",
    ),
    open("json", &["i_number_"], "read: ", 10, NUMBERS),
    open("json", &[], "half of a surrogate pair", 10, SURROGATES),
    open("json", &[], "nest deeper than 64", 1, DEPTH),
    open(
        "json",
        &["i_structure_UTF-8_BOM_"],
        "read: ",
        1,
        "read: a byte order mark before the body, as before XML",
    ),
    open("json-in-callback", &["i_number_"], "read: ", 10, NUMBERS),
    open("json-in-callback", &[], "half of a surrogate pair", 10, SURROGATES),
    open("json-in-callback", &[], "nest deeper than 64", 1, DEPTH),
    open(
        "json-in-callback",
        &["i_structure_UTF-8_BOM_"],
        "expected a value",
        1,
        "refused: a byte order mark within the body",
    ),
];

const fn of(
    suite: &'static str,
    named: &'static [&'static str],
    found: &'static str,
    cases: usize,
    reason: &'static str,
) -> Known {
    Known { suite, came_to: CameTo::Differs, named, found, cases, at_times: false, reason }
}

const fn open(
    suite: &'static str,
    named: &'static [&'static str],
    found: &'static str,
    cases: usize,
    reason: &'static str,
) -> Known {
    Known { suite, came_to: CameTo::Open, named, found, cases, at_times: false, reason }
}
