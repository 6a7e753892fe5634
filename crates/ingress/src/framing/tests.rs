//! Framing against itself, however bytes are cut, and against hyper's parser.

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { fields: 8, bytes: 200 };

/// What passes, and the fault, when `bytes` come in pieces of at most this size.
fn read(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<Stop>) {
    let mut framing = Framing::new(LIMITS);
    let (mut passed, mut held) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        held.extend_from_slice(piece);
        match framing.read(&held) {
            Ok(count) => passed.extend(held.drain(..count)),
            Err((count, fault)) => {
                passed.extend(held.drain(..count));
                return (passed, Some(fault));
            }
        }
    }
    (passed, None)
}

#[test]
fn it_does_not_matter_how_bytes_are_cut() {
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n\r\n\n\r \r\n";
    let long = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(LIMITS.bytes - 26));
    let chunked =
        format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\n\r{post}");
    let rows = [
        (format!("{get}{post}{get}"), None),
        (long.clone(), None),
        (long.replace("Host: x", "Host: xx"), Some(Stop::Head(Fault::HeadTooLarge))),
        (chunked.replace("0\r\n", "0 \r\n"), Some(Stop::Body)),
        (chunked, None),
        (format!("{get}{get}GET / HTTP/1.1\nHost: x\r\n\r\n"), Some(Stop::Head(Fault::BareLineFeed))),
        (format!("{post}GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"), Some(Stop::Head(Fault::Host))),
    ];
    for (text, fault) in rows {
        let whole = read(text.as_bytes(), text.len());
        assert_eq!(whole.1, fault, "{text:?}");
        assert!(fault.is_some() || whole.0 == text.as_bytes(), "{text:?}");
        for piece in 1..text.len() {
            assert_eq!(read(text.as_bytes(), piece), whole, "{text:?} in pieces of {piece}");
        }
    }
}

#[test]
fn a_mark_is_read_back_and_cannot_be_sent() {
    for fault in Fault::ALL {
        let text = mark(fault);
        let mut parts = text.split(' ');
        let request = Request::builder().method(parts.next().unwrap()).uri(parts.next().unwrap());
        assert_eq!(marked(&request.body(()).unwrap()), Some(fault));
        let sent = text.replace("\r\n\r\n", "\r\nHost: x\r\n\r\n");
        assert_eq!(read(sent.as_bytes(), sent.len()), (Vec::new(), Some(Stop::Head(Fault::RequestLine))));
    }
}

/// What heads are made of, and what they should not be made of.
const FRAGMENTS: [&str; 37] = [
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\n",
    "GET / HTTP/1.1\r\n",
    "POST /ci/callback HTTP/1.1\r\n",
    "POST / HTTP/1.0\r\n",
    "POST http://x/ HTTP/1.1\r\n",
    "Host: x\r\n",
    "Host: x\r\n\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 3\r\n\r\n",
    "content-length:0\r\n\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n\r\n",
    "Transfer-Encoding:\tgzip\r\n",
    "X-Y: z\r\n",
    "Upgrade: h2c\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    ":",
    "\0",
    "\u{b}",
    "\u{7f}",
    "\u{e9}",
    "abc",
    "abcdef",
    "0\r\n\r\n",
    "PRI * HTTP/2.0\r\n",
    "/",
    "1",
];

/// Where the requests in these bytes begin, as hyper's parser has it; up to a chunked one, or one that is not whole.
fn beginnings(bytes: &[u8]) -> Vec<usize> {
    let (mut at, mut beginnings) = (0, Vec::new());
    while at < bytes.len() {
        beginnings.push(at);
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(&bytes[at..]).expect("what passes can be parsed");
        let httparse::Status::Complete(head) = parsed else { panic!("what passes is a whole head") };
        let field = |name: &str| {
            request.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name)).collect::<Vec<_>>()
        };
        if !field("transfer-encoding").is_empty() {
            break;
        }
        let lengths = field("content-length");
        assert!(lengths.len() < 2);
        let length = lengths.first().map_or(0, |f| std::str::from_utf8(f.value).unwrap().parse().unwrap());
        at += head + length;
    }
    beginnings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hyper_sees_the_same_requests(fragments in prop::collection::vec(prop::sample::select(&FRAGMENTS[..]), 1..12), piece in 1_usize..40) {
        let bytes = fragments.concat().into_bytes();
        let whole = read(&bytes, bytes.len());
        prop_assert_eq!(&read(&bytes, piece), &whole);
        prop_assert!(bytes.starts_with(&whole.0));
        // It panics when hyper could not read what passes.
        beginnings(&whole.0);
    }

    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..40) {
        if !bytes.is_empty() {
            prop_assert_eq!(read(&bytes, piece), read(&bytes, bytes.len()));
        }
    }
}
