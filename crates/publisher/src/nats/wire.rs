//! What a link knows of its connection, shared by what sends and by what hears.

use super::payload_limit::PayloadLimit;
use super::pending::Pending;

/// What the connection carries.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) pending: Pending,
    pub(super) payload_limit: PayloadLimit,
}
