//! Secrets that were used without being read.
//!
//! Owns the record of such uses and how they are counted. It never holds a value.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::id::Id;

/// How often an attempt used one secret in one way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SecretUse {
    /// The secret's key.
    pub key: String,
    /// The secret.
    pub secret: Id,
    /// The secret's version.
    pub version: u32,
    /// Where the value was sent, if it was: scheme, host and port.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    /// How something was signed with it, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub algorithm: Option<String>,
    /// How often.
    pub count: u64,
}

/// One way of using a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Way {
    /// Its value was sent to this host.
    SentTo(String),
    /// Something was signed with it, by this algorithm.
    SignedBy(&'static str),
}

/// What one attempt has used so far.
#[derive(Default)]
pub struct SecretUses(Mutex<BTreeMap<(String, Way), SecretUse>>);

impl SecretUses {
    /// Counts one use of a secret.
    pub fn count(&self, key: &str, secret: Id, version: u32, way: Way) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = uses.entry((key.into(), way));
        let (host, algorithm) = match &place.key().1 {
            Way::SentTo(host) => (Some(host.clone()), None),
            Way::SignedBy(algorithm) => (None, Some((*algorithm).into())),
        };
        let first = || SecretUse { key: key.into(), secret, version, host, algorithm, count: 0 };
        place.or_insert_with(first).count += 1;
    }

    /// All that was counted, in the order of keys.
    pub fn list(&self) -> Vec<SecretUse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_and_way_is_counted_by_itself() {
        let (uses, id) = (SecretUses::default(), Id::from_bytes([7; 12]));
        for host in ["https://b.example", "https://a.example", "https://b.example"] {
            uses.count("B", id, 2, Way::SentTo(host.into()));
        }
        uses.count("A", id, 1, Way::SignedBy("hmac-sha256"));
        assert_eq!(
            serde_json::to_string(&uses.list()).unwrap(),
            r#"[{"key":"A","secret":"ID","version":1,"algorithm":"hmac-sha256","count":1},{"key":"B","secret":"ID","version":2,"host":"https://a.example","count":1},{"key":"B","secret":"ID","version":2,"host":"https://b.example","count":2}]"#
                .replace("ID", &id.to_string())
        );
    }
}
