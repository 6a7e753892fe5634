//! Senders: each posts one callback after another, as Tencent's would, and comes again a few times when told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::callback::Callback;
use crate::http::{Client, Exchange};
use crate::ledger::Ledger;

/// Senders at work, until dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<()>>,
}

/// Times that a callback is posted before its sender gives up.
const ATTEMPTS: usize = 4;
/// Before a callback is posted again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Between the callbacks of one sender: how dense the load is.
const PAUSE: Duration = Duration::from_millis(8);

impl Load {
    pub(crate) fn start(to: SocketAddr, ledger: &Arc<Ledger>, senders: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let (ledger, stop) = (Arc::clone(ledger), Arc::clone(&stop));
            thread::spawn(move || {
                let mut client = Client::new(to);
                while !stop.load(Ordering::Relaxed) {
                    send(&mut client, &ledger, &ledger.draw());
                    thread::sleep(PAUSE);
                }
            })
        };
        let senders = (0..senders).map(start).collect();
        Self { stop, senders }
    }

    /// Waits until every sender has its last answer.
    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for sender in self.senders.drain(..) {
            sender.join().expect("a sender does not panic");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Posts a callback, and posts it again in the other encoding if it is one that comes twice.
pub(crate) fn send(client: &mut Client, ledger: &Ledger, callback: &Callback) {
    let (xml_first, xml) = (callback.number.is_multiple_of(2), callback.xml());
    let bodies = match (xml_first, callback.twice) {
        (true, false) => vec![xml],
        (false, false) => vec![callback.json()],
        (true, true) => vec![xml, callback.json()],
        (false, true) => vec![callback.json(), xml],
    };
    for body in bodies {
        post(client, ledger, callback, &body);
    }
}

fn post(client: &mut Client, ledger: &Ledger, callback: &Callback, body: &str) {
    for _ in 0..ATTEMPTS {
        let exchange: Exchange = client.post(body);
        if !ledger.record(callback, &exchange) {
            return;
        }
        thread::sleep(RETRY_PAUSE);
    }
}
