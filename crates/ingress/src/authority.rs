//! Who a request is for: `Host`, `:authority`, and the authority of a target that is a whole URL. RFC 3986, section
//! 3.2, without the user information that RFC 9110, section 4.2.4, calls an error.

use std::net::Ipv6Addr;

use crate::characters::table;

/// Whether these bytes are a host and perhaps a port. The host may be empty, as RFC 9110, section 7.2, lets `Host` be.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    split(bytes).is_some()
}

/// Whether both name the same host and port; `default_port` is the one that need not be written.
pub(crate) fn is_same(one: &[u8], other: &[u8], default_port: &[u8]) -> bool {
    let port = |port: &[u8]| if port.is_empty() { default_port.to_vec() } else { port.to_vec() };
    match (split(one), split(other)) {
        (Some((host, its)), Some((same, others))) => {
            host.eq_ignore_ascii_case(same) && port(its) == port(others)
        }
        _ => false,
    }
}

/// The host, and the digits of the port.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match bytes.first() {
        Some(b'[') => bytes.iter().position(|byte| *byte == b']')? + 1,
        _ => bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len()),
    };
    let (host, port) = bytes.split_at(end);
    let port = match port {
        [] => port,
        [b':', digits @ ..] => digits,
        _ => return None,
    };
    let is_host = match host {
        [b'[', literal @ .., b']'] => is_literal(literal),
        name => is_name(name),
    };
    (is_host && port.iter().all(u8::is_ascii_digit)).then_some((host, port))
}

/// An IPv6 address, or one of a version to come.
fn is_literal(literal: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(literal) else { return false };
    if text.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let future = text.strip_prefix(['v', 'V']).and_then(|rest| rest.split_once('.'));
    future.is_some_and(|(version, address)| {
        let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_version
            && !address.is_empty()
            && address.bytes().all(|byte| byte == b':' || NAME[usize::from(byte)] && byte != b'%')
    })
}

/// A registered name or an IPv4 address: both are made of the same characters, or of escapes.
fn is_name(name: &[u8]) -> bool {
    let escapes = name.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    name.iter().all(|byte| NAME[usize::from(*byte)])
        && escapes
            .map(|(at, _)| name.get(at + 1..at + 3))
            .all(|escape| escape.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// `unreserved`, `sub-delims`, and the `%` of an escape.
const NAME: [bool; 256] = table(b"0123456789-._~!$&'()*+,;=%");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        let rows = [
            ("x", true),
            ("", true),
            ("x:", true),
            ("x:80", true),
            (":80", true),
            ("127.0.0.1:8080", true),
            ("[::1]", true),
            ("[::1]:443", true),
            ("[::ffff:10.0.0.1]", true),
            ("[v1.a:b]", true),
            ("a,b", true),
            ("%e4%bd%a0.example", true),
            ("a_b.example", true),
            ("a, b", false),
            ("a b", false),
            ("user@a", false),
            ("user:password@a", false),
            ("[::1", false),
            ("::1", false),
            ("[::1]x", false),
            ("[::1%25eth0]", false),
            ("[]", false),
            ("[v.a]", false),
            ("[x]", false),
            ("a:b", false),
            ("a:80:80", false),
            ("a:-1", false),
            ("a/b", false),
            ("a?b", false),
            ("a#b", false),
            ("a%4", false),
            ("a%zz", false),
            ("http://a", false),
            ("a\\b", false),
            ("\u{4f60}.example", false),
        ];
        for (text, expected) in rows {
            assert_eq!(is_authority(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_port_need_not_be_written() {
        let rows = [
            ("x", "X", true),
            ("x", "x:443", true),
            ("x:", "x:443", true),
            ("[::1]:8443", "[::1]:8443", true),
            ("x", "x:80", false),
            ("x", "y", false),
            ("x:443", "y:443", false),
            ("a b", "a b", false),
        ];
        for (one, other, expected) in rows {
            assert_eq!(is_same(one.as_bytes(), other.as_bytes(), b"443"), expected, "{one:?} {other:?}");
        }
    }
}
