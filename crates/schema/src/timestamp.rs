//! The vendor's spellings of a time, respelled as RFC 3339.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `2022-06-30T18:47:18+0800`, `2020-12-01 11:00:41+0800` and `2021-08-10T21:01:10+08:00` become
/// `…T…+08:00`; what is not a time (`-`, seconds) stays as it came.
pub(crate) fn to_rfc3339(text: Cow<'_, str>) -> Cow<'_, str> {
    let respelled = respell(&text);
    match respelled {
        Some(respelled) if instant(&respelled).is_some() => Cow::Owned(respelled),
        _ => text,
    }
}

/// The instant that an RFC 3339 text names.
pub(crate) fn instant(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// `T` between date and time, a colon in the offset. `None` when it does not look like a time at all.
fn respell(text: &str) -> Option<String> {
    const DATE: usize = "2022-06-30".len();
    let (date, time) = (text.get(..DATE)?, text.get(DATE..)?.strip_prefix(['T', ' '])?);
    let mut respelled = String::with_capacity(text.len() + 1);
    respelled.push_str(date);
    respelled.push('T');
    match time.rfind(['+', '-']).map(|at| time.split_at(at)) {
        Some((time, offset)) if offset.len() == "+0800".len() && offset.is_ascii() => {
            respelled.push_str(time);
            respelled.push_str(&offset[..3]);
            respelled.push(':');
            respelled.push_str(&offset[3..]);
        }
        _ => respelled.push_str(time),
    }
    Some(respelled)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(to_rfc3339(Cow::Borrowed(text)), expected);
        }
    }
}
