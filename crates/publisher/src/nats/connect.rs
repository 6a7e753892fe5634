//! Connects, and reconnects for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{AuthError, Client, ClientError, ConnectOptions, Event, ReconnectToServer};
use tokio::task::spawn_blocking;

use super::connect_failure::CONNECT_TIMEOUT;
use super::connection::Connection;
use super::servers::Servers;

/// An idle connection is asked for a sign of life this often; it counts as lost after three unanswered times.
/// The client's own default of a minute would leave a half-open connection unnoticed for three.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Connects, in the background if the server is not there yet; reconnects for ever. `on_event` learns of every
/// change; a failed attempt is a [`ClientError::Other`] that says why.
///
/// # Errors
///
/// When a server is no URL, or none is named.
pub async fn connect<F>(connection: &Connection, on_event: F) -> io::Result<Client>
where
    F: Fn(Event) + Send + Sync + 'static,
{
    open(connection, on_event).await.map(|(client, _)| client)
}

/// As [`connect`], with what is known of the servers.
///
/// # Errors
///
/// As [`connect`].
pub async fn open<F>(connection: &Connection, on_event: F) -> io::Result<(Client, Arc<Servers>)>
where
    F: Fn(Event) + Send + Sync + 'static,
{
    let servers = Servers::new(connection).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let servers = Arc::new(servers);
    let client = options(connection, &servers, Arc::new(on_event))
        .connect(servers.addresses())
        .await
        .map_err(io::Error::other)?;
    servers.count_connections_with(client.statistics());
    Ok((client, servers))
}

fn options<F>(connection: &Connection, servers: &Arc<Servers>, on_event: Arc<F>) -> ConnectOptions
where
    F: Fn(Event) + Send + Sync + 'static,
{
    let (choosing, answering) = (Arc::clone(servers), Arc::clone(servers));
    let on_failure = Arc::clone(&on_event);
    let mut options = ConnectOptions::with_auth_callback(move |nonce| {
        let servers = Arc::clone(&answering);
        async move {
            let answer = spawn_blocking(move || servers.answer(&nonce)).await;
            answer.unwrap_or_else(|e| Err(e.to_string())).map_err(AuthError::new)
        }
    });
    options = options
        .reconnect_to_server_callback(move |pool, _| {
            let (servers, on_failure) = (Arc::clone(&choosing), Arc::clone(&on_failure));
            async move {
                let turn = spawn_blocking(move || servers.next(&pool)).await.ok()??;
                if let Some(reason) = turn.news {
                    on_failure(Event::ClientError(ClientError::Other(reason)));
                }
                Some(ReconnectToServer { addr: turn.server, delay: Some(turn.delay) })
            }
        })
        .event_callback(move |event| {
            // Says the kind of a failure only: the reason is passed on above.
            if !matches!(event, Event::ClientError(ClientError::Other(_))) {
                on_event(event);
            }
            std::future::ready(())
        })
        .name(&connection.name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_TIMEOUT)
        .require_tls(servers.uses_tls());
    if let Some(prefix) = &connection.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    if let Some(ca) = &connection.tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &connection.tls.client {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    if connection.tls.first { options.tls_first() } else { options }
}
