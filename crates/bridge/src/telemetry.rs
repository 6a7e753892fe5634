//! Log lines on standard error, as text or JSON.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, Settings};

/// Starts logging. `RUST_LOG` wins over `log.level`, as in every program of this kind.
pub(crate) fn start(settings: &Settings) -> io::Result<()> {
    let mut directives = std::env::var("RUST_LOG").unwrap_or_else(|_| settings.log_level.clone());
    // async-nats logs every event of a connection; the bridge says each change of state itself, once. h2 logs every
    // frame, and could one day log what is in it.
    for dependency in ["async_nats", "h2"] {
        if !directives.contains(dependency) {
            directives.push_str(&format!(",{dependency}=off"));
        }
    }
    let filter = EnvFilter::try_new(&directives)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, format!("log.level {directives:?}: {e}")))?;
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    let ansi = io::IsTerminal::is_terminal(&io::stderr());
    match settings.log_format {
        LogFormat::Text => builder.with_ansi(ansi).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
