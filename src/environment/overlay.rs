//! Laying variables over secrets, and system entries over both.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{Entry, Environment, Origin};

/// The most keys one environment may hold.
pub const MAX_KEYS: usize = 1_000;

/// The most bytes all keys and values of one environment may take.
pub const MAX_BYTES: usize = 1 << 20;

/// The environment would pass [`MAX_KEYS`] or [`MAX_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the environment would hold {keys} keys and {bytes} bytes; at most {MAX_KEYS} keys and \
     {MAX_BYTES} bytes are allowed. Narrow the policies or remove variables"
)]
pub struct TooLarge {
    /// The keys it would hold.
    pub keys: usize,
    /// The bytes its keys and values would take.
    pub bytes: usize,
}

/// Collects layers from the weakest to the strongest, then settles them.
///
/// Add secrets, then variables, then system entries: a later entry of the same key wins.
pub struct Overlay {
    text: Zeroizing<String>,
    entries: Vec<Entry>,
}

impl Overlay {
    /// An empty overlay whose buffer holds `bytes` of text before it grows.
    pub fn with_capacity(keys: usize, bytes: usize) -> Self {
        Self {
            text: Zeroizing::new(String::with_capacity(bytes)),
            entries: Vec::with_capacity(keys),
        }
    }

    /// Adds an entry that beats every earlier one of the same key.
    pub fn add(&mut self, key: &str, value: &str, origin: Origin) {
        self.reserve(key.len() + value.len());
        let key = push(&mut self.text, key);
        let value = push(&mut self.text, value);
        self.entries.push(Entry { key, value, origin });
    }

    /// Growing by reallocation would leave an unwiped copy behind, so move by hand.
    fn reserve(&mut self, more: usize) {
        let needed = self.text.len() + more;
        if needed > self.text.capacity() {
            let mut larger = Zeroizing::new(String::with_capacity(needed.max(self.text.len() * 2)));
            larger.push_str(&self.text);
            self.text = larger;
        }
    }

    /// The environment, one entry per key, sorted by key.
    pub fn settle(self) -> Result<Environment, TooLarge> {
        let Self { text, mut entries } = self;
        // Stable, so that of equal keys the strongest comes last.
        entries.sort_by(|a, b| text[a.key.clone()].cmp(&text[b.key.clone()]));
        entries.reverse();
        entries.dedup_by(|weaker, stronger| text[weaker.key.clone()] == text[stronger.key.clone()]);
        entries.reverse();
        let bytes = entries.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
        if entries.len() > MAX_KEYS || bytes > MAX_BYTES {
            return Err(TooLarge { keys: entries.len(), bytes });
        }
        Ok(Environment { text, entries })
    }
}

fn push(text: &mut String, part: &str) -> Range<usize> {
    let start = text.len();
    text.push_str(part);
    start..text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    fn secret() -> Origin {
        let id = Id::from_bytes([7; 12]);
        Origin::Secret { secret: id, version: 1, policy: id, permission: 0 }
    }

    #[test]
    fn a_variable_beats_a_secret_and_the_system_beats_both() {
        let mut overlay = Overlay::with_capacity(0, 0);
        overlay.add("KEY", "from the secret", secret());
        overlay.add("OTHER", "kept", secret());
        overlay.add("KEY", "from the variable", Origin::Variable);
        overlay.add("_run_id", "forged", Origin::Variable);
        overlay.add("_run_id", "true", Origin::System);
        let environment = overlay.settle().unwrap();
        let seen: Vec<_> = environment.iter().map(|e| (e.key, e.value)).collect();
        assert_eq!(seen, [("KEY", "from the variable"), ("OTHER", "kept"), ("_run_id", "true")]);
        assert_eq!(environment.get("KEY").unwrap().origin, &Origin::Variable);
        assert_eq!(environment.get("OTHER").unwrap().origin, &secret());
    }

    #[test]
    fn limits_count_what_is_left_after_the_overlay() {
        let fill = |keys: usize| {
            let mut overlay = Overlay::with_capacity(0, 0);
            for i in 0..keys {
                overlay.add(&format!("K{i}"), "v", secret());
                overlay.add(&format!("K{i}"), "w", Origin::Variable);
            }
            overlay.settle()
        };
        assert_eq!(fill(MAX_KEYS).unwrap().len(), MAX_KEYS);
        assert_eq!(fill(MAX_KEYS + 1).unwrap_err().keys, MAX_KEYS + 1);
        let mut overlay = Overlay::with_capacity(0, 0);
        overlay.add("K", &"v".repeat(MAX_BYTES), secret());
        assert_eq!(overlay.settle().unwrap_err().bytes, MAX_BYTES + 1);
    }

    #[test]
    fn a_debug_print_shows_no_value() {
        let mut overlay = Overlay::with_capacity(0, 0);
        overlay.add("KEY", "hush", secret());
        let printed = format!("{:?}", overlay.settle().unwrap());
        assert!(printed.contains("KEY") && !printed.contains("hush"));
    }
}
