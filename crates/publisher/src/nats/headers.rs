//! The headers of a message, as async-nats wants them: a map.
//!
//! That map hashes each name with a key, grows three times until it holds the nine names of a usual message, and has each
//! value looked at byte by byte. But from message to message only some values change. So the map of the first message of
//! each shape is kept; a later one takes a copy, for which nothing is hashed, and puts in what differs.

use std::sync::{Arc, PoisonError, RwLock};

use async_nats::HeaderMap;
use async_nats::header::{self, HeaderValue, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};

use crate::message::{HeaderName, Headers, Message, MessageKind};

/// Shapes that are kept. An event has time, object and trace, or not; with its attributes in the body, the trace alone:
/// that makes ten, or fifteen where some traces have a state, for each of three kinds, in each stream, and as many for large ones. Quarantine has three, and those of
/// the events that were refused. So what usually comes fits. Should there be more, the rest is made anew each time.
const MAX_SHAPES: usize = 64;

/// The longest value that a shape keeps, in bytes: a usual source, the longest name of a bucket in it, takes half. A
/// sender chooses the source of the first message, and all that follow copy what is kept of it.
const MAX_KEPT_VALUE: usize = 128;

/// Makes maps of headers.
#[derive(Debug, Default)]
pub(super) struct HeaderMaps {
    shapes: RwLock<Vec<Arc<Shape>>>,
}

/// What many messages have in common.
#[derive(Debug)]
struct Shape {
    kind: MessageKind,
    /// `Nats-Expected-Stream`, if it is sent.
    stream: Option<Arc<str>>,
    /// All other names but `Nats-Msg-Id`, with the values that `map` has for them.
    headers: Headers,
    map: HeaderMap,
}

impl HeaderMaps {
    /// The headers of a message that `stream` must take, if one must.
    pub(super) fn of(&self, message: &Message, stream: Option<&Arc<str>>) -> HeaderMap {
        self.shape_of(message, stream).with_values_of(message)
    }

    fn shape_of(&self, message: &Message, stream: Option<&Arc<str>>) -> Arc<Shape> {
        let shapes = self.shapes.read().unwrap_or_else(PoisonError::into_inner);
        let known = find(&shapes, message, stream);
        let is_full = shapes.len() >= MAX_SHAPES;
        drop(shapes);
        match known {
            Some(shape) => shape,
            // Nothing more is learned, so nobody is made to wait for the lock.
            None if is_full => Arc::new(Shape::of(message, stream)),
            None => self.learn(message, stream),
        }
    }

    fn learn(&self, message: &Message, stream: Option<&Arc<str>>) -> Arc<Shape> {
        let shape = Arc::new(Shape::of(message, stream));
        let mut shapes = self.shapes.write().unwrap_or_else(PoisonError::into_inner);
        // Of messages that come together, each finds its shape missing.
        if let Some(known) = find(&shapes, message, stream) {
            return known;
        }
        if shapes.len() < MAX_SHAPES {
            shapes.push(Arc::clone(&shape));
        }
        shape
    }
}

fn find(shapes: &[Arc<Shape>], message: &Message, stream: Option<&Arc<str>>) -> Option<Arc<Shape>> {
    shapes.iter().find(|shape| shape.fits(message, stream)).map(Arc::clone)
}

impl Shape {
    fn of(message: &Message, stream: Option<&Arc<str>>) -> Self {
        let mut headers = Headers::default();
        let mut map = HeaderMap::new();
        map.insert(NATS_MESSAGE_ID, HeaderValue::new());
        if let Some(stream) = stream {
            map.insert(NATS_EXPECTED_STREAM, header_value(stream));
        }
        for (name, value) in message.headers.iter() {
            // What the next message replaces anyway need not be copied first.
            let is_kept = is_repeated(name) && value.len() <= MAX_KEPT_VALUE;
            let value = if is_kept { value } else { "" };
            headers.push(name, value);
            map.insert(header::HeaderName::from_static(name.as_str()), header_value(value));
        }
        Self { kind: message.kind, stream: stream.cloned(), headers, map }
    }

    fn fits(&self, message: &Message, stream: Option<&Arc<str>>) -> bool {
        let names = |headers| Headers::iter(headers).map(|(name, _)| name);
        self.kind == message.kind
            && self.stream.as_ref() == stream
            && names(&self.headers).eq(names(&message.headers))
    }

    fn with_values_of(&self, message: &Message) -> HeaderMap {
        let mut map = self.map.clone();
        let id = header_value(message.id.as_str());
        for ((_, have), (name, value)) in self.headers.iter().zip(message.headers.iter()) {
            if have != value {
                // `ce-id` is the same text, which need not be looked at twice.
                let value = if value == id.as_str() { id.clone() } else { header_value(value) };
                map.insert(header::HeaderName::from_static(name.as_str()), value);
            }
        }
        map.insert(NATS_MESSAGE_ID, id);
        map
    }
}

