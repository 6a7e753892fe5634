//! The bridge as a NATS service (ADR-32): found by `nats micro ls`, `nats micro info` and `nats micro ping`.

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::service::ServiceExt;
use tracing::debug;

use super::awaiting::Waiting;
use super::link::Link;

/// What `nats micro ls` shows.
const NAME: &str = "ci-bridge";
const DESCRIPTION: &str = "Publishes callbacks of Tencent Cloud Infinite (CI)";

/// What tells one bridge from another: the metadata of the service. The name, version and a random id are the same for
/// all, or mean nothing to anybody. Empty values are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// The process, as whoever runs several would name it: host and process id.
    pub instance: String,
    /// The name of the connection, which `/connz` and server logs show.
    pub connection: String,
    /// The stream of events.
    pub stream: String,
    /// Where it takes callbacks.
    pub listen: String,
}

impl Instance {
    fn metadata(self) -> HashMap<String, String> {
        let Self { instance, connection, stream, listen } = self;
        let all =
            [("instance", instance), ("connection", connection), ("stream", stream), ("listen", listen)];
        let known = all.into_iter().filter(|(_, value)| !value.is_empty());
        known.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` for as long as it is polled. Subscriptions come back with the
/// connection.
/// With somebody who waits for jobs, answers them too.
pub(crate) async fn register_service(link: Arc<Link>, instance: Instance, waiting: Option<Arc<Waiting>>) {
    let service = link.client().service_builder().description(DESCRIPTION).metadata(instance.metadata());
    match service.start(NAME, env!("CARGO_PKG_VERSION")).await {
        Ok(service) => match waiting {
            Some(waiting) => waiting.serve(link, &service).await,
            None => std::future::pending().await,
        },
        Err(error) => debug!(%error, "not to be found by nats micro ls"),
    }
}
