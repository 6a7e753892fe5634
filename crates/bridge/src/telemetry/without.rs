//! In the place of `otlp`, where the program is built without it: there are no traces. The configuration refuses an endpoint
//! for them, so that nobody waits for what never comes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ci_bridge_publisher::Propagation;
use prometheus_client::registry::Registry;
use tracing_subscriber::Layer;

use crate::config::Export;

/// There are none.
pub(crate) enum Traces {}

/// Nothing is exported.
pub(crate) enum Exporting {}

impl Traces {
    pub(super) fn begin<L: Layer<tracing_subscriber::Registry>>(_: &Export, _: L) -> io::Result<Self> {
        Err(io::Error::other("built without traces: take [telemetry] otlp_endpoint out"))
    }

    pub(crate) fn propagation(&self) -> Arc<dyn Propagation> {
        match *self {}
    }

    pub(crate) fn start(self, _: &mut Registry) -> io::Result<Exporting> {
        match self {}
    }
}

impl Exporting {
    pub(crate) async fn flush(self, _: Duration) {
        match self {}
    }
}
