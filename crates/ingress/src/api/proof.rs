//! What a request of the API was let in by: nothing, a token, or a session.

use crate::auth::Secret;

/// By what somebody was let in: what goes on for long looks again whether it still holds.
#[derive(Debug, Clone)]
pub(super) enum Proof {
    /// There is no token.
    None,
    Token(Secret),
    /// The value of a cookie.
    Session(String),
}
