//! What happens to a connection, in its order: who waits on it is told first, then its owner.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::server_error::ServerError;
use super::wire::Wire;

/// What the owner of a link is told.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Connected,
    Disconnected,
    /// An error that the server or the client reports.
    ServerError(ServerError),
    /// A message of so many bytes was larger than the account or the user may publish.
    PayloadExceeded(usize),
    /// The server is about to go: move to another.
    LameDuck,
}

/// The end of a connection is told a moment before it shows: it is looked for so often, a millisecond apart.
const STATE_LOOKS: usize = 20;

/// Takes events in their order: who waits on a connection that ended is told, then the owner.
pub(super) async fn hear(
    mut happened: mpsc::UnboundedReceiver<async_nats::Event>,
    client: Client,
    wire: Arc<Wire>,
    on_event: impl Fn(LinkEvent),
) {
    use async_nats::Event;
    let statistics = client.statistics();
    let connection = || statistics.connects.load(Ordering::Relaxed);
    while let Some(event) = happened.recv().await {
        match event {
            Event::Connected => {
                // If the news of an end was lost: the connection that stands is not the one that ended.
                wire.pending.connection_ended(connection().saturating_sub(1));
                on_event(LinkEvent::Connected);
            }
            Event::Disconnected => {
                let ended = ended_connection(&client, &connection).await;
                wire.pending.connection_ended(ended);
                wire.payload_limit.connection_ended(ended);
                on_event(LinkEvent::Disconnected);
            }
            Event::LameDuckMode => on_event(LinkEvent::LameDuck),
            Event::ServerError(error) => match ServerError::read(&error.to_string()) {
                ServerError::PayloadExceeded => {
                    let bytes = wire.pending.largest_unanswered();
                    if bytes > 0 && wire.payload_limit.exceeded_by(bytes, connection()) {
                        on_event(LinkEvent::PayloadExceeded(bytes));
                    }
                }
                error => {
                    if let ServerError::PublishForbidden { subject, text } = &error {
                        wire.pending.forbidden(subject, text);
                    }
                    on_event(LinkEvent::ServerError(error));
                }
            },
            Event::ClientError(error) => {
                on_event(LinkEvent::ServerError(ServerError::Other(error.to_string())));
            }
            Event::SlowConsumer(_) => {
                let slow = "acknowledgements arrive faster than they are read".to_owned();
                on_event(LinkEvent::ServerError(ServerError::Other(slow)));
            }
            Event::Draining | Event::Closed => {}
        }
    }
}

/// The number of the connection that has ended, when its end is told: the last one, or, if another stands already,
/// the one before it.
async fn ended_connection(client: &Client, connection: &impl Fn() -> u64) -> u64 {
    let told = connection();
    for _ in 0..STATE_LOOKS {
        if client.connection_state() != State::Connected {
            return connection();
        }
        if connection() > told {
            break;
        }
        sleep(Duration::from_millis(1)).await;
    }
    connection().saturating_sub(1)
}
