//! The real `ci-bridge` against a real nats-server, as its users see both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why"
)]

mod answers;
mod architecture;
mod cluster;
mod commands;
mod configuration;
mod delivery;
mod fixtures;
mod framing;
mod http;
mod http2;
mod limits;
mod logs;
mod operations;
mod outage;
mod support;
mod tls;
