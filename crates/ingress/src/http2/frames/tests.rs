//! Frames against themselves, however they are cut, and what comes of those that are faulty.

use proptest::prelude::*;

use super::*;

const SETTINGS: u8 = 4;
const DATA: u8 = 0;
const MAX_HEADER_BYTES: usize = 1024;
/// `POST https://x/`, by the static table but for the authority.
const REQUEST: &[u8] = b"\x83\x87\x84\x01\x01x";
/// The same with `:path: /#a`.
const WITH_FRAGMENT: &[u8] = b"\x83\x87\x04\x03/#a\x01\x01x";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    Head { length: 0, kind, flags, stream }.write(flags, kind, &[payload])
}

fn hello() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

/// What hyper gets when these bytes come in pieces of at most this size.
fn passed(frames: &mut Frames, bytes: &[u8], piece: usize) -> Vec<u8> {
    let (mut passed, mut held) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        held.extend_from_slice(piece);
        loop {
            match frames.read(&held) {
                Ok(count) => {
                    passed.extend(held.drain(..count));
                    break;
                }
                Err(replace) => {
                    passed.extend(held.drain(..replace.passed));
                    held.drain(..replace.removed);
                    passed.extend(replace.by);
                }
            }
        }
    }
    passed
}

#[track_caller]
fn assert_passed(bytes: &[Vec<u8>], expected: &[Vec<u8>]) {
    let bytes = [&[hello()], bytes].concat().concat();
    let expected = [&[hello()], expected].concat().concat();
    for piece in [bytes.len(), 1, 3, 10, 1000] {
        let passed = passed(&mut Frames::new(MAX_HEADER_BYTES), &bytes, piece);
        assert_eq!(passed, expected, "in pieces of {piece}");
    }
}

#[test]
fn what_is_good_passes_as_it_is() {
    let padded = [&[2, 0, 0, 0, 0, 9][..], REQUEST, &[0, 0]].concat();
    let good = [
        frame(HEADERS, END_HEADERS, 1, REQUEST),
        frame(DATA, 0, 1, &[7; 3000]),
        frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 3, &padded),
        frame(HEADERS, 0, 5, &REQUEST[..2]),
        frame(CONTINUATION, 0, 5, &REQUEST[2..4]),
        frame(CONTINUATION, END_HEADERS, 5, &REQUEST[4..]),
        frame(DATA, 1, 5, &[]),
        frame(HEADERS, END_HEADERS | 1, 1, b"\x00\x01x\x01#"),
        frame(77, 255, 9, b"whatever"),
    ];
    assert_passed(&good, &good);
}

#[test]
fn what_is_faulty_says_so() {
    let target = [WITH_FRAGMENT, &mark(Fault::Target)].concat();
    let trailers = [b"\x88", &mark(Fault::PseudoTrailer)[..]].concat();
    let good = frame(HEADERS, END_HEADERS, 9, REQUEST);
    assert_passed(
        &[
            frame(HEADERS, END_HEADERS, 1, WITH_FRAGMENT),
            frame(HEADERS, END_HEADERS | PADDED, 3, &[&[1], WITH_FRAGMENT, &[0]].concat()),
            frame(HEADERS, 0, 5, &WITH_FRAGMENT[..5]),
            frame(CONTINUATION, END_HEADERS, 5, &WITH_FRAGMENT[5..]),
            frame(HEADERS, END_HEADERS, 7, REQUEST),
            frame(HEADERS, END_HEADERS | 1, 7, b"\x88"),
            good.clone(),
        ],
        &[
            frame(HEADERS, END_HEADERS, 1, &target),
            frame(HEADERS, END_HEADERS | PADDED, 3, &[&[1], &target[..], &[0]].concat()),
            frame(HEADERS, 0, 5, &WITH_FRAGMENT[..5]),
            frame(CONTINUATION, END_HEADERS, 5, &target[5..]),
            frame(HEADERS, END_HEADERS, 7, REQUEST),
            frame(HEADERS, END_HEADERS | 1, 7, &trailers),
            good,
        ],
    );
}

