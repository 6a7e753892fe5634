//! What CI confirmed lately: callbacks come twice.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ci_bridge_ingress::Claim;
use ci_bridge_schema::Event;
use sha2::{Digest, Sha256};

/// Bytes that are remembered: some thousand jobs.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// What an account takes beside its own bytes: its key twice, and what leads to it.
const OVERHEAD: usize = 512;

/// A claim by its hash: its texts are a stranger's, and may be as large as a callback. Its tag only says where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

/// Accounts by claims, the oldest forgotten first.
#[derive(Default)]
pub(super) struct Remembered {
    accounts: HashMap<Key, Arc<Event<'static>>>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Key {
    pub(super) fn of(claim: &Claim) -> Self {
        let Claim { kind, id, state, event, bucket, tag: _ } = claim;
        Self(Sha256::digest(format!("{kind:?} {id:?} {state:?} {event:?} {bucket:?}")).into())
    }
}

impl Remembered {
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Event<'static>>> {
        self.accounts.get(key).cloned()
    }

    pub(super) fn add(&mut self, key: Key, account: Arc<Event<'static>>) {
        let cost = cost(&account);
        if cost > MOST_BYTES || self.accounts.contains_key(&key) {
            return;
        }
        self.bytes += cost;
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.accounts.remove(&oldest).map_or(0, |account| self::cost(&account));
        }
        self.order.push_back(key);
        self.accounts.insert(key, account);
    }
}

/// An upper bound of what an account takes: its body, with what was set aside for it, and texts of it for routing.
fn cost(account: &Event<'_>) -> usize {
    OVERHEAD + 3 * account.data().len()
}

#[cfg(test)]
mod tests {
    use ci_bridge_schema::{Kind, Limits, parse_answer};

    use super::*;

    fn account(id: &str, data: &str) -> Arc<Event<'static>> {
        let answer = format!(
            "<Response><JobsDetail><JobId>{id}</JobId><State>Success</State><Tag>Transcode</Tag><UserData>{data}</UserData>\
             </JobsDetail></Response>"
        );
        let answer = parse_answer(answer.as_bytes(), &Limits::default()).unwrap();
        Arc::new(answer.jobs().swap_remove(0).event.into_owned())
    }

    fn claim(id: &str, tag: &str) -> Claim {
        Claim {
            kind: Kind::Task,
            id: Some(id.to_owned()),
            state: Some("Success".to_owned()),
            tag: Some(tag.to_owned()),
            event: None,
            bucket: None,
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_in_bytes() {
        let mut remembered = Remembered::default();
        // Few that are large, then many that are small.
        for (size, count) in [(MOST_BYTES / 20, 20), (1, 8_000)] {
            let data = "x".repeat(size);
            for number in 0..count {
                let id = format!("j{size}-{number}");
                remembered.add(Key::of(&claim(&id, "Transcode")), account(&id, &data));
            }
            assert!(remembered.bytes <= MOST_BYTES && remembered.bytes > MOST_BYTES / 2);
            assert_eq!(remembered.accounts.len(), remembered.order.len());
            let all: usize = remembered.accounts.values().map(|account| cost(account)).sum();
            assert_eq!(all, remembered.bytes);
        }
        let large = account("large", &"x".repeat(MOST_BYTES));
        remembered.add(Key::of(&claim("large", "Transcode")), large);
        assert!(remembered.get(&Key::of(&claim("large", "Transcode"))).is_none());
    }

    #[test]
    fn a_claim_is_its_hash_whatever_a_stranger_writes() {
        let long = "T".repeat(1024 * 1024);
        assert_eq!(Key::of(&claim("j1", &long)), Key::of(&claim("j1", "Transcode")));
        assert_ne!(Key::of(&claim("j1", "Transcode")), Key::of(&claim("j2", "Transcode")));
        assert_eq!(size_of::<Key>(), 32);
    }
}
