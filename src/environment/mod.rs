//! The environment one run sees: unique keys, each with its value and its origin.
//!
//! Owns the overlay (variables over secrets, system entries over both) and the redactor that
//! keeps granted values out of what leaves the run. It decides nothing about access and opens no
//! ciphertext: values come in open, in one buffer that wipes itself.

mod overlay;
pub mod redactor;

use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

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
    /// A variable of the analysis, or one given on the command line.
    Variable,
    /// The runner itself; the key begins with an underscore.
    System,
}

/// One key with where its value lies in the environment's buffer.
struct Entry {
    key: Range<usize>,
    value: Range<usize>,
    origin: Origin,
}

/// The ordered, unique entries of one run.
///
/// All text stands in one buffer that is wiped when the environment is dropped. It cannot be
/// cloned, printed or serialised.
pub struct Environment {
    text: Zeroizing<String>,
    entries: Vec<Entry>,
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
        self.entries.iter().map(|entry| EntryRef {
            key: &self.text[entry.key.clone()],
            value: &self.text[entry.value.clone()],
            origin: &entry.origin,
        })
    }

    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<EntryRef<'_>> {
        self.iter().find(|entry| entry.key == key)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Keys and origins only.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|entry| (entry.key, entry.origin))).finish()
    }
}
