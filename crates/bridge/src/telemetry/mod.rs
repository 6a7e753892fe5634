//! Log lines on standard error, as text or JSON; and, where somebody wants them, spans to a collector.

#[cfg(feature = "otlp")]
mod otlp;
#[cfg(not(feature = "otlp"))]
mod without;

use std::io;

use ci_bridge_publisher::SPANS;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, Settings};

#[cfg(feature = "otlp")]
pub(crate) use otlp::{Exporting, Traces};
#[cfg(not(feature = "otlp"))]
pub(crate) use without::{Exporting, Traces};

/// What the log leaves out, unless somebody names it. async-nats logs every event of a connection; the bridge says each
/// change of state itself, once. h2 logs every frame, and could one day log what is in it. Spans are for a collector.
const LEFT_OUT: [&str; 3] = ["async_nats", "h2", SPANS];

/// Starts logging. `RUST_LOG` wins over `log.level`, as in every program of this kind.
pub(crate) fn start(settings: &Settings) -> io::Result<()> {
    let filter = filter(settings)?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    match settings.log_format {
        LogFormat::Text => builder.with_ansi(is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The same, and begins to record spans if they are wanted; they are exported once the traces are started.
pub(crate) fn start_with_traces(settings: &Settings) -> io::Result<Option<Traces>> {
    match &settings.export {
        None => start(settings).map(|()| None),
        Some(export) => {
            let filter = filter(settings)?;
            Traces::begin(export, lines(settings.log_format, io::stderr).with_filter(filter)).map(Some)
        }
    }
}

fn filter(settings: &Settings) -> io::Result<EnvFilter> {
    let mut directives = std::env::var("RUST_LOG").unwrap_or_else(|_| settings.log_level.clone());
    for target in LEFT_OUT {
        if !directives.contains(target) {
            directives.push_str(&format!(",{target}=off"));
        }
    }
    EnvFilter::try_new(&directives)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, format!("log.level {directives:?}: {e}")))
}

fn lines<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_target(false);
    match format {
        LogFormat::Text => lines.with_ansi(is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}
