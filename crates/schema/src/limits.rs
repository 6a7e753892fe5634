//! What reading a body may cost.

/// What an element or JSON value costs while a body is read, in bytes.
pub const NODE_BYTES: usize = 100;

/// What a stranger's body may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nested elements or JSON containers. Published bodies go to 8.
    pub max_depth: usize,
    /// Elements, texts beside elements, or JSON values in one body. Each costs about [`NODE_BYTES`] of memory while it is
    /// read, up to twice that while it is normalised. Ten thousand frames of video moderation, the most that Tencent
    /// takes, have some 400,000; five hours of speech, word by word, some 300,000.
    pub max_nodes: usize,
    /// Jobs in one callback, each a message.
    pub max_jobs: usize,
    /// Bytes of the name of an element, an attribute or a JSON member, and of an attribute's value. Tencent's names
    /// go to 40; the names of an object's own headers, in moderation, may be longer.
    pub max_name_bytes: usize,
}

impl Limits {
    /// How many nodes a body is likely to have, without reading it: each element has two `<` in XML, each member a `:` and
    /// a `,` in JSON. Never more than are allowed.
    #[must_use]
    pub fn likely_nodes(&self, body: &[u8]) -> usize {
        // Counted in bytes, sixteen at a time; no count of so few overflows one.
        let is_mark = |byte: &u8| u8::from(*byte == b'<') | u8::from(*byte == b',') | u8::from(*byte == b':');
        let count = |bytes: &[u8]| usize::from(bytes.iter().map(is_mark).sum::<u8>());
        let marks: usize = body.chunks(usize::from(u8::MAX)).map(count).sum();
        (marks / 2 + 1).min(self.max_nodes)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_depth: 64, max_nodes: 1_000_000, max_jobs: 1_000, max_name_bytes: 1024 }
    }
}
