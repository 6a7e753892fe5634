//! Work that is finished even when nobody waits for it any longer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;

/// What `work` gives. Dropped before its end, the rest of it goes on in a task of its own: only then does it cost one.
pub(crate) fn detach_on_drop<F>(work: F) -> DetachOnDrop<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    DetachOnDrop(Some(Box::pin(work)))
}

/// Work in progress; none once it has ended.
pub(crate) struct DetachOnDrop<F: Future<Output: Send> + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future<Output: Send> + Send + 'static> Future for DetachOnDrop<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let output = ready!(work.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for DetachOnDrop<F> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Notify;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_is_waited_for_gives_its_output() {
        assert_eq!(detach_on_drop(async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_ends_all_the_same_begun_or_not() {
        for begun in [false, true] {
            let go_on = Arc::new(Notify::new());
            let (done, is_done) = oneshot::channel();
            let may_go_on = Arc::clone(&go_on);
            let mut work = detach_on_drop(async move {
                may_go_on.notified().await;
                done.send(7)
            });
            if begun {
                let at_once = timeout(std::time::Duration::ZERO, &mut work).await;
                assert!(at_once.is_err(), "it waits");
            }
            drop(work);
            go_on.notify_one();
            assert_eq!(is_done.await, Ok(7));
        }
    }
}
