//! The real `ci-bridge` against a real nats-server, as its users see both.

mod commands;
mod configuration;
mod delivery;
mod fixtures;
mod http;
mod operations;
mod support;