#[test]
fn a_mark_that_does_not_fit_comes_in_a_frame_of_its_own() {
    let mut frames = Frames::new(LARGEST_FRAME);
    let mut block = WITH_FRAGMENT.to_vec();
    // A field that fills the frame; its length takes three bytes.
    let left = LARGEST_FRAME - block.len() - 6;
    block.extend([0, 1, b'x', 0x7f]);
    let more = left - 127;
    block.extend([0x80 | (more & 0x7f).to_le_bytes()[0], (more >> 7).to_le_bytes()[0]]);
    block.resize(LARGEST_FRAME, b'v');
    let sent = frame(HEADERS, END_HEADERS, 1, &block);
    let expected =
        [frame(HEADERS, 0, 1, &block), frame(CONTINUATION, END_HEADERS, 1, &mark(Fault::Target))].concat();
    let passed = passed(&mut frames, &[hello(), sent].concat(), 5000);
    assert_eq!(passed[hello().len()..], expected);
}

#[test]
fn nothing_passes_behind_what_ends_a_connection() {
    let good = frame(HEADERS, END_HEADERS, 3, REQUEST);
    let half = MAX_HEADER_BYTES + 1;
    for (bad, passes) in [
        (vec![frame(HEADERS, END_HEADERS, 1, b"\xff")], 1),
        (vec![frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 0])], 1),
        (vec![frame(HEADERS, 0, 1, &vec![0; half]), frame(CONTINUATION, 0, 1, &vec![0; half])], 1),
    ] {
        let goodbye = [bad[..passes].to_vec(), vec![GOODBYE.to_vec()]].concat().concat();
        let bytes = [vec![hello()], bad, vec![good.clone()]].concat().concat();
        let passed = passed(&mut Frames::new(MAX_HEADER_BYTES), &bytes, bytes.len());
        assert_eq!(passed[hello().len()..], goodbye);
    }
}

/// Pieces of header blocks, good and bad.
const FRAGMENTS: [&[u8]; 12] = [
    REQUEST,
    WITH_FRAGMENT,
    b"\x88",
    b"\x00\x01x\x01#",
    b"\x40\x01x\x01y",
    b"\x44\x02/#",
    b"\xbe",
    b"\x20",
    b"\x3f\xe1\x1f",
    b"\x00\x81\x03",
    b"\x40",
    b"\xff\xff",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_not_matter_how_frames_are_cut(
        sent in prop::collection::vec(
            (
                prop::sample::select(&[DATA, HEADERS, HEADERS, CONTINUATION, RST_STREAM, 77][..]),
                prop::sample::select(&[0, 1, END_HEADERS, END_HEADERS | 1, END_HEADERS | PADDED, END_HEADERS | PRIORITY][..]),
                0_u32..9,
                prop::collection::vec(prop::sample::select(&FRAGMENTS[..]), 0..4),
            ),
            0..8,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        piece in 1_usize..40,
    ) {
        let sent = sent.iter().map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, &payload.concat()));
        let bytes = [hello(), sent.collect::<Vec<_>>().concat(), noise].concat();
        let whole = passed(&mut Frames::new(MAX_HEADER_BYTES), &bytes, bytes.len());
        prop_assert_eq!(passed(&mut Frames::new(MAX_HEADER_BYTES), &bytes, piece), whole);
    }
}

#[test]
fn each_stream_that_is_reset_counts_once() {
    const REFUSED: u32 = 7;
    const CLOSED: u32 = 5;
    let reset = |stream: u32, code: u32| frame(RST_STREAM, 0, stream, &code.to_be_bytes());
    let mut answers = Answers::new();
    let most = u32::try_from(MOST_RESETS).unwrap();
    let mut written = vec![frame(SETTINGS, 0, 0, &[0; 18]), frame(DATA, 1, 9, &[RST_STREAM; 500])];
    for stream in 0..most {
        // It is refused, and reset again for its DATA.
        written.extend([reset(stream, REFUSED), reset(stream, CLOSED), reset(stream, CLOSED)]);
        written.extend(BLAMELESS.map(|code| reset(most + stream, code)));
    }
    written.concat().chunks(7).for_each(|piece| answers.read(piece));
    assert_eq!((answers.reset.len(), answers.are_too_many()), (MOST_RESETS, false));
    answers.read(&reset(most, REFUSED));
    assert!(answers.are_too_many());
    let mut frames = Frames { answers, ..Frames::new(MAX_HEADER_BYTES) };
    let passed = passed(&mut frames, &[hello(), frame(HEADERS, END_HEADERS, 1, REQUEST)].concat(), 10);
    assert!(passed[hello().len() - HEAD_BYTES..].starts_with(&GOODBYE), "{passed:x?}");
}
