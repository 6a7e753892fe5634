//! Open files: each connection is one, and the limit that a shell or systemd sets by default, 1024, is none for a server.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Files beside those of senders: listeners, health checks, NATS, and what the spool has open.
const RESERVE: u64 = 256;

/// Makes room for this many connections, as far as the system allows.
pub(super) fn raise(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(RESERVE);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let possible = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum: limit.maximum });
    let files = if raised.is_ok() { Some(possible) } else { limit.current };
    if files < Some(wanted) {
        let files = files.unwrap_or_default();
        warn!(
            files,
            wanted,
            "the system allows too few open files for ingress.max_connections: raise its limit (ulimit -n, LimitNOFILE)"
        );
    }
}
