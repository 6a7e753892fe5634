//! Where an HTTP/1.1 answer ends, and its status. Answers must carry a Content-Length, as all do whose body is known.

/// Headers and body of an answer that has come whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) length: usize,
}

/// Looks for a whole answer at the beginning of `bytes`; none: more has to come.
///
/// # Errors
///
/// What has come is no answer, or none of a known length.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Response>, String> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = str::from_utf8(&bytes[..head]).map_err(|_| "a head that is not text")?;
    let status = text.get(9..12).and_then(|digits| digits.parse().ok()).ok_or("no status line")?;
    let body = content_length(text).ok_or_else(|| format!("status {status} without a Content-Length"))?;
    let length = head + 4 + body;
    Ok((bytes.len() >= length).then_some(Response { status, length }))
}

fn content_length(head: &str) -> Option<usize> {
    const NAME: &str = "content-length:";
    head.lines().find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        if name.eq_ignore_ascii_case(NAME) { value.trim().parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_whole_and_in_part() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-length: 2\r\n\r\nok";
        assert_eq!(parse(whole), Ok(Some(Response { status: 200, length: whole.len() })));
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(None), "{end}");
        }
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(parse(b"garbage\r\n\r\n").is_err());
    }
}
