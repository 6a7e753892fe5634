//! The vendor's spellings of a time, respelled as RFC 3339.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Appends a time in the vendor's spelling as RFC 3339: `2022-06-30T18:47:18+0800`, `2020-12-01 11:00:41+0800` and
/// `2021-08-10T21:01:10+08:00` become `…T…+08:00`. Appends nothing, and says so, of what is not a time (`-`, seconds).
pub(crate) fn push_rfc3339(text: &str, to: &mut Vec<u8>) -> bool {
    let start = to.len();
    let is_time = respell(text, to).is_some_and(|()| is_time(&to[start..]));
    if !is_time {
        to.truncate(start);
    }
    is_time
}

/// Whether a text is a time in RFC 3339.
fn is_time(text: &[u8]) -> bool {
    is_usual_time(text) || std::str::from_utf8(text).ok().and_then(instant).is_some()
}

/// A time as the vendor writes it, to the second and with its offset; there are three or more in every callback.
fn is_usual_time(text: &[u8]) -> bool {
    const LAYOUT: &[u8; 25] = b"0000-00-00T00:00:00+00:00";
    let Ok(text) = <&[u8; LAYOUT.len()]>::try_from(text) else { return false };
    let is_separated = [4, 7, 10, 13, 16, 22].iter().all(|&at| text[at] == LAYOUT[at]);
    // Two digits, or a number that is too large for every place.
    let number = |at: usize| match (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0')) {
        (tens @ 0..=9, ones @ 0..=9) => tens * 10 + ones,
        _ => u8::MAX,
    };
    // The 28 days that every month has; the others are for the general parser.
    is_separated
        && matches!(text[19], b'+' | b'-')
        && number(0) < 100
        && number(2) < 100
        && (1..=12).contains(&number(5))
        && (1..=28).contains(&number(8))
        && number(11) < 24
        && number(14) < 60
        && number(17) < 60
        && number(20) < 24
        && number(23) < 60
}

/// The instant that an RFC 3339 text names.
pub(crate) fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// `T` between date and time, a colon in the offset. `None` when it does not look like a time at all.
fn respell(text: &str, to: &mut Vec<u8>) -> Option<()> {
    const DATE: usize = "2022-06-30".len();
    let start = to.len();
    to.extend_from_slice(text.as_bytes());
    let between = to.get_mut(start + DATE).filter(|between| matches!(between, b'T' | b' '))?;
    *between = b'T';
    if let [.., b'+' | b'-', _, _, m, n] = to[start..] {
        to.truncate(to.len() - "00".len());
        to.extend_from_slice(&[b':', m, n]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_usual_time_is_one_for_the_general_parser(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9][+-][0-2][0-9]:[0-6][0-9]",
        ) {
            prop_assert!(instant(&text).is_some() || !is_usual_time(text.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn documented_spellings_become_rfc_3339_and_the_rest_stays() {
        let rows = [
            ("2022-06-30T18:47:18+0800", "2022-06-30T18:47:18+08:00"),
            ("2020-12-01 11:00:41+0800", "2020-12-01T11:00:41+08:00"),
            ("2021-08-10T21:01:10+08:00", "2021-08-10T21:01:10+08:00"),
            ("2021-08-10T21:01:10Z", "2021-08-10T21:01:10Z"),
            ("2021-08-10 21:01:10.250-0330", "2021-08-10T21:01:10.250-03:30"),
            ("2021-08-10 21:01:10", "2021-08-10 21:01:10"),
            ("2021-02-30T21:01:10+0800", "2021-02-30T21:01:10+0800"),
            ("-", "-"),
            ("12.88", "12.88"),
            ("数据万象数据万象数", "数据万象数据万象数"),
            ("2022-06-30T18:47:18+é80", "2022-06-30T18:47:18+é80"),
        ];
        for (text, expected) in rows {
            let mut respelled = Vec::new();
            let is_time = push_rfc3339(text, &mut respelled);
            assert_eq!(if is_time { &respelled[..] } else { text.as_bytes() }, expected.as_bytes(), "{text}");
            assert_eq!(is_time, !respelled.is_empty(), "{text}");
        }
    }
}
