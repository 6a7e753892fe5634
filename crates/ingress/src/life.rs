//! How long a connection lasts, whatever is spoken on it, and how it ends.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use crate::slot::ConnectionSlot;
use crate::waker_filter::poll_when_woken;

/// How long a connection's last words may take, once it is idle or shall end.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// What the bridge ends a connection with.
enum End {
    /// What is in progress is finished.
    Farewell,
    /// Nothing: another has its slot.
    Evicted,
}

/// A connection's slot, and who may end it.
pub(crate) struct Life {
    pub(crate) peer: SocketAddr,
    pub(crate) slot: Arc<ConnectionSlot>,
    /// Turns true when connections shall finish what they have and end.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Life {
    /// Serves until the connection ends, is closed for another, is idle for too long, or shall end with what it has.
    pub(crate) async fn drive<C: GracefulConnection>(
        &self,
        connection: C,
        idle: impl Future<Output = ()>,
    ) -> Result<(), C::Error> {
        let mut connection = pin!(connection);
        let end = async {
            tokio::select! {
                () = self.stopped() => End::Farewell,
                () = idle => End::Farewell,
                () = self.evicted() => End::Evicted,
            }
        };
        let end = tokio::select! {
            biased;
            // First: a client that floods may use up all that tokio grants a task at each poll, and what stands behind
            // would starve.
            end = poll_when_woken(end) => end,
            ended = connection.as_mut() => return ended,
        };
        match end {
            End::Farewell => connection.as_mut().graceful_shutdown(),
            End::Evicted => return Ok(()),
        }
        // Requests in progress are finished; half a head, or a client that does not read, is not waited for.
        let silent = async {
            sleep(FAREWELL_TIME).await;
            self.idle(FAREWELL_TIME).await;
        };
        tokio::select! {
            ended = connection => ended,
            () = silent => Ok(()),
            () = self.evicted() => Ok(()),
        }
    }

    pub(crate) async fn stopped(&self) {
        // An error means that nobody is left to say it, which is the end as well.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }

    pub(crate) async fn evicted(&self) {
        self.slot.evicted().await;
        debug!(peer = %self.peer, "connection closed for another");
    }

    /// Until there has been no request for this long: none came, its head is not complete, or the client does not read
    /// its answers.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let since = self.slot.waiting_since().unwrap_or_else(Instant::now);
            if since.elapsed() >= limit {
                return;
            }
            sleep_until(since + limit).await;
        }
    }
}
