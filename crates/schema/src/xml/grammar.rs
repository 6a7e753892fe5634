//! Where XML's grammar is stricter than the reader: names, attributes, comments, declarations. What another reader would
//! refuse is refused here, or the same body would be an event for one and no XML for the other.

use super::predefined;
use crate::text::is_blank;

/// `NameStartChar` and `NameChar` (XML 1.0, section 2.3).
pub(super) fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(starts_name) && name.chars().all(|c| starts_name(c) || continues_name(c))
}

fn starts_name(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '_' | ':'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

fn continues_name(c: char) -> bool {
    matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// One attribute, its value as it is written.
pub(super) struct Attribute<'t> {
    pub(super) name: &'t str,
    pub(super) value: &'t str,
}

/// The attributes of a tag, from behind its name to its end.
pub(super) struct Attributes<'t>(pub(super) &'t str);

impl<'t> Iterator for Attributes<'t> {
    type Item = Result<Attribute<'t>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = without_blanks(self.0);
        if rest.is_empty() {
            return None;
        }
        let has_blank = rest.len() < self.0.len();
        // After an error there is no next.
        self.0 = "";
        if !has_blank {
            return Some(Err("no blank before an attribute"));
        }
        Some(self.attribute(rest))
    }
}

impl<'t> Attributes<'t> {
    fn attribute(&mut self, text: &'t str) -> Result<Attribute<'t>, &'static str> {
        let end =
            text.find(|c: char| c == '=' || is_blank_character(c)).ok_or("an attribute without a value")?;
        let (name, rest) = text.split_at(end);
        let rest = without_blanks(rest).strip_prefix('=').ok_or("an attribute without a value")?;
        let rest = without_blanks(rest);
        let quote =
            rest.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or("an attribute without quotes")?;
        let (value, rest) = rest[1..].split_once(quote).ok_or("an attribute without its closing quote")?;
        if !is_name(name) {
            return Err("not an attribute name");
        }
        self.0 = rest;
        Ok(Attribute { name, value })
    }
}

impl Attribute<'_> {
    /// No `<`, and each `&` begins a reference to one of the five entities or to a character.
    pub(super) fn check_value(&self) -> Result<(), String> {
        if self.value.contains('<') {
            return Err("a '<' in an attribute value".into());
        }
        for reference in self.value.split('&').skip(1) {
            let (reference, _) =
                reference.split_once(';').ok_or("an '&' in an attribute value begins no reference")?;
            match reference.strip_prefix('#') {
                Some(number) if is_character_number(number) => {}
                Some(_) => return Err("a character reference to no XML character".into()),
                None => drop(predefined(reference)?),
            }
        }
        Ok(())
    }
}

fn is_character_number(number: &str) -> bool {
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    // The number's own parser would take a sign.
    let are_digits = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let code = if are_digits { u32::from_str_radix(digits, radix).ok() } else { None };
    code.and_then(char::from_u32).is_some_and(super::is_xml_character)
}

/// The content of a comment: no `--`, which its end would follow as well (section 2.5).
pub(super) fn is_comment(content: &str) -> bool {
    !content.contains("--") && !content.ends_with('-')
}

/// The content of a processing instruction: a name other than `xml`, and a blank before what follows (section 2.6).
pub(super) fn is_instruction(content: &str) -> bool {
    let target = content.split(is_blank_character).next().unwrap_or_default();
    is_name(target) && !target.eq_ignore_ascii_case("xml")
}

/// The encoding that a declaration names, if it names one; `content` stands between `<?xml` and `?>` (section 2.8).
pub(super) fn declared_encoding(content: &str) -> Result<Option<&str>, &'static str> {
    const ODD: &str = "an XML declaration that is not version, encoding and standalone, in this order";
    let mut attributes = Attributes(content).peekable();
    let mut next = |name: &str| -> Result<Option<&str>, &'static str> {
        match attributes.next_if(|found| found.as_ref().is_ok_and(|found| found.name == name)) {
            Some(found) => Ok(Some(found.map_err(|_| ODD)?.value)),
            None => Ok(None),
        }
    };
    let version = next("version")?;
    let encoding = next("encoding")?;
    let standalone = next("standalone")?;
    let is_version = |version: &str| {
        let minor = version.strip_prefix("1.").unwrap_or_default();
        !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())
    };
    let is_good = version.is_some_and(is_version)
        && standalone.is_none_or(|word| matches!(word, "yes" | "no"))
        && attributes.next().is_none();
    if is_good { Ok(encoding) } else { Err(ODD) }
}

fn without_blanks(text: &str) -> &str {
    text.trim_start_matches(is_blank_character)
}

fn is_blank_character(c: char) -> bool {
    is_blank(c.encode_utf8(&mut [0; 4]))
}
