//! When tokens were last used, noted beside the requests that show them.
//!
//! Owns how often that is written: for each token at most once a minute. No request waits for it,
//! and one that cannot be written is left out: the next use tells again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashlink::LruCache;

use super::Runner;
use crate::id::Id;

/// How long a token's use is not written again.
const EVERY: Duration = Duration::from_secs(60);

/// How many tokens are remembered. One that was let go is written a little sooner.
const CAPACITY: usize = 4_096;

/// When the uses of tokens were last written.
pub(super) struct LastUses {
    written: Mutex<LruCache<Id, Instant>>,
}

impl LastUses {
    pub(super) fn new() -> Self {
        Self { written: Mutex::new(LruCache::new(CAPACITY)) }
    }

    /// Whether a use at `now` is to be written; then it counts as written.
    fn is_due(&self, token: Id, now: Instant) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |at: &Instant| now.saturating_duration_since(*at) < EVERY;
        if written.get(&token).is_some_and(lately) {
            return false;
        }
        written.insert(token, now);
        true
    }
}

impl Runner {
    /// Notes that a token is used now, in a task of its own.
    pub fn note_use(&self, token: Id) {
        if !self.last_uses.is_due(token, Instant::now()) {
            return;
        }
        let host = self.host();
        tokio::spawn(async move {
            if let Err(error) = host.note_token_use(token, EVERY).await {
                tracing::debug!(%token, %error, "the use of a token was not noted");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_a_minute_for_each_token() {
        let uses = LastUses::new();
        let (one, other) = (Id::from_bytes([1; 12]), Id::from_bytes([2; 12]));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let due = [(one, 0), (one, 1), (other, 1), (one, 59), (one, 60), (other, 60), (one, 61)]
            .map(|(token, seconds)| uses.is_due(token, after(seconds)));
        assert_eq!(due, [true, false, true, false, true, false, false]);
    }
}
