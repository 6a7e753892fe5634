//! How NATS names the parts of a key-value bucket (ADR-8): its stream, and the subject of each key.

/// Where buckets have their keys.
const SUBJECTS: &str = "$KV.";
const STREAMS: &str = "KV_";

/// The stream of a bucket.
#[must_use]
pub fn stream(bucket: &str) -> String {
    format!("{STREAMS}{bucket}")
}

/// The bucket of a stream.
pub(crate) fn bucket(stream: &str) -> &str {
    stream.strip_prefix(STREAMS).unwrap_or(stream)
}

/// The subject of a bucket's key; with `*` or `>` in the key's place, a pattern of all of them.
#[must_use]
pub fn subject(bucket: &str, key: &str) -> String {
    format!("{SUBJECTS}{bucket}.{key}")
}

/// Whether a subject, or a pattern of subjects, is one of keys.
pub(crate) fn is_of_keys(subject: &str) -> bool {
    subject.starts_with(SUBJECTS)
}

/// Whether a subject is that of one key, of letters that any key may have.
pub(crate) fn is_key(subject: &str) -> bool {
    let Some((bucket, key)) = subject.strip_prefix(SUBJECTS).and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let is_word = |word: &str, further: &[u8]| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || further.contains(&b))
    };
    is_word(bucket, b"") && is_word(key, b"=")
}

/// An id as a key that every client takes: a byte outside `[A-Za-z0-9_-]` is `=` and its two hexadecimal digits, for no key
/// may have the `%` of subjects.
pub(crate) fn key_of(id: &str) -> String {
    let mut key = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => key.push(char::from(byte)),
            _ => key.push_str(&format!("={byte:02X}")),
        }
    }
    key
}
