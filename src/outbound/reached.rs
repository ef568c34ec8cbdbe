//! Which destinations one run asked for, for the audit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::host::Destination;

/// How many destinations are named. A run that makes up more has only their number.
const NAMED: usize = 64;

/// The destinations, counted while the run goes on.
#[derive(Default)]
pub(super) struct Reached(Mutex<Tally>);

/// What a run asked of the network.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Tally {
    /// Each destination with its counts.
    pub hosts: BTreeMap<String, Count>,
    /// Requests to destinations that are not named, because there were too many.
    pub others: Count,
}

/// Requests to one destination.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Count {
    /// How many a policy allowed.
    pub allowed: u64,
    /// How many none did.
    pub denied: u64,
}

impl Tally {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

impl Reached {
    pub(super) fn note(&self, destination: &Destination, allowed: bool) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Tally { hosts, others } = &mut *tally;
        let name = destination.to_string();
        let count = match hosts.len() < NAMED || hosts.contains_key(&name) {
            true => hosts.entry(name).or_default(),
            false => others,
        };
        match allowed {
            true => count.allowed += 1,
            false => count.denied += 1,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_counted_and_made_up_ones_have_an_end() {
        let reached = Reached::default();
        assert!(reached.tally().is_empty());
        for number in 0..NAMED + 3 {
            let destination = Destination::parse("https", &format!("h{number}.example")).unwrap();
            reached.note(&destination, false);
            reached.note(&destination, true);
        }
        let tally = reached.tally();
        assert_eq!(tally.hosts.len(), NAMED);
        assert_eq!(tally.hosts["https://h0.example"], Count { allowed: 1, denied: 1 });
        assert_eq!(tally.others, Count { allowed: 3, denied: 3 });
    }
}
