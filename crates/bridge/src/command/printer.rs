//! Messages for people (coloured on a terminal) and for pipes (one JSON object a line).

use std::io::{self, IsTerminal, Write};

use async_nats::Message;
use serde::Serialize;
use serde_json::value::RawValue;

/// Prints messages to standard output.
pub(super) struct Printer {
    json: bool,
    colour: bool,
}

/// Where a message stands in its stream.
pub(super) struct Place {
    pub(super) stream: String,
    pub(super) sequence: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    /// The body, when it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<std::borrow::Cow<'a, str>>,
}

/// How much of a body is shown to people.
const EXCERPT_CHARACTERS: usize = 160;

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour }
    }

    pub(super) fn message(&mut self, message: &Message, place: Option<&Place>) -> io::Result<()> {
        match self.json {
            true => self.json_line(message, place),
            false => self.for_people(message, place),
        }
    }

    /// Text in one of the terminal's colours, by its SGR code.
    pub(super) fn paint(&self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    fn for_people(&self, message: &Message, place: Option<&Place>) -> io::Result<()> {
        let subject = message.subject.as_str();
        let id = header(message, "Nats-Msg-Id").unwrap_or_default();
        let place = place.map(|p| format!("  {} #{}", p.stream, p.sequence)).unwrap_or_default();
        let excerpt: String =
            printable(&String::from_utf8_lossy(&message.payload)).take(EXCERPT_CHARACTERS).collect();
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}{}", self.paint(colour_of(subject), subject), self.paint("2", &place))?;
        writeln!(stdout, "  {} {}", self.paint("2", "id  "), printable(id).collect::<String>())?;
        if let Some(detail) = header(message, "Ci-Detail") {
            writeln!(stdout, "  {} {}", self.paint("2", "why "), printable(detail).collect::<String>())?;
        }
        if let Some(object) = header(message, "Ci-Object") {
            let bytes = header(message, "Ci-Object-Bytes").unwrap_or("?");
            let object = format!("{object} ({bytes} bytes; nats object get)");
            writeln!(stdout, "  {} {}", self.paint("2", "all "), printable(&object).collect::<String>())?;
        }
        let more = if message.payload.len() > excerpt.len() { "…" } else { "" };
        writeln!(stdout, "  {} {excerpt}{more}", self.paint("2", "body"))
    }

    fn json_line(&self, message: &Message, place: Option<&Place>) -> io::Result<()> {
        let names = message.headers.iter().flat_map(|headers| headers.iter());
        let headers = names.filter_map(|(name, values)| {
            Some((name.to_string(), serde_json::Value::from(values.first()?.as_str())))
        });
        let data = serde_json::from_slice(&message.payload).ok();
        let line = Line {
            subject: message.subject.as_str(),
            seq: place.map(|place| place.sequence),
            headers: headers.collect(),
            text: data.is_none().then(|| String::from_utf8_lossy(&message.payload)),
            data,
        };
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, &line)?;
        writeln!(stdout)
    }
}

fn header<'m>(message: &'m Message, name: &'static str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

/// Green for what went well, red for what did not, yellow for what to look at.
fn colour_of(subject: &str) -> &'static str {
    let last = subject.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match last.as_str() {
        "success" | "normal" => "32",
        "failed" | "violation" => "31",
        _ => "33",
    }
}

/// A sender's text as one line: no control character of it reaches the terminal.
fn printable(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| if c.is_control() { ' ' } else { c })
}
