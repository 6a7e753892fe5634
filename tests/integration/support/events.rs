//! A listener to server-sent events that reads as it goes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// What has come of `/api/v1/events`.
pub(crate) struct Events {
    stream: TcpStream,
    raw: Vec<u8>,
    text: String,
    /// The last chunk has come.
    is_over: bool,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Events {
    /// Asks for them; the head of the answer is the error when there are none.
    pub(crate) fn open(to: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Result<Self, String> {
        let mut stream = TcpStream::connect(to).expect("the bridge accepts connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let mut request = format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: {to}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).expect("the request is written");
        let mut events = Self { stream, raw: Vec::new(), text: String::new(), is_over: false };
        let head = loop {
            if let Some(end) = events.raw.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = events.raw.drain(..end + 4).collect();
                break String::from_utf8_lossy(&head).into_owned();
            }
            assert!(events.read(), "the connection ended before a head");
        };
        if head.starts_with("HTTP/1.1 200") { Ok(events) } else { Err(head) }
    }

    /// The next event; `None` when there are no more.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            self.take_chunks();
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = Event::read(block);
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            if self.is_over || !self.read() {
                return None;
            }
        }
    }

    /// The next event that this gives something for.
    pub(crate) fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            let event = self.next().unwrap_or_else(|| panic!("the events ended: {what}"));
            if let Some(found) = look(&event) {
                return found;
            }
        }
    }

    /// Until `count` callbacks have come: their facts, and the id of the last event.
    pub(crate) fn callbacks(&mut self, count: usize) -> (Vec<Value>, String) {
        let (mut facts, mut last) = (Vec::new(), String::new());
        while facts.len() < count {
            let (more, id) = self.wait("callbacks", |event| {
                let facts = (event.name == "callbacks").then(|| event.data["callbacks"].as_array())??;
                Some((facts.clone(), event.id.clone()?))
            });
            facts.extend(more);
            last = id;
        }
        (facts, last)
    }

    /// Takes the framing of chunks away.
    fn take_chunks(&mut self) {
        loop {
            let Some(end) = self.raw.windows(2).position(|window| window == b"\r\n") else { return };
            let size = std::str::from_utf8(&self.raw[..end]).ok();
            let size =
                size.and_then(|size| usize::from_str_radix(size, 16).ok()).expect("the size of a chunk");
            if self.raw.len() < end + 2 + size + 2 {
                return;
            }
            self.text.push_str(std::str::from_utf8(&self.raw[end + 2..end + 2 + size]).expect("UTF-8"));
            self.raw.drain(..end + 2 + size + 2);
            if size == 0 {
                self.is_over = true;
                return;
            }
        }
    }

    /// False when the other side has ended the connection.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.raw.extend_from_slice(&buffer[..count]);
                true
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came within {PATIENCE:?}")
            }
            Err(_) => false,
        }
    }
}

impl Event {
    /// `None` of a comment, or of what sets the time for coming back.
    fn read(block: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            lines.next().map(str::to_owned)
        };
        let data = serde_json::from_str(&field("data")?).expect("the data of an event is JSON");
        Some(Self { name: field("event")?, id: field("id"), data })
    }
}
