//! The real `ci-bridge` against a real nats-server, as its users see both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says why; the long form of the flood ends in a table"
)]

mod admin_listener;
mod answers;
mod architecture;
mod awaiting;
mod cloudevents;
mod cluster;
mod commands;
mod configuration;
mod connection;
mod delivery;
mod endpoints;
mod environment;
mod examples;
#[path = "../fake_ci/mod.rs"]
mod fake_ci;
mod fixtures;
mod flood;
mod framing;
mod healthcheck;
mod http;
mod http2;
mod http2_clients;
mod init;
mod large;
mod limits;
mod log_fields;
mod logs;
mod nats_cli;
mod nats_user;
mod one_truth;
mod operations;
mod outage;
mod page;
mod page_access;
mod page_in_browser;
mod page_messages;
mod probes;
mod quarantine;
mod reconcile;
mod refusals;
mod restarts;
mod schemas;
mod send;
mod service_manager;
mod spool;
mod streams_of_others;
mod support;
mod tail;
mod tls;
#[cfg(feature = "otlp")]
mod traces;
mod two_languages;
mod verify;
mod watching;
