//! The environment one run sees: unique keys, each with its value and its origin.
//!
//! Owns the overlay (variables over secrets, system entries over both) and the redactor that
//! keeps granted values out of what leaves the run. It decides nothing about access and opens no
//! ciphertext: values come in open, in one buffer that wipes itself.

mod overlay;
pub mod redactor;

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use zeroize::{Zeroize as _, Zeroizing};

use crate::id::Id;

pub use overlay::{MAX_BYTES, MAX_KEYS, Overlay, TooLarge};
pub use redactor::Redactor;

/// Where an entry's value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A secret that a policy granted.
    Secret {
        /// The secret.
        secret: Id,
        /// Its version.
        version: u32,
        /// The policy that granted it.
        policy: Id,
        /// Which of the policy's permissions, counted from 0.
        permission: u32,
    },
    /// The runner, in place of a granted secret that only the host may read: the value is a random
    /// text of this run, which the host replaces in requests to the secret's hosts.
    Placeholder {
        /// The secret.
        secret: Id,
        /// Its version.
        version: u32,
        /// The policy that granted it.
        policy: Id,
        /// Which of the policy's permissions, counted from 0.
        permission: u32,
    },
    /// A variable of the analysis, or one given on the command line.
    Variable,
    /// The runner itself; the key begins with an underscore.
    System,
}

/// Text that only grows, and is wiped when it is let go.
///
/// `Zeroizing<String>` wipes one byte at a time, which costs more than all else an environment
/// needs; this wipes as fast as memory can be written.
struct Text(String);

impl Text {
    fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Appends `part`, and answers where it stands.
    fn push(&mut self, part: &str) -> Range<usize> {
        let start = self.0.len();
        if start + part.len() > self.0.capacity() {
            // Growing by reallocation would leave an unwiped copy behind, so move by hand.
            let mut larger = Self::with_capacity((start + part.len()).max(start * 2));
            larger.0.push_str(&self.0);
            *self = larger;
        }
        self.0.push_str(part);
        start..self.0.len()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // Nothing was ever taken away, so what lies behind the end was never written.
        self.0.as_mut_str().zeroize();
    }
}

/// Where one key and its value stand.
struct Entry {
    key: Range<usize>,
    value: Range<usize>,
    origin: Origin,
}

/// The ordered, unique entries of one run.
///
/// All values stand in one buffer that is wiped when the environment is dropped. It cannot be
/// cloned, printed or serialised.
pub struct Environment {
    values: Text,
    layout: Arc<Layout>,
}

/// What is known about an environment without its values: keys, origins, and where values stand.
pub struct Layout {
    keys: String,
    /// In the order of their keys.
    entries: Vec<Entry>,
    /// The length of all values, in bytes.
    length: usize,
}

impl Layout {
    /// The environment that this is the layout of, with `values` and then `more` as its
    /// [values](Environment::values); nothing where they do not have the right length together.
    pub fn with<'a>(
        self: &Arc<Self>,
        mut values: Zeroizing<String>,
        more: impl IntoIterator<Item = &'a str>,
    ) -> Option<Environment> {
        let mut values = Text(std::mem::take(&mut *values));
        for value in more {
            values.push(value);
        }
        (values.len() == self.length).then(|| Environment { values, layout: Arc::clone(self) })
    }

    fn key(&self, entry: &Entry) -> &str {
        &self.keys[entry.key.clone()]
    }
}

/// One entry, borrowed.
#[derive(Clone, Copy)]
pub struct EntryRef<'a> {
    /// The key.
    pub key: &'a str,
    /// The value, in the open.
    pub value: &'a str,
    /// Where the value came from.
    pub origin: &'a Origin,
}

impl Environment {
    /// The entries, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EntryRef<'_>> {
        self.layout.entries.iter().map(|entry| self.entry(entry))
    }

    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<EntryRef<'_>> {
        let Layout { entries, .. } = &*self.layout;
        let found = entries.binary_search_by(|entry| self.layout.key(entry).cmp(key));
        found.ok().map(|index| self.entry(&entries[index]))
    }

    /// All values in one text, in the order in which they were added. With the layout it makes the
    /// environment again.
    pub fn values(&self) -> &str {
        &self.values
    }

    /// What is known without the values.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn entry<'a>(&'a self, entry: &'a Entry) -> EntryRef<'a> {
        let Entry { value, origin, .. } = entry;
        EntryRef { key: self.layout.key(entry), value: &self.values[value.clone()], origin }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.layout.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.layout.entries.is_empty()
    }
}

/// Keys and origins only.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|entry| (entry.key, entry.origin))).finish()
    }
}
