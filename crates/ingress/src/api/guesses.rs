//! Wrong tokens: who sends many is not looked at for a while, and the log says so once.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

/// Wrong tokens of one address within [`WINDOW`]; behind them none of it is looked at, right or wrong.
pub(super) const MOST: u32 = 10;
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered. Whoever has more of them than that guesses ten times as each, a minute.
const ADDRESSES: usize = 256;

/// Who has guessed lately.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<VecDeque<Guessing>>);

#[derive(Debug)]
struct Guessing {
    address: IpAddr,
    since: Instant,
    wrong: u32,
}

impl Guesses {
    /// How long this address has to wait before it may try again; `None` when it may.
    pub(super) fn wait(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|guessing| now.saturating_duration_since(guessing.since) < WINDOW);
        let address = network(peer);
        let guessing = all.iter().find(|guessing| guessing.address == address && guessing.wrong >= MOST)?;
        Some(WINDOW - now.saturating_duration_since(guessing.since))
    }

    /// Notes a wrong token.
    pub(super) fn wrong(&self, peer: IpAddr, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(peer);
        let place = all.iter().position(|guessing| guessing.address == address);
        let place = place.unwrap_or_else(|| {
            if all.len() == ADDRESSES {
                all.pop_front();
            }
            all.push_back(Guessing { address, since: now, wrong: 0 });
            all.len() - 1
        });
        let guessing = &mut all[place];
        guessing.wrong += 1;
        if guessing.wrong == MOST {
            warn!(%peer, count = MOST, "wrong tokens of the admin API: this address is refused for a minute");
        }
    }
}

/// Of IPv6 a whole network is one stranger's.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_waits_and_others_do_not() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..MOST {
            assert_eq!(guesses.wait(one, now), None);
            guesses.wrong(one, now);
        }
        assert_eq!(guesses.wait(one, now), Some(WINDOW));
        assert_eq!(guesses.wait(other, now), None);
        assert_eq!(guesses.wait(one, now + WINDOW), None);
        let of_one_network: [IpAddr; 2] = ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        (0..MOST).for_each(|_| guesses.wrong(of_one_network[0], now));
        assert!(guesses.wait(of_one_network[1], now).is_some());
        assert_eq!(guesses.wait("2001:db8:0:1::1".parse().unwrap(), now), None);
    }

    #[test]
    fn few_are_remembered() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for n in 0..10_000_u32 {
            guesses.wrong(IpAddr::V4(n.into()), now);
        }
        assert_eq!(guesses.0.lock().unwrap().len(), ADDRESSES);
    }
}
