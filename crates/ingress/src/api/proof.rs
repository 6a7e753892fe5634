//! By what somebody was let in.

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
