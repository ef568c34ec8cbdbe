//! The signature in a delivery's `X-Hub-Signature-256` header.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A well-formed signature; whether it is the right one, [`Signature::matches`] tells.
pub struct Signature([u8; 32]);

impl Signature {
    /// Reads `sha256=` and 64 hexadecimal digits of either case.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256=")?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            *byte = (digit(0)? * 16 + digit(1)?).try_into().ok()?;
        }
        Some(Self(bytes))
    }

    /// Whether this is the HMAC-SHA-256 of `payload` under `key`, compared in constant time.
    pub fn matches(&self, payload: &str, key: &str) -> bool {
        // HMAC takes a key of any length, so that the failing case never comes.
        Hmac::<Sha256>::new_from_slice(key.as_bytes())
            .is_ok_and(|mac| mac.chain_update(payload).verify_slice(&self.0).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case_are_read() {
        let signature = Signature::parse(&format!("sha256={}", "0aF9".repeat(16)));
        assert_eq!(signature.map(|s| s.0[..2].to_vec()), Some(vec![0x0a, 0xf9]));
    }

    #[test]
    fn anything_else_is_no_signature() {
        let short = format!("sha256={}", "a".repeat(63));
        let long = format!("sha256={}", "a".repeat(65));
        let sign = format!("sha256={}", "+f".repeat(32));
        let wide = format!("sha256={}", "ä".repeat(32));
        for text in ["", "sha256=", &"a".repeat(64), &short, &long, &sign, &wide] {
            assert!(Signature::parse(text).is_none(), "{text}");
        }
    }
}
