//! The bridge as a NATS service (ADR-32): found by `nats micro ls` and `nats micro ping`.

use async_nats::Client;
use async_nats::service::ServiceExt;
use tracing::debug;

/// What `nats micro ls` shows.
const NAME: &str = "ci-bridge";
const DESCRIPTION: &str = "Publishes callbacks of Tencent Cloud Infinite (CI)";

/// Answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS` for as long as it is polled. Subscriptions come back with the
/// connection.
pub(crate) async fn be_found(client: Client) {
    let service =
        client.service_builder().description(DESCRIPTION).start(NAME, env!("CARGO_PKG_VERSION")).await;
    match service {
        Ok(_service) => std::future::pending().await,
        Err(error) => debug!(%error, "not to be found by nats micro ls"),
    }
}
