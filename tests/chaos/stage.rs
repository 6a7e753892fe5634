//! The programs under test, together, and the end of every run: heal, wait, and settle the accounts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bridge::Bridge;
use crate::broker::{Broker, Stored};
use crate::callback::Callback;
use crate::http::{Client, Exchange};
use crate::ledger::Ledger;
use crate::process::{eventually, within};

pub(crate) struct Stage {
    pub(crate) broker: Broker,
    pub(crate) bridge: Bridge,
    pub(crate) ledger: Arc<Ledger>,
    /// The longest that readiness took to return once all was well.
    pub(crate) slowest_return: Duration,
}

/// What the streams hold, against what was promised.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accounts {
    pub(crate) promised: u64,
    pub(crate) stored: u64,
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) altered: u64,
    /// Of those in the streams: as objects of more than 1 MiB.
    pub(crate) huge: u64,
}

/// The longest that one message may hold up the subjects of others: `nats.ack_timeout`, and what a busy machine adds.
const HELD_UP: Duration = Duration::from_secs(4);

/// What a run says while it goes on: readiness should have turned by then.
const NOTEWORTHY_RETURN: Duration = Duration::from_secs(4);

/// The bridge at rest, its allocator's keepings included: 64 MiB, and what a start reads of a journal that is full, twice,
/// because it grows while it is read.
const MAX_MEMORY_KIB: u64 = 3 * 64 * 1024;

impl Stage {
    pub(crate) fn set(seed: u64) -> Self {
        let broker = Broker::start();
        let bridge = Bridge::start(&broker);
        let stage =
            Self { broker, bridge, ledger: Arc::new(Ledger::new(seed)), slowest_return: Duration::ZERO };
        eventually("ready", || stage.bridge.is_ready().then_some(()));
        stage
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.bridge.address)
    }

    pub(crate) fn kill_bridge(&mut self) {
        self.ledger.outage_begins(false);
        self.bridge.kill();
    }

    pub(crate) fn terminate_bridge(&mut self) {
        self.ledger.outage_begins(true);
        self.bridge.terminate();
    }

    pub(crate) fn restart_bridge(&mut self, settings: &[(&str, &str)]) {
        self.bridge.restart(settings);
        self.ledger.outage_ends();
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let healed = Instant::now();
        eventually("ready", || self.bridge.is_ready().then_some(()));
        let took = healed.elapsed();
        self.slowest_return = self.slowest_return.max(took);
        if took > NOTEWORTHY_RETURN {
            eprintln!("chaos:     ready after {:.1} s", took.as_secs_f64());
        }
    }

    /// All is well again and nobody sends: every account must settle. Gives them with every broken promise.
    pub(crate) fn settle(&mut self) -> (Accounts, Vec<String>) {
        self.wait_until_ready();
        eventually("an empty spool", || (self.bridge.metric("ci_bridge_spool_messages") == 0).then_some(()));
        self.a_fresh_callback_is_published();
        let accounts = self.audit();
        let (received, outcomes) = self.bridge.callbacks();
        let mut book = self.ledger.book();
        if received != outcomes {
            book.violation(format!("{received} callbacks received, {outcomes} with an outcome"));
        }
        if let Some(memory) = self.bridge.memory().filter(|kib| *kib > MAX_MEMORY_KIB) {
            book.violation(format!("the bridge at rest takes {memory} KiB"));
        }
        if self.bridge.log_contains("panicked") {
            book.violation("a task of the bridge panicked; its log has more".to_owned());
        }
        (accounts, book.violations())
    }

    fn a_fresh_callback_is_published(&self) {
        let fresh = std::iter::repeat_with(|| self.ledger.draw())
            .find(|callback| !callback.messages().is_empty())
            .expect("most callbacks have messages");
        let exchange = self.client().post(&fresh.xml());
        self.ledger.record(&fresh, &exchange);
        let published =
            matches!(&exchange, Exchange::Answered { answer, .. } if answer.kind() == "200 published");
        if !published {
            self.ledger.book().violation("a fresh callback was not published at once".to_owned());
        }
    }

    /// Holds every stored message against what its callback must come to, byte by byte.
    fn audit(&mut self) -> Accounts {
        let mut accounts = Accounts::default();
        let mut copies: HashMap<String, u32> = HashMap::new();
        for archive in std::mem::take(&mut self.broker.archives) {
            // A stream that was made again knows no ids of the one before: each is an account of its own.
            let mut of_archive = HashMap::new();
            archive.iter().for_each(|stored| self.book_stored(stored, &mut accounts, &mut of_archive));
            accounts.twice += of_archive.values().filter(|count| **count > 1).count() as u64;
            copies.extend(of_archive.into_keys().map(|key| (key, 0)));
        }
        for stream in ["CI", "CI_QUARANTINE"] {
            self.broker.read(stream, |stored| self.book_stored(&stored, &mut accounts, &mut copies));
        }
        accounts.twice += copies.values().filter(|count| **count > 1).count() as u64;
        let promised = std::mem::take(&mut self.ledger.book().promised);
        let promised = (0..).zip(promised).filter_map(|(number, promised)| promised.then_some(number));
        for key in promised.flat_map(|number| keys(&Callback::of(self.ledger.seed, number))) {
            accounts.promised += 1;
            if !copies.contains_key(&key) {
                accounts.lost += 1;
                self.ledger.book().violation(format!("{key} was promised and is lost"));
            }
        }
        accounts
    }
}

