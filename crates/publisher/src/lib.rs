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

mod account;
mod cloudevents;
mod delivery;
mod drain;
mod excerpt;
mod filter;
mod glob;
mod health;
mod held_back;
mod hold;
mod id;
pub mod key_value;
mod link_events;
mod log_limit;
mod message;
mod metrics;
mod monitor;
pub mod nats;
mod outage;
mod patterns;
mod percent;
mod publisher;
mod quarantine;
mod readiness;
mod receipt;
mod route;
mod rule;
mod spans;
mod spool;
mod spooled;
mod stored;
mod stream_report;
mod subject;
mod template;
mod trace;
pub mod units;
mod watch;

pub use cloudevents::Format;
pub use glob::Glob;
pub use held_back::{HeldBack, Refusal, Refused, timestamp};
pub use id::MessageId;
pub use log_limit::{LogLimit, SUM_UP_INTERVAL, Sum};
pub use message::{HeaderName, Headers, Message, MessageKind};
pub use metrics::LATENCY_BUCKETS;
pub use nats::Await;
pub use publisher::{Config, Large, Publisher, Tasks};
pub use quarantine::Quarantine;
pub use readiness::{Check, Readiness};
pub use receipt::{Delivery, Receipt, Unavailable};
pub use route::{Decision, Destinations, Dropped, Jobs, Origin, Quarantined, REFUSED, Routed, Router};
pub use rule::{Match, OneOrMany, Rule, Then};
pub use spool::{
    Entry as SpoolEntry, Settings as SpoolSettings, Spool, SpoolError, Status as SpoolStatus, Waiting,
};
pub use stream_report::StreamReport;
pub use subject::{MAX_SUBJECT_BYTES, Subject, TemplateError};
pub use template::{Field, Template, Values};
pub use trace::{Propagation, SPANS, TraceContext};
