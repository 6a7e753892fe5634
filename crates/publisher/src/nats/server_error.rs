//! What a NATS server reports as an error (`-ERR`), read from its text: there are no codes.

/// An error, by what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerError {
    /// The user may not publish to a subject. The publish itself has no other answer.
    PublishForbidden {
        subject: String,
        text: String,
    },
    /// The user may not subscribe to a subject.
    SubscribeForbidden {
        subject: String,
        text: String,
    },
    /// A message was larger than the server, the account or the user allows. The connection ends with this.
    PayloadExceeded,
    Other(String),
}

impl ServerError {
    pub(super) fn read(text: &str) -> Self {
        // async-nats puts the protocol's name before what the server said.
        let text = text.strip_prefix("nats: ").unwrap_or(text);
        let lower = text.to_ascii_lowercase();
        let subject = || text.split('"').nth(1).map(str::to_owned);
        let text = || text.to_owned();
        if lower.starts_with("maximum payload violation") {
            return Self::PayloadExceeded;
        }
        match (lower.strip_prefix("permissions violation for "), subject()) {
            (Some(what), Some(subject)) if what.starts_with("publish to ") => {
                Self::PublishForbidden { subject, text: text() }
            }
            (Some(what), Some(subject)) if what.starts_with("subscription to ") => {
                Self::SubscribeForbidden { subject, text: text() }
            }
            _ => Self::Other(text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ServerError;

    #[test]
    fn errors_are_told_apart_by_the_servers_own_words() {
        let forbidden = r#"Permissions Violation for Publish to "ci.task.A.success""#;
        assert_eq!(
            ServerError::read(&format!("nats: {forbidden}")),
            ServerError::PublishForbidden { subject: "ci.task.A.success".into(), text: forbidden.into() }
        );
        let subscription = r#"Permissions Violation for Subscription to "$SRV.PING""#;
        assert_eq!(
            ServerError::read(subscription),
            ServerError::SubscribeForbidden { subject: "$SRV.PING".into(), text: subscription.into() }
        );
        assert_eq!(ServerError::read("nats: Maximum Payload Violation"), ServerError::PayloadExceeded);
        assert_eq!(
            ServerError::read("nats: Stale Connection"),
            ServerError::Other("Stale Connection".into())
        );
        let reply = r#"Permissions Violation for Publish with Reply of "_INBOX.x.1""#;
        assert_eq!(ServerError::read(reply), ServerError::Other(reply.into()));
    }
}
