//! Laying variables over secrets, and system entries over both.

use std::sync::Arc;

use super::{Entry, Environment, Layout, Origin, Text};

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

impl TooLarge {
    /// Whether so much is allowed.
    pub fn check(keys: usize, bytes: usize) -> Result<(), Self> {
        if keys > MAX_KEYS || bytes > MAX_BYTES { Err(Self { keys, bytes }) } else { Ok(()) }
    }
}

/// Collects layers from the weakest to the strongest, then settles them.
///
/// Add secrets, then variables, then system entries: a later entry of the same key wins.
pub struct Overlay {
    keys: String,
    values: Text,
    entries: Vec<Entry>,
}

impl Overlay {
    /// An empty overlay that takes so many `keys`, and values of so many `bytes`, before it grows.
    pub fn with_capacity(keys: usize, bytes: usize) -> Self {
        let entries = Vec::with_capacity(keys);
        Self { keys: String::new(), values: Text::with_capacity(bytes), entries }
    }

    /// The entries of `weaker`, to add stronger ones to.
    pub fn over(weaker: &Environment) -> Self {
        let mut overlay = Self::with_capacity(weaker.len(), 2 * weaker.values.len());
        for entry in weaker.iter() {
            overlay.add(entry.key, entry.value, entry.origin.clone());
        }
        overlay
    }

    /// Adds an entry that beats every earlier one of the same key.
    pub fn add(&mut self, key: &str, value: &str, origin: Origin) {
        let start = self.keys.len();
        self.keys.push_str(key);
        let (key, value) = (start..self.keys.len(), self.values.push(value));
        self.entries.push(Entry { key, value, origin });
    }

    /// The length of all values so far, in bytes.
    pub fn value_bytes(&self) -> usize {
        self.values.len()
    }

    /// The environment, one entry per key, sorted by key.
    pub fn settle(self) -> Result<Environment, TooLarge> {
        let Self { keys, values, mut entries } = self;
        let key = |entry: &Entry| &keys[entry.key.clone()];
        // Stable, so that of equal keys the strongest comes last.
        entries.sort_by(|a, b| key(a).cmp(key(b)));
        entries.reverse();
        entries.dedup_by(|weaker, stronger| key(weaker) == key(stronger));
        entries.reverse();
        let bytes = entries.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
        TooLarge::check(entries.len(), bytes)?;
        let layout = Layout { keys, entries, length: values.len() };
        Ok(Environment { values, layout: Arc::new(layout) })
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

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
    fn a_layout_and_the_values_make_the_environment_again() {
        let mut overlay = Overlay::with_capacity(0, 0);
        overlay.add("LAST", "first", Origin::Variable);
        overlay.add("KEY", "wört", secret());
        overlay.add("_run_id", "000", Origin::System);
        let environment = overlay.settle().unwrap();
        let (values, layout) = (environment.values(), environment.layout());
        let known = values.strip_suffix("000").unwrap();
        let with = |more: &[&str]| layout.with(Zeroizing::new(known.into()), more.iter().copied());
        let again = with(&["1", "23"]).unwrap();
        let seen: Vec<_> = again.iter().map(|e| (e.key, e.value)).collect();
        assert_eq!(seen, [("KEY", "wört"), ("LAST", "first"), ("_run_id", "123")]);
        assert_eq!(again.get("KEY").unwrap().origin, &secret());
        assert!(with(&["1234"]).is_none() && with(&[]).is_none());
    }

    #[test]
    fn stronger_entries_are_laid_over_an_environment() {
        let mut overlay = Overlay::with_capacity(0, 0);
        overlay.add("A", "weak", secret());
        overlay.add("B", "kept", secret());
        let mut overlay = Overlay::over(&overlay.settle().unwrap());
        overlay.add("A", "strong", Origin::Variable);
        let environment = overlay.settle().unwrap();
        let seen: Vec<_> = environment.iter().map(|e| (e.key, e.value)).collect();
        assert_eq!(seen, [("A", "strong"), ("B", "kept")]);
    }

    #[test]
    fn a_debug_print_shows_no_value() {
        let mut overlay = Overlay::with_capacity(0, 0);
        overlay.add("KEY", "hush", secret());
        let printed = format!("{:?}", overlay.settle().unwrap());
        assert!(printed.contains("KEY") && !printed.contains("hush"));
    }
}
