//! How an event of Tencent CI reaches NATS.
//!
//! ```text
//! Event ──► route (subject, message id, CloudEvents headers) ──► Message ──► publish ──► Receipt
//! ```
//!
//! * Pure: [`Router`] decides where an event goes and under which id; [`Subject`], [`Template`] and [`MessageId`]
//!   cannot hold a value that NATS would misread.
//! * Rim: [`Publisher`] publishes, waits for JetStream's acknowledgement, and knows whether the broker is there.
//!   The module `nats` is the only one that talks to a server.

mod broker;
mod cloudevents;
mod drain;
mod glob;
mod id;
mod message;
mod metrics;
mod monitor;
pub mod nats;
mod publisher;
mod route;
mod spool;
mod subject;

pub use broker::{Check, Readiness};
pub use cloudevents::Format;
pub use glob::Glob;
pub use id::MessageId;
pub use message::{HeaderName, Headers, Message, MessageKind};
pub use metrics::LATENCY_BUCKETS;
pub use publisher::{Config, Delivery, Publisher, Receipt, Tasks, Unavailable};
pub use route::{Destinations, Match, OneOrMany, Origin, Quarantined, Router, Rule, Then};
pub use spool::{Settings as SpoolSettings, Spool, SpoolError};
pub use subject::{Field, MAX_SUBJECT_BYTES, Subject, Template, TemplateError, Values};
