//! Messages for people (coloured on a terminal) and for pipes (one JSON object a line, or bodies alone).

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use async_nats::Message;
use ci_bridge_publisher::MessageId;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::row::{Kind, Summary, header};

/// Prints messages to standard output.
pub(super) struct Printer {
    form: Form,
    colour: bool,
    /// How wide each column is so far: `None` before the first row, which the names of the columns precede.
    widths: Option<[usize; COLUMNS.len()]>,
}

/// How a message looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Several lines: subject, id, beginning of the body.
    Lines,
    /// One row, in columns.
    Rows,
    /// One JSON object a line.
    Json,
    /// The body alone, a line.
    Raw,
}

/// The last column is as wide as it needs to be.
const COLUMNS: [&str; 6] = ["TIME", "SEQUENCE", "KIND", "TAG", "STATE", "OBJECT"];
/// Wide enough for most; one that is wider makes its column wider from then on.
const FIRST_WIDTHS: [usize; COLUMNS.len()] = [20, 8, 10, 16, 10, 28];
/// A key of a thousand characters moves its own row only.
const MAX_WIDTH: usize = 48;

/// Where a message stands in its stream.
pub(super) struct StreamPosition {
    pub(super) stream: String,
    pub(super) sequence: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
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
    /// Coloured on a terminal, unless NO_COLOR, CLICOLOR or TERM say otherwise; CLICOLOR_FORCE colours a pipe.
    pub(super) fn new(form: Form) -> Self {
        let colour = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        Self { form, colour, widths: None }
    }

    pub(super) fn message(&mut self, message: &Message, place: Option<&StreamPosition>) -> io::Result<()> {
        match self.form {
            Form::Json => self.json_line(message, place, None),
            _ => self.for_people(message, place),
        }
    }

    /// A message that was stored, or came, at this time.
    pub(super) fn seen(
        &mut self,
        message: &Message,
        summary: &Summary,
        place: Option<&StreamPosition>,
        time: OffsetDateTime,
    ) -> io::Result<()> {
        match self.form {
            Form::Lines => self.for_people(message, place),
            Form::Rows => self.row(message, summary, place, time),
            Form::Json => self.json_line(message, place, time.format(&Rfc3339).ok()),
            Form::Raw => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&message.payload)?;
                writeln!(stdout)
            }
        }
    }

    fn row(
        &mut self,
        message: &Message,
        summary: &Summary,
        place: Option<&StreamPosition>,
        time: OffsetDateTime,
    ) -> io::Result<()> {
        let time = time.to_offset(time::UtcOffset::UTC).truncate_to_second().format(&Rfc3339);
        let sequence = place.map_or_else(|| "-".to_owned(), |place| place.sequence.to_string());
        let kind = summary.kind.map_or("-", Kind::as_str);
        let cells =
            [&*time.unwrap_or_default(), &sequence, kind, &summary.tag, &summary.state, &summary.object]
                .map(|cell| printable(cell).collect::<String>());
        let mut stdout = io::stdout().lock();
        let mut widths = match self.widths {
            Some(widths) => widths,
            None => {
                let names = pad(&COLUMNS.map(str::to_owned), FIRST_WIDTHS).concat() + "SUBJECT";
                writeln!(stdout, "{}", self.paint("2", &names))?;
                FIRST_WIDTHS
            }
        };
        for (width, cell) in widths.iter_mut().zip(&cells) {
            *width = cell.chars().count().clamp(*width, (*width).max(MAX_WIDTH));
        }
        self.widths = Some(widths);
        let mut cells = pad(&cells, widths);
        cells[0] = self.paint("2", &cells[0]);
        cells[4] = self.paint(colour_of(&summary.state), &cells[4]);
        writeln!(stdout, "{}{}", cells.concat(), self.paint("2", &message.subject))?;
        if let Some(why) = &summary.why {
            writeln!(stdout, "  {} {}", self.paint("2", "why"), printable(why).collect::<String>())?;
        }
        match large_object(message) {
            Some(object) => writeln!(stdout, "  {} {object}", self.paint("2", "all")),
            None => Ok(()),
        }
    }

    /// Text in one of the terminal's colours, by its SGR code.
    pub(super) fn paint(&self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    fn for_people(&self, message: &Message, place: Option<&StreamPosition>) -> io::Result<()> {
        let subject = message.subject.as_str();
        let id = header(message, MessageId::HEADER).unwrap_or_default();
        let place = place.map(|p| format!("  {} #{}", p.stream, p.sequence)).unwrap_or_default();
        let excerpt: String =
            printable(&String::from_utf8_lossy(&message.payload)).take(EXCERPT_CHARACTERS).collect();
        let mut stdout = io::stdout().lock();
        let last = subject.rsplit('.').next().unwrap_or_default();
        writeln!(stdout, "{}{}", self.paint(colour_of(last), subject), self.paint("2", &place))?;
        writeln!(stdout, "  {} {}", self.paint("2", "id  "), printable(id).collect::<String>())?;
        if let Some(detail) = header(message, "Ci-Detail") {
            writeln!(stdout, "  {} {}", self.paint("2", "why "), printable(detail).collect::<String>())?;
        }
        if let Some(object) = large_object(message) {
            writeln!(stdout, "  {} {object}", self.paint("2", "all "))?;
        }
        let more = if message.payload.len() > excerpt.len() { "…" } else { "" };
        writeln!(stdout, "  {} {excerpt}{more}", self.paint("2", "body"))
    }

    fn json_line(
        &self,
        message: &Message,
        place: Option<&StreamPosition>,
        time: Option<String>,
    ) -> io::Result<()> {
        let names = message.headers.iter().flat_map(|headers| headers.iter());
        let headers = names.filter_map(|(name, values)| {
            Some((name.to_string(), serde_json::Value::from(values.first()?.as_str())))
        });
        let data = serde_json::from_slice(&message.payload).ok();
        let line = Line {
            subject: message.subject.as_str(),
            stream: place.map(|place| place.stream.as_str()),
            seq: place.map(|place| place.sequence),
            time,
            headers: headers.collect(),
            text: data.is_none().then(|| String::from_utf8_lossy(&message.payload)),
            data,
        };
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, &line)?;
        writeln!(stdout)
    }
}

/// Where the whole event is, when it was larger than NATS takes.
fn large_object(message: &Message) -> Option<String> {
    let object = header(message, "Ci-Object")?;
    let bytes = header(message, "Ci-Object-Bytes").unwrap_or("?");
    Some(printable(&format!("{object} ({bytes} bytes; nats object get)")).collect())
}

fn pad<const N: usize>(cells: &[String; N], widths: [usize; N]) -> [String; N] {
    std::array::from_fn(|at| format!("{:width$}  ", cells[at], width = widths[at]))
}

/// Green for what went well, red for what did not, yellow for what to look at.
fn colour_of(state: &str) -> &'static str {
    match state.to_ascii_lowercase().as_str() {
        "success" | "normal" => "32",
        "failed" | "violation" => "31",
        _ => "33",
    }
}

/// A sender's text as one line: no control character of it reaches the terminal.
fn printable(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().map(|c| if c.is_control() { ' ' } else { c })
}
