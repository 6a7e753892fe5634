//! `ci-bridge render`: what callback bodies would become, without a network.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ci_bridge_publisher::{Message, MessageId, Origin, Routed};
use ci_bridge_schema::{Normalised, ParseError, normalise, parse};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::config::Settings;
use crate::failure::Failure;

#[derive(Serialize)]
struct Line<'a> {
    subject: &'a str,
    headers: serde_json::Map<String, serde_json::Value>,
    data: &'a RawValue,
}

pub(crate) fn run(settings: &Settings, files: &[PathBuf]) -> Result<ExitCode, Failure> {
    let standard_input = [PathBuf::from("-")];
    let files = if files.is_empty() { &standard_input } else { files };
    let mut unreadable = Vec::new();
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    for file in files {
        let body = match read(file) {
            Ok(body) => body,
            Err(error) => {
                unreadable.push(error.to_string());
                continue;
            }
        };
        let body = body_of_capture(&body);
        let most = settings.limits.max_body;
        if body.len() > most {
            // As `serve` says it, which reads no further.
            let file = file.display();
            unreadable.push(format!("{file}: oversize: the body is larger than {most} bytes (max_body)"));
            continue;
        }
        match route(settings, body) {
            Ok(all) => {
                for routed in all {
                    show(&routed, file, &mut stdout)?;
                }
            }
            Err(error) => {
                unreadable.push(format!("{}: {}: {error}", file.display(), error.reason().as_str()));
            }
        }
    }
    stdout.flush()?;
    match unreadable.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::Data(unreadable.join("\n"))),
    }
}

fn route(settings: &Settings, body: &[u8]) -> Result<Vec<Routed>, ParseError> {
    let callback = parse(body, &settings.limits.parse)?;
    // The checked configuration has at least one endpoint; render speaks for the first.
    let Some(endpoint) = settings.endpoints.first() else {
        return Ok(Vec::new());
    };
    let origin = Origin { endpoint: &endpoint.name, trace: None };
    Ok(match normalise(callback) {
        Normalised::Probe => Vec::new(),
        Normalised::Events(events) => {
            events.iter().map(|event| endpoint.router.route(event, origin)).collect()
        }
    })
}

/// Messages go to standard output, one line each; that a rule drops one is said beside it.
fn show(routed: &Routed, file: &Path, to: &mut impl Write) -> io::Result<()> {
    match routed {
        Routed::Published(messages) => messages.iter().try_for_each(|message| print(message, to)),
        Routed::Dropped(dropped) => {
            crate::failure::say(&format!("{}: rules.{} drops {}", file.display(), dropped.rule, dropped.id));
            Ok(())
        }
    }
}

/// `max_payload` of a nats-server that nobody has configured otherwise, in bytes.
const USUAL_MAX_PAYLOAD: usize = 1024 * 1024;

fn print(message: &Message, to: &mut impl Write) -> io::Result<()> {
    let bytes = message.encoded_bytes();
    if bytes > USUAL_MAX_PAYLOAD {
        crate::failure::say(&format!(
            "{} takes {bytes} bytes: where NATS takes less (by default {USUAL_MAX_PAYLOAD}), messages.oversize decides",
            message.id
        ));
    }
    let id = (MessageId::HEADER, message.id.as_str());
    let headers =
        std::iter::once(id).chain(message.headers.iter().map(|(name, value)| (name.as_str(), value)));
    let line = Line {
        subject: message.subject.as_str(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.into())).collect(),
        data: serde_json::from_slice(&message.payload)?,
    };
    serde_json::to_writer(&mut *to, &line)?;
    writeln!(to)
}

pub(super) fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().read_to_end(&mut body)?;
    } else {
        body =
            std::fs::read(file).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
    }
    Ok(body)
}

/// The body within a captured HTTP request (`POST / HTTP/1.1` and headers above it); everything else as it is.
pub(super) fn body_of_capture(bytes: &[u8]) -> &[u8] {
    let is_request = bytes.starts_with(b"POST ");
    let starts_body = |line: &[u8]| matches!(line.trim_ascii_start().first(), Some(b'<' | b'{' | b'['));
    let mut at = 0;
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        if is_request && starts_body(line) {
            return &bytes[at..];
        }
        at += line.len();
    }
    bytes
}