impl Stage {
    fn book_stored(&self, stored: &Stored, accounts: &mut Accounts, copies: &mut HashMap<String, u32>) {
        accounts.stored += 1;
        accounts.huge += u64::from(stored.body.len() > 1 << 20);
        match key(self.ledger.seed, stored) {
            Some(key) => *copies.entry(key).or_default() += 1,
            None => {
                accounts.altered += 1;
                let text = format!("nobody sent {} {}", stored.id, stored.subject);
                self.ledger.book().violation(text);
            }
        }
    }

    /// Ready or not: the bridge has found the server again.
    pub(crate) fn wait_until_connected(&self) {
        eventually("connected", || (self.bridge.metric("ci_bridge_nats_connected") == 1).then_some(()));
    }

    /// Whatever one subject or message suffers, others are stored meanwhile.
    pub(crate) fn others_go_on(&self, what: &str) {
        let before = self.broker.last_sequence();
        if within(HELD_UP, || (self.broker.last_sequence() > before).then_some(())).is_none() {
            self.ledger.book().violation(format!("{what}: nothing else was stored within {HELD_UP:?}"));
        }
    }
}

/// The messages of a callback by their id; a body in quarantine by itself.
fn keys(callback: &Callback) -> Vec<String> {
    match callback.is_broken() {
        true => vec![callback.xml()],
        false => callback.messages().into_iter().map(|message| message.id).collect(),
    }
}

/// Which promise a stored message keeps; `None` for one that is not, in every byte, what somebody sent.
fn key(seed: u64, stored: &Stored) -> Option<String> {
    if stored.subject == "ci-quarantine.syntax" {
        let text = String::from_utf8(stored.body.clone()).ok()?;
        let number = text.strip_prefix("<Response><Broken>c")?.split('<').next()?.parse().ok()?;
        let callback = Callback::of(seed, number);
        return (callback.is_broken() && callback.xml() == text).then_some(text);
    }
    if stored.subject.starts_with("ci-quarantine.") {
        // A body that NATS would not take: nobody was promised anything, so it keeps no promise.
        return Some(format!("in quarantine: {}", stored.id));
    }
    let number = stored.id.strip_prefix("task:c")?.split('-').next()?.parse().ok()?;
    let mut expected = Callback::of(seed, number).messages().into_iter();
    let expected = expected.find(|expected| expected.id == stored.id)?;
    (expected.subject == stored.subject && expected.body == stored.body).then_some(expected.id)
}
