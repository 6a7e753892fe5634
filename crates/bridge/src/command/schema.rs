//! `ci-bridge schema`: what is published, as JSON Schema and AsyncAPI 3, made from the types themselves.
//!
//! `schemas/` holds what it prints without a configuration; a test holds them equal.

mod asyncapi;
mod channels;
mod jobs;

use std::io::{self, Write};
use std::process::ExitCode;

use ci_bridge_schema::{ModerationEvent, TaskEvent, WorkflowEvent};
use clap::ValueEnum;
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use crate::config::{Config, Settings};
use crate::failure::Failure;

/// What to describe.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Document {
    /// JSON Schema of a task message's data
    Task,
    /// JSON Schema of a workflow message's data
    Workflow,
    /// JSON Schema of a moderation message's data
    Moderation,
    /// AsyncAPI 3: every subject of this configuration, with its messages
    Asyncapi,
}

pub(crate) fn run(document: Document, config: &Config, settings: &Settings) -> Result<ExitCode, Failure> {
    let value = match document {
        Document::Task => of::<TaskEvent>(),
        Document::Workflow => of::<WorkflowEvent>(),
        Document::Moderation => of::<ModerationEvent>(),
        Document::Asyncapi => asyncapi::document(config, settings),
    };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer_pretty(&mut stdout, &value).map_err(io::Error::from)?;
    writeln!(stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn of<T: JsonSchema>() -> Value {
    schema_for!(T).into()
}
