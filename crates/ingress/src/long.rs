//! Long bodies are read by a thread of their own, one at a time. A connection's thread would keep other callbacks waiting for
//! as long; and the memory that reading takes, several times the body, is then taken once, by a thread that has it
//! already: an allocator keeps some of what each thread gave back.

use std::io;
use std::panic::resume_unwind;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tracing::Span;

/// The thread, which is there while there is something to read and some seconds longer.
#[derive(Debug)]
pub(crate) struct LongReader {
    /// With one thread for what blocks, and none for anything else. Some until it is dropped.
    runtime: Option<Runtime>,
}

impl LongReader {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime =
            Builder::new_current_thread().max_blocking_threads(1).thread_name("long-reader").build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Does the work when those before it are done; not at all when nobody waits for it by then. `None` at shutdown.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let span = Span::current();
        // A set takes back what has not begun when it is dropped.
        let mut working = JoinSet::new();
        working.spawn_blocking_on(move || span.in_scope(work), self.runtime.as_ref()?.handle());
        match working.join_next().await? {
            Ok(done) => Some(done),
            Err(error) => error.try_into_panic().map_or(None, |panic| resume_unwind(panic)),
        }
    }
}

impl Drop for LongReader {
    fn drop(&mut self) {
        // Waiting for the thread is not possible on a thread of the other runtime, where this is dropped.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::future::join_all;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_in_order_and_a_panic_is_its_own_only() {
        let reader = Arc::new(LongReader::new().unwrap());
        let (busy, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let works = (0..20).map(|number| {
            let (busy, done) = (Arc::clone(&busy), Arc::clone(&done));
            let work = move || {
                assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0);
                let order = done.fetch_add(1, Ordering::SeqCst);
                busy.fetch_sub(1, Ordering::SeqCst);
                assert_ne!(number, 7, "as planned");
                order
            };
            let reader = Arc::clone(&reader);
            tokio::spawn(async move { reader.run(work).await })
        });
        let orders = join_all(works.collect::<Vec<_>>()).await;
        for (number, order) in orders.into_iter().enumerate() {
            match number {
                7 => assert!(order.is_err_and(|error| error.is_panic())),
                _ => assert_eq!(order.unwrap(), Some(number)),
            }
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_begun() {
        let reader = LongReader::new().unwrap();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let mut busy = Box::pin(reader.run(move || held.recv().is_err()));
        // Looked at once, each has its place.
        assert!(timeout(Duration::ZERO, &mut busy).await.is_err());
        let (begun, was_begun) = std::sync::mpsc::channel();
        assert!(timeout(Duration::ZERO, reader.run(move || begun.send(()))).await.is_err());
        drop(hold);
        assert_eq!(busy.await, Some(true));
        assert_eq!(reader.run(|| "the next").await, Some("the next"));
        assert!(was_begun.try_recv().is_err());
    }
}
