//! `ci-bridge tail`: messages as they are published.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::{ClientError, Event, ServerError};
use ci_bridge_publisher::nats::connect;
use futures_util::StreamExt;
use tokio::sync::watch;

use super::StopSignals;
use super::printer::Printer;
use crate::cli::{Failure, say};
use crate::config::Settings;

pub(crate) fn run(settings: &Settings, subject: String, json: bool) -> Result<ExitCode, Failure> {
    let mut printer = Printer::new(json);
    let connection = &settings.publisher.connection;
    super::runtime()?.block_on(async {
        let (give_up, mut given_up) = watch::channel(None);
        let waiting = AtomicBool::new(false);
        let servers = connection.servers_without_credentials();
        let client = connect(connection, move |event| match Notice::of(&event) {
            Some(Notice::Forbidden(why)) => {
                give_up.send_replace(Some(why));
            }
            // Each attempt fails with the same words; once is enough, until it has been connected again.
            Some(Notice::Away(why)) if !waiting.swap(true, Ordering::Relaxed) => {
                say(&format!("waiting for NATS at {servers}: {why}"));
            }
            Some(Notice::Connected) => waiting.store(false, Ordering::Relaxed),
            Some(Notice::Away(_)) | None => {}
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
                why = given_up.wait_for(Option::is_some) => {
                    // The client, which holds the other end, is still there.
                    let why = why.ok().and_then(|why| why.clone()).unwrap_or_default();
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
                }
                () = signals.next() => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

/// What an event of the connection means for whoever watches.
#[derive(Debug, PartialEq, Eq)]
enum Notice {
    Connected,
    /// The server is not there: it may come.
    Away(String),
    /// The server is there and does not let us: waiting would not change it.
    Forbidden(String),
}

impl Notice {
    fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Connected => Some(Self::Connected),
            Event::ServerError(error) => Self::of_server(error),
            // The kind of error at connecting comes in words only.
            Event::ClientError(ClientError::Other(why))
                if REFUSED.iter().any(|refused| why.starts_with(refused)) =>
            {
                Some(Self::refused(why))
            }
            Event::ClientError(error) => Some(Self::Away(error.to_string())),
            _ => None,
        }
    }

    fn of_server(error: &ServerError) -> Option<Self> {
        match error {
            ServerError::AuthorizationViolation => Some(Self::refused("authorization violation")),
            ServerError::Other(why) if why.starts_with("Permissions Violation for Subscription") => {
                Some(Self::Forbidden(format!(
                    "NATS says: {why}: allow the user of [nats] to subscribe to it, or name a subject that it may see"
                )))
            }
            _ => None,
        }
    }

    fn refused(why: &str) -> Self {
        Self::Forbidden(format!(
            "NATS refuses the connection: {why}: correct the credentials of [nats], or of NATS_URL, NATS_CREDS or NATS_CONTEXT"
        ))
    }
}

/// How the reasons of refused credentials begin: as async-nats spells `ConnectErrorKind::AuthorizationViolation` and `ConnectErrorKind::Authentication`.
const REFUSED: [&str; 2] = ["authorization violation", "failed signing nonce"];

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::ConnectErrorKind;

    #[test]
    fn only_what_waiting_does_not_change_ends_it() {
        let at_connecting =
            |kind: ConnectErrorKind| Notice::of(&Event::ClientError(ClientError::Other(kind.to_string())));
        for kind in [ConnectErrorKind::AuthorizationViolation, ConnectErrorKind::Authentication] {
            let notice = at_connecting(kind);
            assert!(matches!(notice, Some(Notice::Forbidden(_))), "{kind}: {notice:?}");
        }
        for kind in
            [ConnectErrorKind::Io, ConnectErrorKind::TimedOut, ConnectErrorKind::Dns, ConnectErrorKind::Tls]
        {
            let notice = at_connecting(kind);
            assert!(matches!(notice, Some(Notice::Away(_))), "{kind}: {notice:?}");
        }
        let from_server = |why: &str| Notice::of(&Event::ServerError(ServerError::Other(why.to_owned())));
        let denied = from_server("Permissions Violation for Subscription to \"ci.>\"");
        assert!(
            matches!(denied, Some(Notice::Forbidden(why)) if why.contains("Subscription to \"ci.>\": allow"))
        );
        assert_eq!(from_server("Stale Connection"), None);
        assert_eq!(Notice::of(&Event::Connected), Some(Notice::Connected));
        assert_eq!(Notice::of(&Event::Disconnected), None);
    }
}
