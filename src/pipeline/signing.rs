//! Signing for guests, with secrets that they do not read.
//!
//! Owns which secrets one analysis may sign with, and the bounds of one attempt. A value is opened
//! inside the vault, for one signature.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::prepared::unreadable;
use crate::fault::Fault;
use crate::id::Id;
use crate::run::{SecretUses, Way};
use crate::sandbox::Sign;
use crate::vault::{Algorithm, Scratch, SealedValue, Secret, texts};

/// The most signatures of one attempt.
const MAX_SIGNATURES: u64 = 10_000;

/// A secret that the policies of one generation let an analysis sign with.
pub(super) struct SigningKey {
    secret: Id,
    version: u32,
    algorithms: Vec<Algorithm>,
    value: SealedValue,
}

/// The signing keys of one analysis, by the keys of their secrets.
pub(super) type SigningKeys = HashMap<String, SigningKey>;

impl SigningKey {
    /// The key that `secret` is, if its stored form is sound and opens.
    pub(super) fn new(secret: &Secret, sealed: Option<SealedValue>) -> Result<Self, Fault> {
        let opens = |value: &SealedValue| value.open(&mut Scratch::default()).is_ok();
        let value = sealed.filter(opens).ok_or_else(|| unreadable(&secret.key, secret.version))?;
        let algorithms = secret.uses.algorithms().to_vec();
        Ok(Self { secret: secret.id, version: secret.version, algorithms, value })
    }
}

/// How the guest of one attempt signs. What it signs is counted in `uses`.
pub(super) fn sign(keys: &Arc<SigningKeys>, uses: &Arc<SecretUses>) -> Sign {
    let (keys, uses, signatures) = (Arc::clone(keys), Arc::clone(uses), AtomicU64::new(0));
    Arc::new(move |name, algorithm, data| {
        let key = keys.get(name).ok_or_else(|| {
            format!(
                "this analysis may not sign with a secret {name:?}: no such secret is granted to \
                 it. A policy must allow the action `sign` on it, for example \
                 [\"secrets\",\"tag.key\",\"<key>\",\"tag.value\",\"<value>\"]"
            )
        })?;
        let listed = key.algorithms.iter().copied().find(|listed| listed.as_str() == algorithm);
        let algorithm = listed.ok_or_else(|| {
            let listed = match key.algorithms.is_empty() {
                true => "none".into(),
                false => texts(&key.algorithms).join(", "),
            };
            format!(
                "the secret {name} does not sign by {algorithm:?}: its algorithms are {listed}. \
                 An administrator sets them: `runner secret edit {name} --algorithm ...`"
            )
        })?;
        if signatures.fetch_add(1, Ordering::Relaxed) >= MAX_SIGNATURES {
            return Err(format!("a run may ask for {MAX_SIGNATURES} signatures and no more"));
        }
        let unreadable = |_| format!("the secret {name} does not open any more");
        let signature = key.value.sign(algorithm, data).map_err(unreadable)?;
        uses.count(name, key.secret, key.version, Way::SignedBy(algorithm.as_str()));
        Ok(signature)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signing(algorithms: &[Algorithm]) -> (Sign, Arc<SecretUses>) {
        let key = SigningKey {
            secret: Id::from_bytes([7; 12]),
            version: 3,
            algorithms: algorithms.to_vec(),
            value: SealedValue::in_memory("Jefe").unwrap(),
        };
        let keys = Arc::new(SigningKeys::from([("KEY".to_owned(), key)]));
        let uses = Arc::default();
        (sign(&keys, &uses), uses)
    }

    #[test]
    fn a_listed_algorithm_signs_and_is_counted() {
        let (sign, uses) = signing(&[Algorithm::HmacSha256]);
        let signature = sign("KEY", "hmac-sha256", b"what do ya want for nothing?").unwrap();
        assert_eq!(signature[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        sign("KEY", "hmac-sha256", b"").unwrap();
        let uses = uses.list();
        assert_eq!((uses.len(), uses[0].count), (1, 2));
        assert_eq!(uses[0].algorithm.as_deref(), Some("hmac-sha256"));
    }

    #[test]
    fn what_is_not_granted_or_not_listed_is_refused_with_what_to_ask_for() {
        let (sign, uses) = signing(&[Algorithm::HmacSha384]);
        let refused = sign("OTHER", "hmac-sha384", b"").unwrap_err();
        assert!(refused.contains("allow the action `sign`"), "{refused}");
        for algorithm in ["hmac-sha256", "HMAC-SHA384", "sha384", ""] {
            let refused = sign("KEY", algorithm, b"").unwrap_err();
            assert!(refused.contains("its algorithms are hmac-sha384"), "{refused}");
        }
        assert!(uses.list().is_empty());
        let (sign, _) = signing(&[]);
        assert!(sign("KEY", "hmac-sha256", b"").unwrap_err().contains("are none"));
    }

    #[test]
    fn signatures_are_bounded() {
        let (sign, uses) = signing(&[Algorithm::HmacSha256]);
        for _ in 0..MAX_SIGNATURES {
            sign("KEY", "hmac-sha256", b"x").unwrap();
        }
        assert!(sign("KEY", "hmac-sha256", b"x").unwrap_err().contains("no more"));
        assert_eq!(uses.list()[0].count, MAX_SIGNATURES);
    }
}
