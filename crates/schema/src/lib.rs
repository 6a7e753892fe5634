#![doc = include_str!("../README.md")]
//! # Inside
//!
//! ```text
//! bytes ──► parse ──► Callback (wire shape) ──► normalise ──► Event (domain shape, canonical JSON)
//! ```
//!
//! * [`parse`] reads XML or JSON into one list of nodes and recognises the callback's family.
//! * [`normalise`] is the one crossing from the wire shape to the domain shape.
//! * [`parse_answer`] reads what CI's query API answers, into the same events.
//! * [`TaskEvent`], [`WorkflowEvent`] and [`ModerationEvent`] are what a subscriber written in Rust deserialises
//!   from a published message.
//!
//! A new family of callbacks is a variant of [`Family`] (`family.rs` recognises it), its documented lists,
//! times and routing attributes (`vocabulary/`, `routing.rs`) and, for subscribers, a typed event.

mod api;
mod canonical;
mod document;
mod encode;
mod error;
mod event;
mod family;
mod json;
mod limits;
mod moderation;
mod normalise;
mod parse;
mod routing;
mod scan;
mod text;
mod timestamp;
mod typed;
mod vocabulary;
mod xml;

pub use api::{ApiAnswer, ApiError, Described, Queue, parse_answer, parse_error};
pub use error::{ParseError, Position, Reason};
pub use event::{Event, Kind, RoutingAttributes};
pub use family::{Callback, Family};
pub use limits::{Limits, NODE_BYTES};
pub use normalise::{Normalised, normalise};
pub use parse::{Format, parse};
pub use typed::{
    CosHeader, DocProcessResult, FlashResult, Location, MediaInfo, MediaResult, MediaStreams,
    ModerationEvent, More, Number, ObjectInfo, Operation, OutputFile, OutputMd5, PageInfo,
    RecognisedSentence, ResultInfo, SpeechRecognitionResult, TaskEvent, TaskInput, TimedSentence,
    WorkflowEvent, WorkflowReference, WorkflowTask,
};
pub use vocabulary::DOCUMENTED_LISTS;
