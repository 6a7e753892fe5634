//! What can be wrong with a request's head, whatever it asks for.

/// A head that is refused: what two readers could read differently, what no HTTP has, and what is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    BareLineFeed,
    BareCarriageReturn,
    ControlCharacter,
    RequestLine,
    Target,
    Version,
    HeaderName,
    FoldedHeader,
    Host,
    Length,
    TwoLengths,
    LengthAndEncoding,
    TransferEncoding,
    TwoAuthorizations,
    PseudoTrailer,
    TooManyHeaders,
    HeadTooLarge,
}

impl Fault {
    pub(crate) const ALL: [Self; 17] = [
        Self::BareLineFeed,
        Self::BareCarriageReturn,
        Self::ControlCharacter,
        Self::RequestLine,
        Self::Target,
        Self::Version,
        Self::HeaderName,
        Self::FoldedHeader,
        Self::Host,
        Self::Length,
        Self::TwoLengths,
        Self::LengthAndEncoding,
        Self::TransferEncoding,
        Self::TwoAuthorizations,
        Self::PseudoTrailer,
        Self::TooManyHeaders,
        Self::HeadTooLarge,
    ];

    /// A label of `ci_bridge_rejections_total`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BareLineFeed => "bare_line_feed",
            Self::BareCarriageReturn => "bare_carriage_return",
            Self::ControlCharacter => "control_character",
            Self::RequestLine => "request_line",
            Self::Target => "target",
            Self::Version => "version",
            Self::HeaderName => "header_name",
            Self::FoldedHeader => "folded_header",
            Self::Host => "host",
            Self::Length => "content_length",
            Self::TwoLengths => "two_content_lengths",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::TransferEncoding => "transfer_encoding",
            Self::TwoAuthorizations => "two_authorizations",
            Self::PseudoTrailer => "pseudo_header_in_trailers",
            Self::TooManyHeaders => "too_many_headers",
            Self::HeadTooLarge => "head_too_large",
        }
    }

    /// A sentence for the sender. Nothing that it sent is in it.
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line of the head ends with LF alone; lines end with CR LF",
            Self::BareCarriageReturn => "a CR without LF stands in the head",
            Self::ControlCharacter => "a control character stands in the head",
            Self::RequestLine => "the request line is not METHOD TARGET HTTP/1.1",
            Self::Target => {
                "the target is neither a path nor an http or https URL, or holds what must be percent-encoded"
            }
            Self::Version => "the version is not HTTP/1.1; HTTP/2 is for TLS, where ALPN agrees on it",
            Self::HeaderName => "a header has no colon, or its name holds what no name may, such as a blank",
            Self::FoldedHeader => "a header is continued on the next line",
            Self::Host => "there must be one Host header, and it must be a host and perhaps a port",
            Self::Length => "the Content-Length is not a number of digits alone",
            Self::TwoLengths => "there is more than one Content-Length",
            Self::LengthAndEncoding => "there are both Content-Length and Transfer-Encoding",
            Self::TransferEncoding => "the Transfer-Encoding is not chunked, once, in HTTP/1.1",
            Self::TwoAuthorizations => "there is more than one Authorization",
            Self::PseudoTrailer => "a pseudo-header stands behind the body",
            Self::TooManyHeaders => "more header fields than max_headers",
            Self::HeadTooLarge => "the head is larger than max_header_bytes",
        }
    }

    /// Whether the head may be good, but is too much.
    pub(crate) fn is_excess(self) -> bool {
        matches!(self, Self::TooManyHeaders | Self::HeadTooLarge)
    }
}