/// Whether most messages of a kind have the same value.
fn is_repeated(name: HeaderName) -> bool {
    use HeaderName::{CeDatacontenttype, CeSource, CeSpecversion, CeType, CiEndpoint, CiReason, ContentType};
    matches!(
        name,
        CeDatacontenttype | CeSource | CeSpecversion | CeType | CiEndpoint | CiReason | ContentType
    )
}

/// The client's own conversion panics on CR and LF. None can be here; if one was, it would stay out of the wire.
fn header_value(text: &str) -> HeaderValue {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MessageId;
    use crate::subject::Subject;

    fn message(headers: &[(HeaderName, &'static str)], body: &[u8]) -> Message {
        let mut all = Headers::default();
        headers.iter().for_each(|(name, value)| all.push(*name, *value));
        Message {
            subject: Subject::parse("ci.x").unwrap(),
            id: MessageId::of_quarantine(body),
            stream: "CI".into(),
            headers: all,
            payload: bytes::Bytes::new(),
            kind: MessageKind::Task,
        }
    }

    #[test]
    fn each_message_has_its_own_headers_and_no_others() {
        use HeaderName::{CeId, CeSource, CeSubject, CeTime};
        let messages = [
            message(&[(CeId, "1"), (CeSource, "/ci/a"), (CeTime, "t1"), (CeSubject, "")], b"1"),
            message(&[(CeId, "2"), (CeSource, "/ci/a"), (CeTime, "t2"), (CeSubject, "o")], b"2"),
            message(&[(CeId, "3"), (CeSource, "/ci/b"), (CeTime, "t3"), (CeSubject, "")], b"3"),
            message(&[(CeId, "4"), (CeSource, "/ci/a")], b"4"),
            message(&[], b"5"),
        ];
        let header_maps = HeaderMaps::default();
        for (message, stream) in messages.iter().flat_map(|message| {
            let other = Arc::from("OTHER");
            [None, Some(Arc::clone(&message.stream)), Some(other)].map(|stream| (message, stream))
        }) {
            let mut expected = HeaderMap::new();
            expected.insert(NATS_MESSAGE_ID, message.id.as_str());
            if let Some(stream) = &stream {
                expected.insert(NATS_EXPECTED_STREAM, &**stream);
            }
            message.headers.iter().for_each(|(name, value)| expected.insert(name.as_str(), value));
            assert_eq!(header_maps.of(message, stream.as_ref()), expected);
        }
        assert_eq!(header_maps.shapes.read().unwrap().len(), 9, "three sets of names, three streams or none");
    }

    #[test]
    fn shapes_are_bounded() {
        let header_maps = HeaderMaps::default();
        let message = message(&[(HeaderName::CeId, "1")], b"1");
        let assert_made = |number: usize| {
            let stream: Arc<str> = number.to_string().into();
            let map = header_maps.of(&message, Some(&stream));
            assert_eq!(map.get(NATS_EXPECTED_STREAM).map(HeaderValue::as_str), Some(&*stream));
        };
        (0..MAX_SHAPES).for_each(assert_made);
        let shapes = header_maps.shapes.read().unwrap();
        assert_eq!(shapes.len(), MAX_SHAPES);
        // Whoever asked for the lock to write would now wait for ever.
        (MAX_SHAPES..2 * MAX_SHAPES).for_each(assert_made);
        assert_eq!(shapes.len(), MAX_SHAPES);
    }

    #[test]
    fn a_shape_is_learned_once() {
        let header_maps = HeaderMaps::default();
        let message = message(&[(HeaderName::CeId, "1")], b"1");
        let learned = [(); 2].map(|()| header_maps.learn(&message, None));
        assert!(Arc::ptr_eq(&learned[0], &learned[1]));
        assert_eq!(header_maps.shapes.read().unwrap().len(), 1);
    }

    #[test]
    fn no_message_makes_those_after_it_large() {
        let long: &'static str = "x".repeat(1 << 20).leak();
        let header_maps = HeaderMaps::default();
        for source in [long, "/ci/a", &long[..MAX_KEPT_VALUE + 1]] {
            let map = header_maps.of(&message(&[(HeaderName::CeSource, source)], b"1"), None);
            assert_eq!(map.get("ce-source").map(HeaderValue::as_str), Some(source));
        }
        let shapes = header_maps.shapes.read().unwrap();
        assert_eq!(shapes.len(), 1);
        assert_eq!(shapes[0].map.get("ce-source").map(HeaderValue::as_str), Some(""));
        assert_eq!(shapes[0].headers.iter().collect::<Vec<_>>(), [(HeaderName::CeSource, "")]);
    }
}
