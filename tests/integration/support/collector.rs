//! A collector of traces: it reads OTLP over HTTP, and answers as a test wants it to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span as Wire, span::SpanKind, status::StatusCode};
use prost::Message;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::eventually;

/// A span as it was exported; ids in hexadecimal.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where there is none.
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) is_error: bool,
    pub(crate) nanos: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Of its resource.
    pub(crate) resource: BTreeMap<String, String>,
}

/// What it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mood {
    Takes,
    /// A status, and nothing is taken.
    Answers(u16),
    /// It reads, and says nothing.
    Silent,
}

/// A collector on a port of its own.
pub(crate) struct Collector {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    scheme: &'static str,
}

struct Seen {
    mood: Mood,
    spans: Vec<Span>,
    heads: Vec<String>,
}

impl Collector {
    pub(crate) fn start(mood: Mood) -> Self {
        Self::listen(mood, None)
    }

    pub(crate) fn start_with_tls(identity: Arc<ServerConfig>) -> Self {
        Self::listen(Mood::Takes, Some(identity))
    }

    fn listen(mood: Mood, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let seen = Arc::new(Mutex::new(Seen { mood, spans: Vec::new(), heads: Vec::new() }));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::clone(&seen);
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, tls) = (Arc::clone(&shared), tls.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream, &seen),
                    Some(config) => {
                        let connection = ServerConnection::new(config).expect("a connection");
                        serve(StreamOwned::new(connection, stream), &seen);
                    }
                });
            }
        });
        Self { address, seen, scheme }
    }

    /// `[telemetry]` with this collector's address; further keys may follow.
    pub(crate) fn section(&self) -> String {
        format!("[telemetry]\notlp_endpoint = \"{}://{}\"\n", self.scheme, self.address)
    }

    pub(crate) fn now(&self, mood: Mood) {
        self.seen.lock().unwrap().mood = mood;
    }

    /// The heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().heads.clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.seen.lock().unwrap().spans.clone()
    }

    /// Waits for so many spans of this name.
    pub(crate) fn wait_for(&self, name: &str, count: usize) -> Vec<Span> {
        let of_name = || self.spans().into_iter().filter(|span| span.name == name).collect::<Vec<_>>();
        eventually(&format!("{count} spans called {name}"), || {
            Some(of_name()).filter(|spans| spans.len() >= count)
        })
    }
}

/// Answers until the client goes.
fn serve(stream: impl Read + Write, seen: &Mutex<Seen>) {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = read(&mut reader) {
        let mood = {
            let mut seen = seen.lock().unwrap();
            seen.heads.push(head);
            if matches!(seen.mood, Mood::Takes) {
                let request = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
                seen.spans.extend(spans(request));
            }
            seen.mood
        };
        let (status, body) = match mood {
            Mood::Takes => (200, ExportTraceServiceResponse::default().encode_to_vec()),
            Mood::Answers(status) => (status, Vec::new()),
            Mood::Silent => continue,
        };
        let head = format!("HTTP/1.1 {status} _\r\nContent-Length: {}\r\n\r\n", body.len());
        if reader.get_mut().write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
        let _ = reader.get_mut().flush();
    }
}

fn read(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|bytes| *bytes > 0)?;
    }
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let of_resource = request.resource_spans.into_iter().flat_map(|spans| {
        let resource = attributes(spans.resource.unwrap_or_default().attributes);
        let all = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
        all.map(move |span| self::span(span, resource.clone()))
    });
    of_resource.collect()
}

fn span(wire: Wire, resource: BTreeMap<String, String>) -> Span {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Span {
        kind: wire.kind(),
        name: wire.name,
        trace: hex(&wire.trace_id),
        id: hex(&wire.span_id),
        parent: hex(&wire.parent_span_id),
        state: wire.trace_state,
        is_error: wire.status.is_some_and(|status| status.code() == StatusCode::Error),
        nanos: wire.end_time_unix_nano - wire.start_time_unix_nano,
        attributes: attributes(wire.attributes),
        resource,
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(flag)) => flag.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}
