//! Bodies that are nearly right: a few bytes of a good one flipped, added, taken away or cut off.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Set(Index, u8),
    Insert(Index, &'static str),
    Delete(Index),
    Cut(Index),
    Repeat(Index, usize),
}

pub(crate) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    const TOKENS: [&str; 60] = [
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "<",
        ">",
        "/",
        "&",
        ";",
        "!",
        "?",
        "-",
        "=",
        "'",
        " ",
        "\n",
        "\r",
        "\0",
        "\u{7F}",
        "\u{85}",
        "\u{FEFF}",
        "\u{FFFE}",
        "数",
        "0",
        ".",
        "e",
        "+",
        "\\ud800",
        "\\udc00\\ud800",
        "\\u0000",
        "\\x",
        "1e999",
        "01",
        "null",
        "nul",
        "<!DOCTYPE a>",
        "<!ENTITY",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "--",
        "<?",
        "?>",
        "<?xml version=\"1.0\"?>",
        "&#0;",
        "&#x10FFFF;",
        "&#xD800;",
        "&x;",
        "&lt;",
        "&",
        " a=\"1\"",
        " a='<'",
        "<a/>",
        "</a>",
        "xmlns:a=\"b\"",
    ];
    let at = any::<Index>;
    let mutation = prop_oneof![
        2 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        2 => (at(), b' '..=b'~').prop_map(|(at, byte)| Mutation::Set(at, byte)),
        4 => (at(), select(&TOKENS[..])).prop_map(|(at, token)| Mutation::Insert(at, token)),
        2 => at().prop_map(Mutation::Delete),
        1 => at().prop_map(Mutation::Cut),
        1 => (at(), 1..12usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ];
    vec(mutation, 0..4)
}

pub(crate) fn mutated(mut body: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        if body.is_empty() {
            return body;
        }
        let place = |index: &Index, body: &[u8]| index.index(body.len());
        match mutation {
            Mutation::Set(index, byte) => {
                let at = place(index, &body);
                body[at] = *byte;
            }
            Mutation::Insert(index, token) => {
                let at = place(index, &body);
                body.splice(at..at, token.bytes());
            }
            Mutation::Delete(index) => {
                body.remove(place(index, &body));
            }
            Mutation::Cut(index) => body.truncate(place(index, &body)),
            Mutation::Repeat(index, length) => {
                let at = place(index, &body);
                let again = body[at..body.len().min(at + length)].to_vec();
                body.splice(at..at, again);
            }
        }
    }
    body
}
