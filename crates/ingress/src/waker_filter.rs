//! A filter of wakers: a future is polled when it was woken itself, and not whenever its task is.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// What `future` gives; it is polled when it was woken itself, and not each time its task is. A request wakes its
/// connection three times, and what may end the connection takes more to poll than this.
pub(crate) async fn poll_when_woken<F: Future>(future: F) -> F::Output {
    let alarm = Arc::new(Alarm { is_due: AtomicBool::new(true), task: AtomicWaker::new() });
    let waker = Waker::from(Arc::clone(&alarm));
    let mut future = pin!(future);
    poll_fn(|context| {
        // Before the look at `is_due`: who wakes in between then finds this task.
        alarm.task.register(context.waker());
        if !alarm.is_due.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// Wakes the task, and notes for whom.
struct Alarm {
    is_due: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_due.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_future_is_polled_at_first_and_when_it_was_woken() {
        let polls = AtomicUsize::new(0);
        let inner = AtomicWaker::new();
        let mut future = pin!(poll_when_woken(poll_fn(|context| {
            inner.register(context.waker());
            match polls.fetch_add(1, Ordering::Relaxed) {
                2 => Poll::Ready("the end"),
                _ => Poll::Pending,
            }
        })));
        let task = Arc::new(Alarm { is_due: AtomicBool::new(false), task: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&task));
        let mut poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
        for polled in [1, 2] {
            for _ in 0..3 {
                assert_eq!(poll(), Poll::Pending);
                assert_eq!(polls.load(Ordering::Relaxed), polled);
            }
            assert!(!task.is_due.swap(false, Ordering::Relaxed), "nothing woke the task");
            inner.wake();
            assert!(task.is_due.swap(false, Ordering::Relaxed), "the task was woken");
        }
        assert_eq!(poll(), Poll::Ready("the end"));
    }
}
