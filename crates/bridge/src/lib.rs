//! The ci-bridge command: configuration, commands, telemetry, and nothing of the other crates' business.

mod certificates;
pub mod cli;
mod command;
pub mod config;
mod examples;
mod failure;
mod instance;
pub mod local_nats;
mod process_metrics;
mod reconcile;
mod service_manager;
mod telemetry;
mod trust;
mod verification;
