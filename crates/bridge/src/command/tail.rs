//! `ci-bridge tail`: messages as they are published.

use std::io;
use std::process::ExitCode;

use ci_bridge_publisher::nats::connect;
use futures_util::StreamExt;

use super::StopSignals;
use super::printer::Printer;
use crate::cli::Failure;
use crate::config::Settings;

pub(crate) fn run(settings: &Settings, subject: String, json: bool) -> Result<ExitCode, Failure> {
    let mut printer = Printer::new(json);
    super::runtime()?.block_on(async {
        let client = connect(&settings.publisher.connection, |event| {
            if let async_nats::Event::ClientError(error) = event {
                crate::cli::say(&error.to_string());
            }
        })
        .await?;
        let mut messages = client.subscribe(subject).await.map_err(io::Error::other)?;
        let mut signals = StopSignals::listen()?;
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => printer.message(&message, None)?,
                    None => return Ok(ExitCode::SUCCESS),
                },
                () = signals.next() => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}
