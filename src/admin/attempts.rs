//! How often somebody may fail to sign in.
//!
//! Owns the counts, which live in memory: of one address, and of one name whatever the address. It
//! does not know what was wrong.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashlink::LruCache;

use crate::clock::Timestamp;

/// How long failures count.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// The failures of one address within that time.
const PER_ADDRESS: u32 = 20;

/// The failures for one name within that time.
const PER_NAME: u32 = 10;

/// How many addresses and names are remembered; those that failed the longest ago go first.
const REMEMBERED: usize = 10_000;

/// Who fails.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    Name(String),
}

impl Who {
    const fn limit(&self) -> u32 {
        match self {
            Self::Address(_) => PER_ADDRESS,
            Self::Name(_) => PER_NAME,
        }
    }
}

/// The failures that still count.
pub struct Attempts {
    failed: Mutex<LruCache<Who, (Timestamp, u32)>>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { failed: Mutex::new(LruCache::new(REMEMBERED)) }
    }
}

impl Attempts {
    /// Whether somebody from this address, with this name if they say one, may try now.
    pub fn may_try(&self, address: IpAddr, name: Option<&str>, now: Timestamp) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        who(address, name).all(|who| match failed.peek(&who) {
            Some((since, count)) => now.since(*since) >= WINDOW || *count < who.limit(),
            None => true,
        })
    }

    /// Counts a failure.
    pub fn failed(&self, address: IpAddr, name: Option<&str>, now: Timestamp) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        for who in who(address, name) {
            let counted = failed.remove(&who).filter(|(since, _)| now.since(*since) < WINDOW);
            let (since, count) = counted.unwrap_or((now, 0));
            failed.insert(who, (since, count + 1));
        }
    }
}

fn who(address: IpAddr, name: Option<&str>) -> impl Iterator<Item = Who> {
    // An owner of one network of IPv6 has more addresses in it than can be remembered.
    let address = match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        other => other.to_canonical(),
    };
    [Some(Who::Address(address)), name.map(|name| Who::Name(name.to_owned()))].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_address_and_a_name_have_their_own_limits_until_the_window_ends() {
        let attempts = Attempts::default();
        for other in 0..PER_NAME {
            assert!(attempts.may_try(address(1), Some("ann"), NOW));
            attempts.failed(address(other as u8 + 10), Some("ann"), NOW);
        }
        assert!(!attempts.may_try(address(1), Some("ann"), NOW), "the name is used up");
        assert!(attempts.may_try(address(1), Some("bob"), NOW));
        assert!(attempts.may_try(address(1), None, NOW));
        for _ in 0..PER_ADDRESS {
            attempts.failed(address(1), None, NOW);
        }
        assert!(!attempts.may_try(address(1), None, NOW), "the address is used up");
        assert!(attempts.may_try(address(2), None, NOW));
        let later = NOW.plus(WINDOW);
        assert!(attempts.may_try(address(1), Some("ann"), later));
        attempts.failed(address(1), Some("ann"), later);
        assert!(attempts.may_try(address(1), Some("ann"), later));
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let attempts = Attempts::default();
        for last in 0..PER_ADDRESS {
            let address = format!("2001:db8::{last:x}").parse().unwrap();
            attempts.failed(address, None, NOW);
        }
        assert!(!attempts.may_try("2001:db8::ffff".parse().unwrap(), None, NOW));
        assert!(attempts.may_try("2001:db8:0:1::1".parse().unwrap(), None, NOW));
        assert!(attempts.may_try(address(1), None, NOW));
    }
}
