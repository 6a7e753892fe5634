//! Bytes to a callback: sniff the encoding, read the nodes, recognise the family.

use crate::document::Document;
use crate::error::ParseError;
use crate::family::{self, Callback};
use crate::limits::Limits;
use crate::text::is_blank;
use crate::{json, xml};

/// The encoding of a body, by its first significant byte. The vendor says `application/xml` over JSON as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The first significant byte is `<`.
    Xml,
    /// The first significant byte is `{` or `[`.
    Json,
    /// `name=value&…`: the callbacks of 2018.
    Form,
    /// None of these.
    Unknown,
}

impl Format {
    /// Looks past an optional UTF-8 byte order mark and white space.
    #[must_use]
    pub fn sniff(body: &[u8]) -> Self {
        let body = without_bom(body);
        match body.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'<') => Self::Xml,
            Some(b'{' | b'[') => Self::Json,
            Some(_) if is_form(body) => Self::Form,
            _ => Self::Unknown,
        }
    }

    /// The media type of such a body.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Xml => "application/xml",
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Unknown => "application/octet-stream",
        }
    }
}

/// Reads a callback's body: XML or JSON in UTF-8, whatever its Content-Type said.
///
/// # Errors
///
/// [`Reason::Syntax`](crate::Reason) with line and column when the body is not well-formed, declares a DTD or
/// entities, nests too deep or has too long names; [`Reason::Oversize`](crate::Reason) when it has more nodes than
/// `limits` allow; [`Reason::Shape`](crate::Reason) when it is well-formed but no callback of Tencent CI, or has too many
/// jobs.
pub fn parse<'a>(body: &'a [u8], limits: &Limits) -> Result<Callback<'a>, ParseError> {
    // Of the whole body: sniffing what is left would pass over a second mark, which the XML reader miscounts.
    let format = Format::sniff(body);
    let text = utf8(body)?;
    let document = match format {
        Format::Xml => xml::read(text, limits)?,
        Format::Json => json_root(json::read(text, limits)?)?,
        Format::Form => {
            return Err(ParseError::shape(
                "form-encoded, as the callbacks of 2018 were: configure an XML or JSON callback in the CI console",
            ));
        }
        Format::Unknown if is_blank(text) => return Err(ParseError::syntax(b"", 0, "the body is empty")),
        Format::Unknown if json::read(text, limits).is_ok() => {
            return Err(ParseError::shape("a JSON scalar: a callback is an object"));
        }
        Format::Unknown => {
            let at = text.len() - text.trim_start().len();
            return Err(ParseError::syntax(text.as_bytes(), at, "neither XML nor JSON: expected '<' or '{'"));
        }
    };
    family::recognise(document, limits)
}

fn json_root(document: Document<'_>) -> Result<Document<'_>, ParseError> {
    match document.root() {
        Some(root) if root.is_object() => Ok(family::without_response_root(document)),
        _ => Err(ParseError::shape("a JSON array: a callback is an object")),
    }
}

/// A body's text, behind an optional byte order mark.
pub(crate) fn utf8(body: &[u8]) -> Result<&str, ParseError> {
    let body = without_bom(body);
    std::str::from_utf8(body).map_err(|e| {
        ParseError::syntax(body, e.valid_up_to(), "not UTF-8, the only encoding that Tencent CI sends")
    })
}

fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)
}

/// `name=value` with nothing that a URL-encoded form could not hold.
fn is_form(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    let name_end = body.iter().position(|&b| b == b'=').unwrap_or(0);
    name_end > 0
        && body[..name_end].iter().all(|b| b.is_ascii_alphanumeric() || b"_-.%+[]".contains(b))
        && body.iter().all(u8::is_ascii_graphic)
}
