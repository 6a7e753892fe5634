//! What an event of the connection means for whoever watches.

use async_nats::{ClientError, Event, ServerError};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Connected,
    /// The server is not there: it may come.
    Away(String),
    /// The server is there and does not let us: waiting would not change it.
    Forbidden(String),
}

impl Notice {
    pub(super) fn of(event: &Event) -> Option<Self> {
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
            // Only what has been stored takes questions; live messages come unasked.
            ServerError::Other(why) if why.starts_with("Permissions Violation for Publish") => {
                Some(Self::Forbidden(format!(
                    "NATS says: {why}: allow the user of [nats] to publish there, or leave --since and --last out"
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
        let asked = from_server("Permissions Violation for Publish to \"$JS.API.STREAM.INFO.CI\"");
        assert!(
            matches!(asked, Some(Notice::Forbidden(why)) if why.contains("leave --since and --last out"))
        );
        assert_eq!(from_server("Stale Connection"), None);
        assert_eq!(Notice::of(&Event::Connected), Some(Notice::Connected));
        assert_eq!(Notice::of(&Event::Disconnected), None);
    }
}
